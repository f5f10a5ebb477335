"""Which formats there are: their names, endings and media types, and who writes them.

Nothing heavy is imported before something is written: the command line reads the table for its `--help`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias

from fluxbeat.errors import ExportError

if TYPE_CHECKING:
    from fluxbeat.analysis import TrackAnalysis

CaptionedImage: TypeAlias = tuple[str, bytes]
"""A caption and the content of a PNG file."""
Writer: TypeAlias = "Callable[[TrackAnalysis, Sequence[CaptionedImage]], bytes]"


@dataclass(frozen=True)
class Format:
    """A format that an analysis can be written in.

    Attributes
    ----------
    name : str
        As the command line and the REST service know it.
    title, about : str
        What it is called, and what it is good for, in a listener's words.
    suffix : str
        Ending of the file's name, with its dot, by which it stands beside the other exports of a track; empty where it
        is that of the music file.
    media_type : str
        Empty where it is that of the music file.
    write : callable or None
        From the analysis, and images for formats that can show them; raises `ExportError` where there is nothing to
        write. None where the music file is needed.
    """

    name: str
    title: str
    about: str
    suffix: str
    media_type: str
    write: Writer | None

    @property
    def needs_source(self) -> bool:
        """Whether the music file itself is needed."""
        return self.write is None


def _by(module: str, function: str, *, with_images: bool = False) -> Writer:
    """What a module of this folder writes, imported when it is asked for."""

    def write(analysis: TrackAnalysis, images: Sequence[CaptionedImage]) -> bytes:
        writer = getattr(import_module(f"fluxbeat.export.{module}"), function)
        content: bytes = writer(analysis, images) if with_images else writer(analysis)
        return content

    return write


FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        Format(
            "html",
            "Report",
            "A page with the charts, to keep or to send: opens anywhere, without internet.",
            ".html",
            "text/html",
            _by("html_report", "to_html_report", with_images=True),
        ),
        Format(
            "tags",
            "Tagged copy",
            "The song with its genres and tempo written into it, for music libraries and DJ programs.",
            "",
            "",
            None,
        ),
        Format(
            "csv",
            "Table",
            "Every genre and the tempo second by second, for spreadsheets (CSV).",
            ".csv",
            "text/csv",
            _by("windows_csv", "to_windows_csv"),
        ),
        Format(
            "audacity",
            "Audacity labels",
            "The segments as a label track: in Audacity, File, Import, Labels.",
            ".txt",
            "text/plain",
            _by("audacity_labels", "to_audacity_labels"),
        ),
        Format(
            "audacity-beats",
            "Audacity beats",
            "Every beat as a label track: in Audacity, File, Import, Labels.",
            ".beats.txt",
            "text/plain",
            _by("audacity_labels", "to_audacity_beats"),
        ),
        Format(
            "json",
            "JSON",
            "All that was found, for programs.",
            ".json",
            "application/json",
            _by("analysis_json", "to_json"),
        ),
        Format(
            "jams",
            "JAMS",
            "Genres, tempo, beats and segments as music researchers exchange them.",
            ".jams",
            "application/json",
            _by("jams_file", "to_jams"),
        ),
    )
}
"""By name, in the order in which they are offered."""


def the_format(name: str) -> Format:
    """The format of this name.

    Raises
    ------
    ExportError
        If there is none; the message names those there are.
    """
    if name not in FORMATS:
        raise ExportError(f"no format {name!r}: expected one of {', '.join(FORMATS)}")
    return FORMATS[name]
