"""MTG-Jamendo in its published layout: tables of tracks and tags, and a folder of audio.

Bogdanov, Won, Tovstogan, Porter & Serra, "The MTG-Jamendo Dataset for Automatic Music Tagging" (ICML 2019 workshop),
github.com/MTG/mtg-jamendo-dataset. A table is `data/autotagging_genre.tsv` or, for a split,
`data/splits/split-0/autotagging_genre-train.tsv` and its like: TRACK_ID, ARTIST_ID, ALBUM_ID, PATH, DURATION and as
many tags as the track has, like `genre---rock`. PATH is 14/214.mp3 in the audio folder, 14/214.low.mp3 in the smaller
release. The official splits keep artists apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fluxbeat.errors import FluxBeatError
from fluxbeat.training.data.recordings import OTHER_NAMES, Recording

FIRST_COLUMNS = ["TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION"]
GENRE_TAG = "genre---"
TABLES = ("autotagging_genre", "autotagging")
AUDIO_DEPTH = 3
PARTS = ("train", "validation", "test")


def read_jamendo(folder: Path) -> list[Recording] | None:
    """The tracks whose audio is at hand, with all their genre tags, artist and split; None where it is another folder.

    The audio lies at any place up to three folders below. Of the five official splits the first is taken.

    Raises
    ------
    FluxBeatError
        If the tables have other columns, or none of the tracks' audio is there.
    """
    tables = _tables(folder)
    if not tables:
        return None
    homes = _audio_folders(folder)
    recordings, paths = [], []
    for part, table in tables.items():
        split = OTHER_NAMES.get(part, part)
        for name, artist, path, labels in _read_tracks(table):
            paths.append(path)
            places = [home / file for home in homes for file in (path, f"{path.removesuffix('.mp3')}.low.mp3")]
            found = next((place for place in places if place.is_file()), None)
            if found and labels:
                recordings.append(Recording(found, labels, None, f"jamendo/{artist}", split, name))
    if not recordings:
        example = f"{folder}/audio/{paths[0] if paths else ''}"
        raise FluxBeatError(f"{folder}: no audio of the tracks that its tables name; expected for example {example}")
    return recordings


def _tables(folder: Path) -> dict[str, Path]:
    """The tables of an MTG-Jamendo folder by split ('' for one without a split); empty where there are none."""
    for name in TABLES:
        for place in (folder / "data" / "splits" / "split-0", folder / "splits" / "split-0"):
            parts = {part: place / f"{name}-{part}.tsv" for part in PARTS}
            if all(path.is_file() for path in parts.values()):
                return parts
        for place in (folder / "data", folder):
            if (place / f"{name}.tsv").is_file():
                return {"": place / f"{name}.tsv"}
    return {}


def _audio_folders(folder: Path) -> list[Path]:
    """Folders that hold folders named by two digits, as the audio's do."""
    patterns = ["*/" * depth + "[0-9][0-9]" for depth in range(AUDIO_DEPTH + 1)]
    return sorted({path.parent for pattern in patterns for path in folder.glob(pattern) if path.is_dir()})


def _read_tracks(table: Path) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """Name, artist, path and genres of each track."""
    rows = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not rows or rows[0][: len(FIRST_COLUMNS)] != FIRST_COLUMNS:
        raise FluxBeatError(
            f"{table}: the first line must begin with {', '.join(FIRST_COLUMNS)}, as MTG-Jamendo's does"
        )
    for line, row in enumerate(rows[1:], start=2):
        if len(row) <= len(FIRST_COLUMNS):
            raise FluxBeatError(f"{table}, line {line}: expected {len(FIRST_COLUMNS)} columns and tags, got {len(row)}")
        labels = tuple(tag.removeprefix(GENRE_TAG) for tag in row[len(FIRST_COLUMNS) :] if tag.startswith(GENRE_TAG))
        yield row[0], row[1], row[3], labels
