"""What the files of a recipe's data are at the moment: another answer where somebody has changed one of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from fluxbeat.training.corpus.label_map import LABEL_MAP
from fluxbeat.training.corpus.shards import INDEX
from fluxbeat.training.folder_data import audio_files
from fluxbeat.training.recipe import DataConfig
from fluxbeat.training.recordings import read_table

HASHED_BYTES = 4_000_000
"""Tables up to this size are known by their SHA-256; sound and arrays, and larger tables, by size and time."""
MISSING = "missing"


def data_state(data: DataConfig, root: Path) -> list[tuple[str, str]]:
    """Every file that a recipe's data is read from, and what it is; reads no sound.

    Parameters
    ----------
    data : DataConfig
    root : Path
        Folder that its paths start from.

    Returns
    -------
    list of (str, str)
        Path below `root` where the file lies there, and its size and modification time, its SHA-256, or 'missing'.

    Raises
    ------
    FluxBeatError
        If the table of recordings cannot be read.
    """
    return [(_shown(path, root), _state(path)) for path in _files(data, root)]


def _files(data: DataConfig, root: Path) -> Iterator[Path]:
    if data.gtzan_archive:
        yield LABEL_MAP
        yield from (root / f"{data.gtzan_archive}{ending}" for ending in (".npz", ".csv"))
    if data.gtzan_recordings:
        yield from audio_files(root / data.gtzan_recordings)
    if data.recordings:
        table = root / data.recordings
        yield table
        yield from (recording.path for recording in read_table(table))
    if data.corpus:
        yield root / data.corpus / INDEX
        yield from sorted((root / data.corpus).glob("*.npz"))
    if data.unlabelled:
        yield from audio_files(root / data.unlabelled)
    if data.teacher:
        yield from sorted((root / data.teacher).glob("*.npz"))


def _state(path: Path) -> str:
    if not path.is_file():
        return MISSING
    found = path.stat()
    if path.suffix in (".csv", ".yaml") and found.st_size <= HASHED_BYTES:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{found.st_size} bytes, {found.st_mtime_ns} ns"


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
