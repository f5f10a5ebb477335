"""The library as a table: one row per file, put in order, filtered, and written as CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any, TextIO

from fluxbeat.analysis.presence import Presence
from fluxbeat.analysis.result import TrackAnalysis
from fluxbeat.audio.sound_files import SoundFile
from fluxbeat.audio.tags import one_line
from fluxbeat.errors import WarningCode
from fluxbeat.export.windows_csv import harmless_cell
from fluxbeat.library.small_river import SmallRiver, small_river

CSV_COLUMNS = ("path", "title", "artist", "length_s", "genres", "bpm", "rival_bpm", "warnings", "error")
SEPARATOR = "; "
"""Between the genres, and between the warnings, of one row."""


@dataclass(frozen=True)
class LibraryRow:
    """What is known of one file.

    Attributes
    ----------
    path : str
        Below the library's folder, with `/`.
    title : str
        From the file's tags, else its name without the ending.
    artist : str
        From the file's tags, else empty.
    duration_s : float or None
    genres : tuple of str
        Those that pass their threshold over the whole track, most probable first; none where no genre is sure.
    bpm : float or None
        None where there is no beat.
    rival_bpm : float or None
        What the tempo could be as well, where that is to be named beside it.
    warnings : tuple of str
    warning_codes : tuple of str
        The code of each of `warnings`, by which programs tell them apart.
    error : str or None
        Why there is nothing to say of this file; then only `path`, `title` and `artist` are known.
    river : SmallRiver or None
        For a view to draw; not part of `to_dict`.
    presence : tuple of Presence
        How present each of `genres` is; not part of `to_dict`.
    tempo_confidence : float or None
        0..1; not part of `to_dict`.
    """

    path: str
    title: str
    artist: str = ""
    duration_s: float | None = None
    genres: tuple[str, ...] = ()
    bpm: float | None = None
    rival_bpm: float | None = None
    warnings: tuple[str, ...] = ()
    warning_codes: tuple[WarningCode, ...] = ()
    error: str | None = None
    river: SmallRiver | None = field(default=None, compare=False)
    presence: tuple[Presence, ...] = field(default=(), compare=False)
    tempo_confidence: float | None = field(default=None, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Named and rounded as in `TrackAnalysis.to_dict`, fit for JSON."""
        found = asdict(self)
        for name in ("river", "presence", "tempo_confidence"):
            del found[name]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def analysed_row(file: SoundFile, analysis: TrackAnalysis) -> LibraryRow:
    """The row of a file that could be analysed."""
    present = [genre for genre in analysis.genres if genre.active]
    return LibraryRow(
        path=file.shown,
        title=_title(file, analysis.title),
        artist=analysis.artist,
        duration_s=round(analysis.duration_s, 3),
        genres=tuple(genre.label for genre in present),
        bpm=_rounded(analysis.tempo.bpm),
        rival_bpm=_rounded(analysis.tempo.rival_bpm),
        warnings=tuple(warning.text for warning in analysis.warnings),
        warning_codes=tuple(warning.code for warning in analysis.warnings),
        river=small_river(analysis),
        presence=tuple(genre.presence for genre in present),
        tempo_confidence=None if analysis.tempo.bpm is None else analysis.tempo.confidence,
    )


def failed_row(file: SoundFile, error: str) -> LibraryRow:
    """The row of a file that could not."""
    return LibraryRow(path=file.shown, title=_title(file, ""), error=error)


def _rounded(bpm: float | None) -> float | None:
    return None if bpm is None else round(bpm, 2)


def _title(file: SoundFile, tagged: str) -> str:
    return tagged or one_line(PurePosixPath(file.shown).stem) or file.shown


def _key(value: Any, row: LibraryRow) -> Any:
    return (not value, value or 0, row.title.casefold(), row.path)


_ORDERS: dict[str, Callable[[LibraryRow], Any]] = {
    "bpm": lambda row: _key(row.bpm, row),
    "title": lambda row: _key(row.title.casefold(), row),
    "length": lambda row: _key(row.duration_s, row),
    "genre": lambda row: _key(tuple(name.casefold() for name in row.genres), row),
}


def ordered(rows: Iterable[LibraryRow], by: str | None = None) -> list[LibraryRow]:
    """Rows by `bpm`, `title`, `length` or `genre`, rising, what is unknown last; by path where `by` is None."""
    return sorted(rows, key=_ORDERS[by] if by else lambda row: row.path.casefold())


def filtered(
    rows: Iterable[LibraryRow], genre: str | None = None, bpm_range: tuple[float, float] | None = None
) -> list[LibraryRow]:
    """Rows with this genre among theirs and a tempo in this range, borders included."""
    return [
        row
        for row in rows
        if (genre is None or genre in row.genres)
        and (bpm_range is None or (row.bpm is not None and bpm_range[0] <= row.bpm <= bpm_range[1]))
    ]


def write_csv(rows: Sequence[LibraryRow], file: TextIO) -> None:
    """Write rows as CSV (RFC 4180) with a header; `file` must have been opened with newline=''.

    Text that a spreadsheet would take for a formula stands behind an apostrophe.
    """
    writer = csv.writer(file)
    writer.writerow(CSV_COLUMNS)
    for row in rows:
        genres, warnings = SEPARATOR.join(row.genres), SEPARATOR.join(row.warnings)
        named = (row.path, row.title, row.artist)
        cells = (*named, row.duration_s, genres, row.bpm, row.rival_bpm, warnings, row.error)
        writer.writerow([harmless_cell(cell) if isinstance(cell, str) else cell for cell in cells])
