"""Which formats there are, with their names and endings; the command line names them in its `--help`.

A name is short, for people type it. No two formats have the same ending: a second `.txt` gets a word before it, as
`.beats.txt`. Who writes them stands apart, in `writing`, so that `--help` loads no writer.
"""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from typing import TypeAlias

from fluxbeat.errors import ExportError

CaptionedImage: TypeAlias = tuple[str, bytes]
"""A caption and the content of a PNG file."""

mimetypes.add_type("application/json", ".jams")


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
    """

    name: str
    title: str
    about: str
    suffix: str

    @property
    def needs_source(self) -> bool:
        """Whether the music file itself is needed: it is copied."""
        return not self.suffix


FORMATS: dict[str, Format] = {
    listed.name: listed
    for listed in (
        Format(
            "html", "Report", "A page with the charts, to keep or to send: opens anywhere, without internet.", ".html"
        ),
        Format(
            "tags",
            "Tagged copy",
            "The song with its genres and tempo written into it, for music libraries and DJ programs.",
            "",
        ),
        Format("csv", "Table", "Every genre and the tempo second by second, for spreadsheets (CSV).", ".csv"),
        Format(
            "audacity", "Audacity labels", "The segments as a label track: in Audacity, File, Import, Labels.", ".txt"
        ),
        Format(
            "audacity-beats",
            "Audacity beats",
            "Every beat as a label track: in Audacity, File, Import, Labels.",
            ".beats.txt",
        ),
        Format("json", "JSON", "All that was found, for programs.", ".json"),
        Format("jams", "JAMS", "Genres, tempo, beats and segments as music researchers exchange them.", ".jams"),
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
