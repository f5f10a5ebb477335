"""Data sets that a user brings, recognised by their layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fluxbeat.audio.tags import artist_of_file
from fluxbeat.errors import FluxBeatError
from fluxbeat.training.data.fma import read_fma
from fluxbeat.training.data.folder_data import read_genre_folders
from fluxbeat.training.data.gtzan_audio import read_gtzan
from fluxbeat.training.data.jamendo import read_jamendo
from fluxbeat.training.data.recordings import Recording, read_table

READERS: tuple[Callable[[Path], list[Recording] | None], ...] = (read_fma, read_jamendo, read_gtzan, read_genre_folders)
"""Each reads a folder, or gives None where it has another layout; the last takes any."""
EXPECTED = (
    "expected a folder of genre folders (FOLDER/GENRE/FILE), a CSV (path, labels), or the folder of GTZAN "
    "(genres/blues/...), FMA (fma_metadata/tracks.csv) or MTG-Jamendo (data/autotagging_genre.tsv)"
)


def read_dataset(path: str | Path) -> list[Recording]:
    """The recordings of a data set; where nobody names an artist, the one that the file's own tags name, or its name.

    Parameters
    ----------
    path : path
        A folder or a CSV.

    Raises
    ------
    FluxBeatError
        If the path is none of these, or incomplete; says what was expected.
    """
    path = Path(path)
    if path.is_dir():
        recordings = next(found for found in (read(path) for read in READERS) if found is not None)
    elif not path.is_file():
        raise FluxBeatError(f"{path}: no such folder or file; {EXPECTED}")
    elif path.suffix.lower() != ".csv":
        raise FluxBeatError(f"{path} is a file, but no CSV: {EXPECTED}")
    else:
        recordings = read_table(path)
    return [
        recording if recording.artist else replace(recording, artist=artist_of_file(recording.path))
        for recording in recordings
    ]
