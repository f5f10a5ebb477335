"""Data sets that a user brings, recognised by their layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fluxbeat.audio.tags import artist_of_file
from fluxbeat.errors import FluxBeatError
from fluxbeat.training.data.fma import find_fma, read_fma
from fluxbeat.training.data.folder_data import read_genre_folders
from fluxbeat.training.data.gtzan_audio import find_gtzan, read_gtzan
from fluxbeat.training.data.jamendo import find_jamendo, read_jamendo
from fluxbeat.training.data.recordings import Recording, read_table

READERS: dict[str, Callable[[Path], list[Recording]]] = {
    "table": read_table,
    "fma": read_fma,
    "jamendo": read_jamendo,
    "gtzan": read_gtzan,
    "folder": read_genre_folders,
}
EXPECTED = (
    "expected a folder of genre folders (FOLDER/GENRE/FILE), a CSV (path, labels), or the folder of GTZAN "
    "(genres/blues/...), FMA (fma_metadata/tracks.csv) or MTG-Jamendo (data/autotagging_genre.tsv)"
)


def kind_of(path: str | Path) -> str:
    """Which of READERS a path is for, by its layout.

    Raises
    ------
    FluxBeatError
        If there is nothing at the path, or it is a file but no CSV.
    """
    path = Path(path)
    if path.is_file():
        if path.suffix.lower() != ".csv":
            raise FluxBeatError(f"{path} is a file, but no CSV: {EXPECTED}")
        return "table"
    if not path.is_dir():
        raise FluxBeatError(f"{path}: no such folder or file; {EXPECTED}")
    if find_fma(path):
        return "fma"
    if find_jamendo(path):
        return "jamendo"
    return "gtzan" if find_gtzan(path) else "folder"


def read_dataset(path: str | Path, kind: str = "auto") -> list[Recording]:
    """The recordings of a data set.

    Parameters
    ----------
    path : path
        A folder or a CSV.
    kind : str
        'table', 'fma', 'jamendo', 'gtzan' or 'folder'; 'auto' recognises it.

    Raises
    ------
    FluxBeatError
        If the path is none of these, or incomplete; says what was expected.
    """
    if kind != "auto" and kind not in READERS:
        raise FluxBeatError(f"a data set is auto, {', '.join(READERS)}, got {kind!r}")
    return [_with_artist(recording) for recording in READERS[kind_of(path) if kind == "auto" else kind](Path(path))]


def _with_artist(recording: Recording) -> Recording:
    """A recording whose artist nobody names, with the one that its file's own tags name, or its name."""
    return recording if recording.artist else replace(recording, artist=artist_of_file(recording.path))
