"""The catalogue: which music lies where in which Debian package, who made it, and what is known of it."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fluxbeat.errors import FluxBeatError

RECORDED = ("ogg", "opus", "wav", "mp3", "flac")
TRACKER = ("xm", "mod", "it", "s3m")
COLUMNS = ("package", "path", "format", "artist", "title", "genres", "label_basis", "stated_bpm", "licence")
PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")


@dataclass(frozen=True)
class Track:
    """One piece of music.

    Attributes
    ----------
    package : str
        Debian package that holds it.
    path : str
        PACKAGE/path/in/the/package, or PACKAGE/_unz/ARCHIVE/path/in/the/archive.
    format : str
        As its file name ends, or would.
    artist, title, licence : str
        Empty where not known.
    words : tuple of str
        Genres in the catalogue's words.
    label_basis : str
        What the words rest on: 'tag-or-title' or 'guess'.
    tempo_bpm : float or None
        Where one tempo holds throughout and is known.
    """

    package: str
    path: str
    format: str
    artist: str
    title: str
    licence: str
    words: tuple[str, ...]
    label_basis: str
    tempo_bpm: float | None

    @property
    def is_tracker(self) -> bool:
        """Whether it is a tracker module, which must be rendered to be played."""
        return self.format in TRACKER


def read_catalogue(path: str | Path, tempo: str | Path | None = None) -> list[Track]:
    """The tracks of a catalogue that can be played: recordings and tracker modules, not MIDI or projects.

    Parameters
    ----------
    path : path
        CSV with the columns package, path, format, artist, title, genres (separated by `;`), label_basis, stated_bpm
        and licence; others are ignored.
    tempo : path, optional
        CSV of tracker modules with the columns path, folded_70_180 (BPM) and constant (1 or 0). Where the tempo is
        not constant it is not used.

    Raises
    ------
    FluxBeatError
        If a file or column is missing, or a line names no package or leads out of its package; names the line.
    """
    measured = _read_tempo(tempo) if tempo else {}
    tracks = []
    for line, row in enumerate(_read_rows(path, COLUMNS), start=2):
        parts = PurePosixPath(row["path"]).parts
        if not PACKAGE_NAME.fullmatch(row["package"]) or parts[:1] != (row["package"],) or ".." in parts:
            raise FluxBeatError(
                f"{path}, line {line}: a path is PACKAGE/place/in/the/package, got package {row['package']!r} "
                f"and path {row['path']!r}"
            )
        if row["format"] not in (*RECORDED, *TRACKER):
            continue
        words = tuple(word.strip() for word in row["genres"].split(";") if word.strip())
        try:
            stated_bpm = float(row["stated_bpm"]) if row["stated_bpm"] else None
        except ValueError as error:
            raise FluxBeatError(f"{path}, line {line}: stated_bpm must be a number, {error}") from error
        tracks.append(
            Track(
                row["package"],
                row["path"],
                row["format"],
                row["artist"].strip(),
                row["title"].strip(),
                row["licence"],
                words,
                row["label_basis"],
                measured.get(row["path"], stated_bpm),
            )
        )
    if not tracks:
        raise FluxBeatError(f"{path}: no line has a format that can be played ({', '.join((*RECORDED, *TRACKER))})")
    return tracks


def _read_tempo(path: str | Path) -> dict[str, float]:
    rows = _read_rows(path, ("path", "folded_70_180", "constant"))
    return {row["path"]: float(row["folded_70_180"]) for row in rows if row["constant"] == "1"}


def _read_rows(path: str | Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    path = Path(path)
    if not path.is_file():
        raise FluxBeatError(f"{path}: no such file; expected a CSV with the columns {', '.join(columns)}")
    with open(path, newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle)
        missing = [name for name in columns if name not in (reader.fieldnames or [])]
        if missing:
            raise FluxBeatError(f"{path}: the column {missing[0]} is missing; it needs {', '.join(columns)}")
        return list(reader)
