"""Which formats there are: their names, endings and media types, and who writes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fluxbeat.analysis import TrackAnalysis
from fluxbeat.errors import ExportError
from fluxbeat.export.analysis_json import to_json
from fluxbeat.export.audacity_labels import to_audacity_labels
from fluxbeat.export.html_report import Picture, to_html_report
from fluxbeat.export.jams_file import to_jams
from fluxbeat.export.windows_csv import to_windows_csv

__all__ = ["FORMATS", "TAGS", "Format", "Picture", "the_format"]

Writer: TypeAlias = Callable[[TrackAnalysis, Sequence[Picture]], bytes]
TAGS = "tags"


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
        Ending of the file's name, with its dot; empty where it is that of the music file.
    media_type : str
        Empty where it is that of the music file.
    write : callable or None
        From the analysis, and pictures for formats that can show them; None where the music file is needed.
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


FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        Format(
            "html",
            "Report",
            "A page with the charts, to keep or to send: opens anywhere, without internet.",
            ".html",
            "text/html",
            to_html_report,
        ),
        Format(
            TAGS,
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
            lambda analysis, _: to_windows_csv(analysis),
        ),
        Format(
            "audacity",
            "Audacity labels",
            "The segments as a label track: in Audacity, File, Import, Labels.",
            ".txt",
            "text/plain",
            lambda analysis, _: to_audacity_labels(analysis),
        ),
        Format(
            "json",
            "JSON",
            "All that was found, for programs.",
            ".json",
            "application/json",
            lambda analysis, _: to_json(analysis),
        ),
        Format(
            "jams",
            "JAMS",
            "Genres, tempo and segments as music researchers exchange them.",
            ".jams",
            "application/json",
            lambda analysis, _: to_jams(analysis),
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
