"""Genres and tempo as tags in a copy of the music file, beside all that the file says of itself already."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

import mutagen
from mutagen.aiff import AIFF
from mutagen.apev2 import APENoHeaderError, APEv2
from mutagen.flac import FLAC
from mutagen.id3 import TBPM, TCON, TXXX
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4, MP4FreeForm
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

from fluxbeat.analysis.result import TrackAnalysis
from fluxbeat.audio.chunks import find_samples
from fluxbeat.audio.frames import AAC, frame_kind
from fluxbeat.audio.readers import safe_name
from fluxbeat.audio.source import after_id3
from fluxbeat.errors import ExportError
from fluxbeat.export.beside import delete_fields, forget_in_id3, pad_last_chunk, replace_in_wav, version_to_write

EXACT_BPM = "FLUXBEAT_BPM"
MODEL = "FLUXBEAT_MODEL"
"""Tags of our own: the standard ones for tempo hold whole numbers only, and none says who found them."""

_GENRE_NAMES = frozenset({"genre", "genres", "tcon"})
_TEMPO_NAMES = frozenset({"bpm", "fbpm", "tbpm", "tempo"})
"""Names of fields, in small letters: standard ones and those that programs keep beside them."""
_WITH_ID3 = (MP3, WAVE, AIFF)


@dataclass(frozen=True)
class _Found:
    """What is written: genres that are clearly present, and the tempo in BPM, None where there is no beat."""

    genres: list[str]
    bpm: float | None
    model: str

    @property
    def whole_bpm(self) -> str:
        """The tempo as standard tags have it; empty where there is no beat."""
        return "" if self.bpm is None else str(round(self.bpm))

    @property
    def names(self) -> frozenset[str]:
        """Names of the fields that this takes the place of."""
        return (_GENRE_NAMES if self.genres else frozenset()) | (frozenset() if self.bpm is None else _TEMPO_NAMES)

    @property
    def own(self) -> dict[str, str]:
        """Tags of our own."""
        exact = {} if self.bpm is None else {EXACT_BPM: str(round(self.bpm, 2))}
        return {**exact, MODEL: self.model}


def write_tags(file: BinaryIO, analysis: TrackAnalysis) -> None:
    """Write what was found into a copy of the music file, open for reading and writing.

    Genre and tempo take the place of those in the file where something was found, wherever the format keeps them:
    RIFF INFO, ID3 and a loop's tempo in WAV; ID3v1, ID3v2 with its free texts, and APEv2 in MP3, and in other files
    that have these beside their own. Every other tag and the cover stay. ID3 keeps its version.

    Raises
    ------
    ExportError
        If nothing was found, or the file is of a kind that carries no such tags, or is damaged.
    """
    name, bpm = analysis.file, analysis.tempo.bpm
    genres = [genre.label for genre in analysis.genres if genre.active]
    if not genres and bpm is None:
        raise ExportError(
            f"{name}: no genre is sure and there is no steady beat, so there is nothing to write as tags; "
            "try another model, or another format"
        )
    found = _Found(genres, bpm, f"{analysis.model.name} {analysis.model.revision}")
    kind = _kind(file, name)
    _refuse_untrue_sizes(file, name)
    try:
        if kind in (WAVE, AIFF):
            pad_last_chunk(file)
        forget_in_id3(file, found.names)
        if kind is WAVE:
            words = {"IGNR": "; ".join(genres), "IBPM": found.whole_bpm}
            replace_in_wav(file, {mark: text for mark, text in words.items() if text}, bpm)
        old_id3 = _id3v1(file)
        _fill_ape(file, found)
        file.seek(0)
        # frames as they are: translated to ID3v2.4, those that have no place there (RVAD, TSIZ) would be lost
        audio = kind(file, translate=False) if kind in _WITH_ID3 else kind(file)
        if audio.tags is None:
            audio.add_tags()
        file.seek(0)
        if kind in _WITH_ID3:
            _fill_id3(audio.tags, found)
            audio.save(file, v2_version=version_to_write(audio.tags))
        elif kind is MP4:
            _fill_mp4(audio.tags, found)
            audio.save(file)
        else:
            _fill_vorbis(audio.tags, found)
            audio.save(file)
        if old_id3:
            _write_id3v1(file, old_id3, genres)
    except (mutagen.MutagenError, IndexError, ValueError, struct.error) as error:  # mutagen lets some of its own out
        raise ExportError(
            f"{name}: its tags cannot be written ({safe_name(str(error))}): it may be damaged; export it again"
        ) from error


def _refuse_untrue_sizes(file: BinaryIO, name: str) -> None:
    """Tags would be written where the header says that the samples end: into their midst."""
    samples = find_samples(file, 0, file.seek(0, os.SEEK_END))
    if samples is not None and not samples.header_is_right and len(samples.pieces) == 1:
        raise ExportError(f"{name}: its header tells another length than it has, so no tags fit in: export it again")


def _fill_ape(file: BinaryIO, found: _Found) -> None:
    """Where a file has APEv2 tags beside its own, what they say of genre and tempo."""
    file.seek(0)
    try:
        tags = APEv2(file)
    except APENoHeaderError:
        return
    for name, value in (("Genre", found.genres), ("BPM", found.whole_bpm), ("Tempo", found.whole_bpm)):
        if value and name in tags:
            tags[name] = value
    file.seek(0)
    tags.save(file)


def _id3v1(file: BinaryIO) -> bytes:
    """The oldest kind of tag, at the very end; empty where there is none."""
    file.seek(max(file.seek(0, os.SEEK_END) - 128, 0))
    tag = file.read(128)
    return tag if tag[:3] == b"TAG" else b""


def _write_id3v1(file: BinaryIO, tag: bytes, genres: list[str]) -> None:
    """As it was, with another genre: a number, 255 where none fits."""
    if genres:
        known = [name.casefold() for name in TCON.GENRES]
        first = genres[0].casefold()
        tag = tag[:127] + bytes([known.index(first) if first in known else 255])
    file.seek(-128 if _id3v1(file) else 0, os.SEEK_END)
    file.write(tag)


def _fill_id3(tags: Any, found: _Found) -> None:
    utf8 = 3
    delete_fields(tags, found.names)
    if found.genres:
        tags.add(TCON(encoding=utf8, text=found.genres))
    if found.whole_bpm:
        tags.add(TBPM(encoding=utf8, text=[found.whole_bpm]))
    for name, text in found.own.items():
        tags.add(TXXX(encoding=utf8, desc=name, text=[text]))


def _fill_vorbis(tags: Any, found: _Found) -> None:
    for name in found.names:
        if name in tags:
            del tags[name]
    if found.genres:
        tags["GENRE"] = found.genres
    if found.whole_bpm:
        tags["BPM"] = [found.whole_bpm]
    for name, text in found.own.items():
        tags[name] = [text]


def _fill_mp4(tags: Any, found: _Found) -> None:
    for key in [key for key in tags if key.startswith("----:") and key.rpartition(":")[2].casefold() in found.names]:
        del tags[key]
    if found.genres:
        tags["\xa9gen"] = found.genres
    if found.bpm is not None:
        tags["tmpo"] = [round(found.bpm)]
    for name, text in found.own.items():
        tags[f"----:com.apple.iTunes:{name}"] = [MP4FreeForm(text.encode())]


def _kind(file: BinaryIO, name: str) -> Any:
    """By content: the ending of a name may be wrong, and an upload may have none."""
    begin = after_id3(file)
    file.seek(begin)
    head = file.read(64)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return WAVE
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return AIFF
    for kind in (FLAC, MP4, OggVorbis, OggOpus, OggFLAC):
        if kind.score("", file, head):
            return kind
    frames = frame_kind(head)
    if frames == "MP3" or (begin and frames not in AAC):  # behind ID3 may be zeros or half a frame first
        return MP3
    raise ExportError(
        f"{name}: files of this kind carry no tags that FluxBeat can write: convert it to MP3, WAV, AIFF, FLAC, "
        "Ogg Vorbis, Opus or M4A"
    )
