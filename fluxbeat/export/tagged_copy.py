"""Genres and tempo as tags in a copy of the music file, beside all that the file says of itself already."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import mutagen
from mutagen.aiff import AIFF
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
from fluxbeat.audio_readers import after_id3
from fluxbeat.errors import ExportError

EXACT_BPM = "FLUXBEAT_BPM"
MODEL = "FLUXBEAT_MODEL"
"""Tags of our own: the standard ones for tempo hold whole numbers only, and none says who found them."""

_TAGGABLE = "MP3, WAV, AIFF, FLAC, Ogg Vorbis, Opus or M4A"


@dataclass(frozen=True)
class Found:
    """What is written: genres that are clearly present, and the tempo in BPM, None where there is no beat."""

    genres: tuple[str, ...]
    bpm: float | None
    model: str


def found_in(analysis: TrackAnalysis) -> Found:
    """What an analysis has to say in tags.

    Raises
    ------
    ExportError
        If it is sure of no genre and heard no beat.
    """
    genres = tuple(genre.label for genre in analysis.genres if genre.active)
    if not genres and analysis.tempo.bpm is None:
        raise ExportError(
            f"{analysis.file}: no genre is sure and there is no steady beat, so there is nothing to write as tags; "
            "try another model, or another format"
        )
    bpm = None if analysis.tempo.bpm is None else round(analysis.tempo.bpm, 1)
    return Found(genres, bpm, f"{analysis.model.name} {analysis.model.revision}")


def copy_with_tags(source: str | os.PathLike[str], target: Path, analysis: TrackAnalysis) -> None:
    """Copy a music file and write what was found into the copy.

    Genre and tempo take the place of those in the file where something was found; every other tag and the cover
    stay. ID3 keeps its version.

    Raises
    ------
    ExportError
        If nothing was found, the file cannot be read, is of a kind that carries no such tags, or is damaged.
    OSError
        If the copy cannot be written.
    """
    found = found_in(analysis)
    try:
        with open(source, "rb") as original:
            _kind(original, analysis.file)  # before many megabytes are copied
    except OSError as error:
        raise unreadable(error) from error
    shutil.copyfile(source, target)
    with open(target, "r+b") as copy:
        write_tags(copy, found, analysis.file)


def unreadable(error: OSError) -> ExportError:
    """What to say of a music file that was there to be analysed and cannot be read now."""
    return ExportError(f"the music file cannot be read ({error.strerror or error}): give it again")


def write_tags(file: BinaryIO, found: Found, name: str) -> None:
    """Write into an open file; `name` is what to call it in front of a person. Errors as in `copy_with_tags`."""
    kind = _kind(file, name)
    try:
        file.seek(0)
        audio = kind.open(file)
        if audio.tags is None:
            audio.add_tags()
        options = kind.fill(audio.tags, found)
        file.seek(0)
        audio.save(file, **options)
    except mutagen.MutagenError as error:
        raise ExportError(
            f"{name}: its tags cannot be written ({safe_name(str(error))}): it may be damaged; export it again"
        ) from error


def media_type_of(file: BinaryIO, name: str) -> str:
    """Media type of an open music file, judged by its content.

    Raises
    ------
    ExportError
        If it is of a kind that carries no tags we can write.
    """
    return _kind(file, name).media_type


def _fill_id3(tags: Any, found: Found) -> dict[str, Any]:
    is_new, utf8 = not tags.keys(), 3
    if found.genres:
        tags.setall("TCON", [TCON(encoding=utf8, text=list(found.genres))])
    if found.bpm is not None:
        tags.setall("TBPM", [TBPM(encoding=utf8, text=[str(round(found.bpm))])])
        tags.add(TXXX(encoding=utf8, desc=EXACT_BPM, text=[str(found.bpm)]))
    tags.add(TXXX(encoding=utf8, desc=MODEL, text=[found.model]))
    if is_new or tags.version >= (2, 4, 0):
        return {"v2_version": 4}
    tags.update_to_v23()
    return {"v2_version": 3}


def _fill_vorbis(tags: Any, found: Found) -> dict[str, Any]:
    if found.genres:
        tags["GENRE"] = list(found.genres)
    if found.bpm is not None:
        tags["BPM"] = [str(round(found.bpm))]
        tags[EXACT_BPM] = [str(found.bpm)]
    tags[MODEL] = [found.model]
    return {}


def _fill_mp4(tags: Any, found: Found) -> dict[str, Any]:
    def own(name: str, value: str) -> None:
        tags[f"----:com.apple.iTunes:{name}"] = [MP4FreeForm(value.encode())]

    if found.genres:
        tags["\xa9gen"] = list(found.genres)
    if found.bpm is not None:
        tags["tmpo"] = [round(found.bpm)]
        own(EXACT_BPM, str(found.bpm))
    own(MODEL, found.model)
    return {}


@dataclass(frozen=True)
class _Kind:
    open: Callable[[BinaryIO], Any]
    fill: Callable[[Any, Found], dict[str, Any]]
    media_type: str


_MP3 = _Kind(MP3, _fill_id3, "audio/mpeg")
_WAV = _Kind(WAVE, _fill_id3, "audio/wav")
_AIFF = _Kind(AIFF, _fill_id3, "audio/aiff")
_FLAC = _Kind(FLAC, _fill_vorbis, "audio/flac")
_MP4 = _Kind(MP4, _fill_mp4, "audio/mp4")
_OGG = {
    b"\x01vorbis": _Kind(OggVorbis, _fill_vorbis, "audio/ogg"),
    b"OpusHead": _Kind(OggOpus, _fill_vorbis, "audio/ogg"),
    b"\x7fFLAC": _Kind(OggFLAC, _fill_vorbis, "audio/ogg"),
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
    second = head[1] if head[:1] == b"\xff" and len(head) > 1 else 0
    is_layer_3, is_aac = second & 0xE6 == 0xE2, second & 0xF6 == 0xF0
    if is_layer_3 or (begin and not is_aac):  # behind ID3 there may be zeros or half a frame first
        return _MP3
    raise ExportError(f"{name}: files of this kind carry no tags that FluxBeat can write: convert it to {_TAGGABLE}")
