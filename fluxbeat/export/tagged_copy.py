"""Genres and tempo as tags in a copy of the music file, beside all that the file says of itself already."""

from __future__ import annotations

import os
from collections.abc import Callable
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

from fluxbeat.analysis import TrackAnalysis
from fluxbeat.audio import safe_name
from fluxbeat.audio.chunks import find_samples
from fluxbeat.audio.frames import frame_kind
from fluxbeat.audio.source import after_id3
from fluxbeat.errors import ExportError
from fluxbeat.export.beside import GENRE_NAMES, TEMPO_NAMES, forget_in_id3, set_loop_tempo, without_doubles
from fluxbeat.export.riff_info import replace_words

EXACT_BPM = "FLUXBEAT_BPM"
MODEL = "FLUXBEAT_MODEL"
"""Tags of our own: the standard ones for tempo hold whole numbers only, and none says who found them."""

_TAGGABLE = "MP3, WAV, AIFF, FLAC, Ogg Vorbis, Opus or M4A"


@dataclass(frozen=True)
class _Found:
    """What is written: genres that are clearly present, and the tempo in BPM, None where there is no beat."""

    genres: tuple[str, ...]
    bpm: float | None
    model: str


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
    genres = tuple(genre.label for genre in analysis.genres if genre.active)
    if not genres and bpm is None:
        raise ExportError(
            f"{name}: no genre is sure and there is no steady beat, so there is nothing to write as tags; "
            "try another model, or another format"
        )
    found = _Found(genres, bpm, f"{analysis.model.name} {analysis.model.revision}")
    kind = _kind(file, name)
    _refuse_untrue_sizes(file, name)
    try:
        forget_in_id3(file, bool(found.genres), found.bpm is not None)
        if kind is _WAV:
            replace_words(file, _words(found))
            if found.bpm is not None:
                set_loop_tempo(file, found.bpm)
        old_id3 = _id3v1(file)
        _fill_ape(file, found)
        file.seek(0)
        audio = kind.open(file)
        if audio.tags is None:
            audio.add_tags()
        options = kind.fill(audio.tags, found)
        file.seek(0)
        audio.save(file, **options)
        if old_id3:
            _write_id3v1(file, old_id3, found)
    except mutagen.MutagenError as error:
        raise ExportError(
            f"{name}: its tags cannot be written ({safe_name(str(error))}): it may be damaged; export it again"
        ) from error


def _refuse_untrue_sizes(file: BinaryIO, name: str) -> None:
    """Tags would be written where the header says that the samples end: into their midst."""
    samples = find_samples(file, 0, file.seek(0, os.SEEK_END))
    if samples is not None and not samples.believed and len(samples.pieces) == 1:
        raise ExportError(f"{name}: its header tells another length than it has, so no tags fit in: export it again")


def _words(found: _Found) -> dict[bytes, str]:
    """Genre and tempo by their marks in RIFF INFO."""
    words = {b"IGNR": "; ".join(found.genres)} if found.genres else {}
    return words if found.bpm is None else words | {b"IBPM": str(round(found.bpm))}


def _fill_ape(file: BinaryIO, found: _Found) -> None:
    """Where an MP3 has APEv2 tags beside ID3, what they say of genre and tempo."""
    file.seek(0)
    try:
        tags = APEv2(file)
    except APENoHeaderError:
        return
    if found.genres and "Genre" in tags:
        tags["Genre"] = list(found.genres)
    for name in ("BPM", "Tempo"):
        if found.bpm is not None and name in tags:
            tags[name] = str(round(found.bpm))
    file.seek(0)
    tags.save(file)


def _id3v1(file: BinaryIO) -> bytes:
    """The oldest kind of tag, at the very end; empty where there is none."""
    if file.seek(0, os.SEEK_END) < 128:
        return b""
    file.seek(-128, os.SEEK_END)
    tag = file.read(128)
    return tag if tag[:3] == b"TAG" else b""


def _write_id3v1(file: BinaryIO, tag: bytes, found: _Found) -> None:
    """As it was, with another genre: a number, 255 where none fits."""
    known = [name.casefold() for name in TCON.GENRES]
    first = found.genres[0].casefold() if found.genres else ""
    number = known.index(first) if first in known else 255
    file.seek(-128 if _id3v1(file) else 0, os.SEEK_END)
    file.write(tag[:127] + bytes([number if found.genres else tag[127]]))


def _fill_id3(tags: Any, found: _Found) -> dict[str, Any]:
    is_new, utf8 = not tags.keys(), 3
    without_doubles(tags, bool(found.genres), found.bpm is not None)
    if found.genres:
        tags.setall("TCON", [TCON(encoding=utf8, text=list(found.genres))])
    if found.bpm is not None:
        tags.setall("TBPM", [TBPM(encoding=utf8, text=[str(round(found.bpm))])])
        tags.add(TXXX(encoding=utf8, desc=EXACT_BPM, text=[str(round(found.bpm, 2))]))
    tags.add(TXXX(encoding=utf8, desc=MODEL, text=[found.model]))
    if is_new or tags.version >= (2, 4, 0):
        return {"v2_version": 4}
    if tags.version < (2, 3, 0):
        tags.update_to_v23()
    return {"v2_version": 3}


def _doubles(found: _Found) -> frozenset[str]:
    """Names, in small letters, that go with what was found: standard ones and those that other programs use."""
    genre, tempo = bool(found.genres), found.bpm is not None
    return (GENRE_NAMES if genre else frozenset()) | (TEMPO_NAMES if tempo else frozenset())


def _fill_vorbis(tags: Any, found: _Found) -> dict[str, Any]:
    for name in _doubles(found):
        if name in tags:
            del tags[name]
    if found.genres:
        tags["GENRE"] = list(found.genres)
    if found.bpm is not None:
        tags["BPM"] = [str(round(found.bpm))]
        tags[EXACT_BPM] = [str(round(found.bpm, 2))]
    tags[MODEL] = [found.model]
    return {}


def _fill_mp4(tags: Any, found: _Found) -> dict[str, Any]:
    def own(name: str, value: str) -> None:
        tags[f"----:com.apple.iTunes:{name}"] = [MP4FreeForm(value.encode())]

    doubles = _doubles(found)
    for key in [key for key in tags if key.startswith("----:") and key.rpartition(":")[2].casefold() in doubles]:
        del tags[key]
    if found.genres:
        tags["\xa9gen"] = list(found.genres)
    if found.bpm is not None:
        tags["tmpo"] = [round(found.bpm)]
        own(EXACT_BPM, str(round(found.bpm, 2)))
    own(MODEL, found.model)
    return {}


@dataclass(frozen=True)
class _Kind:
    open: Callable[[BinaryIO], Any]
    fill: Callable[[Any, _Found], dict[str, Any]]


def _untranslated(kind: Callable[..., Any]) -> Callable[[BinaryIO], Any]:
    """Frames as they are: translated to ID3v2.4, those that have no place there (RVAD, TSIZ) would be lost."""
    return lambda file: kind(file, translate=False)


_MP3 = _Kind(_untranslated(MP3), _fill_id3)
_WAV = _Kind(_untranslated(WAVE), _fill_id3)
_AIFF = _Kind(_untranslated(AIFF), _fill_id3)
_FLAC = _Kind(FLAC, _fill_vorbis)
_MP4 = _Kind(MP4, _fill_mp4)
_OGG = {
    b"\x01vorbis": _Kind(OggVorbis, _fill_vorbis),
    b"OpusHead": _Kind(OggOpus, _fill_vorbis),
    b"\x7fFLAC": _Kind(OggFLAC, _fill_vorbis),
}


def _kind(file: BinaryIO, name: str) -> _Kind:
    """By content: the ending of a name may be wrong, and an upload may have none."""
    begin = after_id3(file)
    file.seek(begin)
    head = file.read(64)
    if head[:4] == b"OggS":
        ogg = next((kind for mark, kind in _OGG.items() if head[28:].startswith(mark)), None)
        if ogg:
            return ogg
    if head[:4] == b"fLaC":
        return _FLAC
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _WAV
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _AIFF
    if head[4:8] == b"ftyp":
        return _MP4
    if frame_kind(head) == "MP3" or (
        begin and frame_kind(head) != "AAC"
    ):  # behind ID3 may be zeros or half a frame first
        return _MP3
    raise ExportError(f"{name}: files of this kind carry no tags that FluxBeat can write: convert it to {_TAGGABLE}")
