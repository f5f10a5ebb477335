"""Writing an analysis: as bytes for a program to send on, or as a file beside others that it must not harm."""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias

from fluxbeat.analysis.result import TrackAnalysis
from fluxbeat.atomic_write import atomic_write
from fluxbeat.audio.readers import safe_name
from fluxbeat.errors import ExportError
from fluxbeat.export.analysis_json import to_json
from fluxbeat.export.audacity_labels import to_audacity_beats, to_audacity_labels
from fluxbeat.export.formats import CaptionedImage, the_format
from fluxbeat.export.html_report import to_html_report
from fluxbeat.export.jams_file import to_jams
from fluxbeat.export.tagged_copy import write_tags
from fluxbeat.export.windows_csv import to_windows_csv

Source: TypeAlias = str | os.PathLike[str] | bytes
"""The music file itself: its path, or its content."""

WRITERS: dict[str, Callable[[TrackAnalysis], bytes]] = {
    "csv": to_windows_csv,
    "audacity": to_audacity_labels,
    "audacity-beats": to_audacity_beats,
    "json": to_json,
    "jams": to_jams,
}
"""Of what needs nothing but the analysis."""


def render(
    analysis: TrackAnalysis, kind: str, source: Source | None = None, *, images: Sequence[CaptionedImage] = ()
) -> bytes:
    """An analysis as the content of a file.

    Parameters
    ----------
    analysis : TrackAnalysis
    kind : str
        A name in `FORMATS`.
    source : path or bytes, optional
        The music file that was analysed; needed for `tags` alone, whose result is a copy of it in memory.
    images : sequence of (str, bytes), optional
        Captions and PNG files that explain the analysis, shown by `html`.

    Raises
    ------
    ExportError
        If there is no such format, it needs the music file, or the file or an image does not fit.
    """
    if not the_format(kind).needs_source:
        return to_html_report(analysis, images) if kind == "html" else WRITERS[kind](analysis)
    with _opened(source) as original:
        copy = io.BytesIO(original.read())
    write_tags(copy, analysis)
    return copy.getvalue()


def export(
    analysis: TrackAnalysis,
    kind: str,
    output: str | os.PathLike[str],
    source: str | os.PathLike[str] | None = None,
    *,
    images: Sequence[CaptionedImage] = (),
    overwrite: bool = False,
) -> Path:
    """Write an analysis to a file, which is there whole or not at all.

    Parameters
    ----------
    analysis, kind, images
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
        with atomic_write(target) as partial:
            if wanted.needs_source:
                with _opened(source) as original, open(partial, "w+b") as copy:
                    shutil.copyfileobj(original, copy)
                    write_tags(copy, analysis)
            else:
                partial.write_bytes(render(analysis, kind, images=images))
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
    name = safe_name(file, limit=1000)
    ending = re.search(r"(?<=.)\.[A-Za-z0-9]{1,5}$", name)  # a title such as `Vol. 2 – Somebody` has none
    suffix = ending.group() if ending else ""
    stem = re.sub(r'[\\/:*?"<>|\x00-\x1f�]', "_", name.removesuffix(suffix))
    stem = stem.encode()[:180].decode(errors="ignore")  # file systems take names of 255 bytes, in UTF-8
    stem = stem.strip(" .") or "track"
    wanted = the_format(kind)
    if wanted.needs_source:
        return f"{stem}.fluxbeat{(Path(source).suffix if source is not None else '') or suffix}"
    return f"{stem}.fluxbeat{wanted.suffix}"


def _opened(source: Source | None) -> BinaryIO:
    if source is None:
        raise ExportError("a tagged copy needs the music file that was analysed: give its path as source")
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        return open(source, "rb")
    except OSError as error:
        raise ExportError(f"the music file cannot be read ({error.strerror or error}): give it again") from error
