"""FMA in its published layout: fma_metadata/tracks.csv beside fma_small, fma_medium, fma_large or fma_full.

Defferrard, Benzi, Vandergheynst & Bresson, "FMA: A Dataset for Music Analysis" (ISMIR 2017), github.com/mdeff/fma.
Audio is fma_small/000/000002.mp3: the track's number in six digits, in a folder named by the first three. The
official split keeps artists apart.
"""

from __future__ import annotations

import csv
from pathlib import Path

from fluxbeat.errors import FluxBeatError
from fluxbeat.training.data.recordings import OTHER_NAMES, Recording

TABLE_PLACES = ("fma_metadata/tracks.csv", "tracks.csv")
SUBSETS = ("fma_small", "fma_medium", "fma_large", "fma_full")
COLUMNS = (("set", "split"), ("track", "genre_top"), ("artist", "id"))
LONGEST_FIELD = 10_000_000  # letters: albums and artists come with whole web pages about them


def read_fma(folder: Path) -> list[Recording] | None:
    """The tracks whose audio is at hand, with root genre, artist and official split; None where it is not FMA's folder.

    The folder may also be that of the metadata. The smallest subset found is read. Tracks without a root genre have no
    labels.

    Raises
    ------
    FluxBeatError
        If the table lacks a column, or no audio lies beside it.
    """
    table = next((folder / place for place in TABLE_PLACES if _is_table(folder / place)), None)
    if table is None:
        return None
    subsets = (place / name for place in (folder, folder.parent) for name in SUBSETS)
    audio = next((subset for subset in subsets if subset.is_dir()), None)
    if audio is None:
        raise FluxBeatError(f"{folder}: no audio; unpack one of {', '.join(SUBSETS)} beside fma_metadata")
    tracks = _read_tracks(table)
    recordings = []
    for path in sorted(audio.glob("[0-9][0-9][0-9]/*.mp3")):
        if path.stem in tracks:
            split, genre, artist = tracks[path.stem]
            labels = (genre,) if genre else None
            artist = f"fma/{artist or path.stem}"
            recordings.append(Recording(path, labels, None, artist, OTHER_NAMES.get(split, split), path.stem))
    if not recordings:
        raise FluxBeatError(f"{audio}: no track that {table} names; expected files like {audio}/000/000002.mp3")
    return recordings


def _is_table(path: Path) -> bool:
    if not path.is_file():
        return False
    with open(path, encoding="utf-8") as handle:
        return {"set", "track"} <= set(handle.readline().strip().split(","))


def _read_tracks(table: Path) -> dict[str, tuple[str, ...]]:
    """Split, genre and artist by the six digits of a track. The columns' names take two lines, the third is empty."""
    csv.field_size_limit(LONGEST_FIELD)
    with open(table, newline="", encoding="utf-8") as handle:
        reader = csv.reader(handle)
        names = list(zip(next(reader), next(reader), strict=True))
        missing = [" ".join(name) for name in COLUMNS if name not in names]
        if missing:
            raise FluxBeatError(f"{table}: no column {missing[0]!r} in its first two lines, as FMA's has")
        places = [names.index(name) for name in COLUMNS]
        return {
            row[0].zfill(6): tuple(row[place].strip() for place in places) for row in reader if row and row[0].isdigit()
        }
