"""Writing an analysis: as bytes for a program to send on, or as a file beside others that it must not harm."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from fluxbeat.analysis import TrackAnalysis
from fluxbeat.audio import safe_name
from fluxbeat.errors import ExportError
from fluxbeat.export.formats import Picture, the_format
from fluxbeat.export.tagged_copy import copy_with_tags, found_in, media_type_of, unreadable, write_tags
from fluxbeat.replacing import replacing

Source: TypeAlias = str | os.PathLike[str] | bytes
"""The music file itself: its path, or its content."""

_LONGEST_STEM_BYTES = 180
"""File systems take names of 255 bytes, in UTF-8."""


def render(
    analysis: TrackAnalysis, kind: str, source: Source | None = None, *, pictures: Sequence[Picture] = ()
) -> bytes:
    """An analysis as the content of a file.

    Parameters
    ----------
    analysis : TrackAnalysis
    kind : str
        A name in `FORMATS`.
    source : path or bytes, optional
        The music file that was analysed; needed for `tags` alone, whose result is a copy of it in memory.
    pictures : sequence of (str, bytes), optional
        Captions and PNG files that explain the analysis, shown by `html`.

    Raises
    ------
    ExportError
        If there is no such format, it needs the music file, or the file or a picture does not fit.
    """
    wanted = the_format(kind)
    if wanted.write is not None:
        return wanted.write(analysis, pictures)
    found = found_in(analysis)
    copy = io.BytesIO(_content(source))
    write_tags(copy, found, analysis.file)
    return copy.getvalue()


def export(
    analysis: TrackAnalysis,
    kind: str,
    output: str | os.PathLike[str],
    source: str | os.PathLike[str] | None = None,
    *,
    pictures: Sequence[Picture] = (),
    overwrite: bool = False,
) -> Path:
    """Write an analysis to a file, which is there whole or not at all.

    Parameters
    ----------
    analysis, kind, pictures
        As in `render`.
    output : path
        File to write, or a folder that is there: then the file is called as `file_name` says.
    source : path, optional
        The music file that was analysed; needed for `tags` alone. It is never changed.
    overwrite : bool
        Whether a file that is there may be replaced.

    Returns
    -------
    Path
        Of the file written.

    Raises
    ------
    ExportError
        As in `render`; or the file is there already, or cannot be written, or is the music file itself.
    """
    wanted = the_format(kind)
    target = Path(output)
    if target.is_dir():
        target /= file_name(analysis.file, kind, source)
    refuse_output(target, kind, source, overwrite)
    try:
        with replacing(target) as partial:
            if wanted.needs_source:
                copy_with_tags(_needed(source), partial, analysis)
            else:
                partial.write_bytes(render(analysis, kind, pictures=pictures))
    except OSError as error:
        raise ExportError(f"{target} cannot be written ({error.strerror or error})") from error
    return target


def refuse_output(target: Path, kind: str, source: str | os.PathLike[str] | None, overwrite: bool) -> None:
    """Say what speaks against writing to `target`, before anything is worked out.

    Raises
    ------
    ExportError
        If its folder is missing, something is there that may not be replaced, or a tagged copy would get another
        ending than its music file.
    """
    if not target.parent.is_dir():
        raise ExportError(f"{target}: the folder {target.parent} does not exist; make it first")
    if source is not None and target.exists() and Path(source).exists() and target.samefile(source):
        raise ExportError(f"{target} is the music file itself, which is never changed: choose another name")
    if target.is_dir() or (target.exists() and not overwrite):
        cure = "choose another name" if target.is_dir() else "choose another name, or let it be replaced (--force)"
        raise ExportError(f"{target} exists already: {cure}")
    if the_format(kind).needs_source and source is not None:
        suffix = Path(source).suffix
        if suffix and target.suffix.lower() != suffix.lower():
            raise ExportError(
                f"{target}: a tagged copy is of the same kind as its music file: let it end with {suffix}"
            )


def file_name(file: str, kind: str, source: str | os.PathLike[str] | None = None) -> str:
    """What to call the export of a track: `song.mp3` as csv is `song.fluxbeat.csv`.

    Parameters
    ----------
    file : str
        Name of the track, as in `TrackAnalysis.file`; what file systems refuse in it is replaced.
    kind : str
        A name in `FORMATS`.
    source : path, optional
        The music file, whose ending a tagged copy keeps; else that of `file`.
    """
    stem, suffix = _split(safe_name(file, limit=1000))
    stem = re.sub(r'[\\/:*?"<>|\x00-\x1f�]', "_", stem).encode()[:_LONGEST_STEM_BYTES].decode(errors="ignore")
    stem = stem.strip(" .") or "track"
    wanted = the_format(kind)
    if wanted.needs_source:
        return f"{stem}.fluxbeat{(Path(source).suffix if source is not None else '') or suffix}"
    return f"{stem}.fluxbeat{wanted.suffix}"


def media_type(kind: str, source: Source | None = None) -> str:
    """Media type of a format; that of a tagged copy is its music file's.

    Raises
    ------
    ExportError
        If there is no such format, or `source` is needed and missing or carries no tags.
    """
    wanted = the_format(kind)
    if not wanted.needs_source:
        return wanted.media_type
    if isinstance(source, bytes):
        return media_type_of(io.BytesIO(source), "the music file")
    try:
        with open(_needed(source), "rb") as file:
            return media_type_of(file, safe_name(os.fspath(_needed(source))))
    except OSError as error:
        raise unreadable(error) from error


def _needed(source: str | os.PathLike[str] | None) -> str:
    if source is None:
        raise ExportError("a tagged copy needs the music file that was analysed: give its path as source")
    return os.fspath(source)


def _content(source: Source | None) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return Path(_needed(source)).read_bytes()
    except OSError as error:
        raise unreadable(error) from error


def _split(file: str) -> tuple[str, str]:
    """Stem and ending; a title such as `Vol. 2 – Somebody` has none."""
    ending = re.search(r"\.[A-Za-z0-9]{1,5}$", file)
    return (file[: ending.start()], ending.group()) if ending and ending.start() else (file, "")
