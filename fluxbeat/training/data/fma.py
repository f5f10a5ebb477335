"""FMA in its published layout: fma_metadata/tracks.csv beside fma_small, fma_medium, fma_large or fma_full.

Defferrard, Benzi, Vandergheynst & Bresson, "FMA: A Dataset for Music Analysis" (ISMIR 2017), github.com/mdeff/fma.
Audio is fma_small/000/000002.mp3: the track's number in six digits, in a folder named by the first three. The
official split keeps artists apart.
"""

from __future__ import annotations

import csv
from pathlib import Path

from fluxbeat.errors import FluxBeatError
from fluxbeat.training.data.recordings import Recording

TABLE_PLACES = ("fma_metadata/tracks.csv", "tracks.csv")
SUBSETS = ("fma_small", "fma_medium", "fma_large", "fma_full")
SPLIT_NAMES = {"training": "train", "validation": "dev", "test": "test"}
COLUMNS = {
    "split": ("set", "split"),
    "genre": ("track", "genre_top"),
    "artist": ("artist", "id"),
}
LONGEST_FIELD = 10_000_000  # letters: albums and artists come with whole web pages about them


def find_fma(folder: Path) -> Path | None:
    """The table of an FMA folder (or the folder of its metadata); None where there is none."""
    for place in TABLE_PLACES:
        table = folder / place
        if table.is_file():
            with open(table, encoding="utf-8") as handle:
                if {"set", "track"} <= set(handle.readline().strip().split(",")):
                    return table
    return None


def read_fma(folder: str | Path) -> list[Recording]:
    """The tracks whose audio is at hand, with root genre, artist and official split.

    The smallest subset found is read. Tracks without a root genre have no labels.

    Raises
    ------
    FluxBeatError
        If the table is missing or is not FMA's, or no audio lies beside it.
    """
    folder = Path(folder)
    table = find_fma(folder)
    if table is None:
        raise FluxBeatError(f"{folder} is not FMA: expected {folder}/fma_metadata/tracks.csv")
    base = folder if table.parent == folder else table.parent.parent
    audio = next((base / name for name in SUBSETS if (base / name).is_dir()), None)
    if audio is None:
        audio = next((base.parent / name for name in SUBSETS if (base.parent / name).is_dir()), None)
    if audio is None:
        raise FluxBeatError(f"{base}: no audio; unpack one of {', '.join(SUBSETS)} beside fma_metadata")
    facts = _read_tracks(table)
    recordings = []
    for path in sorted(audio.glob("[0-9][0-9][0-9]/*.mp3")):
        if not path.stem.isdigit() or int(path.stem) not in facts:
            continue
        fact = facts[int(path.stem)]
        labels = (fact["genre"],) if fact["genre"] else None
        artist = f"fma/{fact['artist']}" if fact["artist"] else f"fma/track/{path.stem}"
        split = SPLIT_NAMES.get(fact["split"], "")
        recordings.append(Recording(path, labels, None, artist, split, track_id=path.stem))
    if not recordings:
        raise FluxBeatError(f"{audio}: no track that {table} names; expected files like {audio}/000/000002.mp3")
    return recordings


def _read_tracks(table: Path) -> dict[int, dict[str, str]]:
    """Split, genre and artist by the number of the track. The columns' names take two lines, the third is empty."""
    usual = csv.field_size_limit(LONGEST_FIELD)
    try:
        with open(table, newline="", encoding="utf-8") as handle:
            reader = csv.reader(handle)
            names = list(zip(next(reader), next(reader), strict=True))
            missing = [" ".join(name) for name in COLUMNS.values() if name not in names]
            if missing:
                raise FluxBeatError(f"{table}: no column {missing[0]!r} in its first two lines, as FMA's has")
            places = {key: names.index(name) for key, name in COLUMNS.items()}
            return {
                int(row[0]): {key: row[place].strip() for key, place in places.items()}
                for row in reader
                if row and row[0].isdigit()
            }
    finally:
        csv.field_size_limit(usual)
