"""A folder of recordings with recordings.csv, and the spectrograms of one split of it, decoded once for all models."""

from __future__ import annotations

import csv
import hashlib
import logging
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fluxbeat.analysis.track import Track, track_of
from fluxbeat.audio.decoding import open_audio
from fluxbeat.errors import FluxBeatError
from fluxbeat.features.log_mel import FeatureConfig, LogMel
from fluxbeat.library.cache import READING_ROOMS, cache_folder, code_digest, file_state
from fluxbeat.training.data.datasets import read_dataset
from fluxbeat.training.data.extraction import about
from fluxbeat.training.data.store import EXCERPT_S, INDEX_FILE, SPLITS, Excerpt, FeatureStore, StoreWriter

CATALOGUE_FILE, KEY_FILE = "recordings.csv", "key.txt"
COLUMNS = ("file", "split", "labels", "artist", "dataset", "seconds")
NO_MUSIC = {"speech": "speech", "noise": "neither"}
"""Labels that are no genre, and the kind of sound that they name."""
_log = logging.getLogger(__name__)


def read_catalogue(folder: Path, split: str) -> list[Excerpt]:
    """What recordings.csv says of the recordings of one split; rows of other splits are passed over.

    Parameters
    ----------
    folder : Path
        With recordings.csv: file, split, labels (separated by `;`, empty where unnamed), artist, dataset, seconds,
        and where it is exactly known bpm.
    split : str
        'train', 'dev' or 'test'.

    Raises
    ------
    FluxBeatError
        If there is no such table, a column is missing, or the split is unknown or empty.
    """
    path = folder / CATALOGUE_FILE
    if split not in SPLITS:
        raise FluxBeatError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    if not path.is_file():
        raise FluxBeatError(f"{folder} has no {CATALOGUE_FILE}: it says which recordings there are, with {COLUMNS}")
    with path.open(newline="", encoding="utf-8") as handle:
        rows = csv.DictReader(handle)
        missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
        if missing:
            raise FluxBeatError(f"{path} has no column {missing[0]!r}: it needs {', '.join(COLUMNS)}")
        found = [_excerpt(row) for row in rows if row["split"] == split]
    if not found:
        raise FluxBeatError(f"{path} has no recording of the split {split!r}")
    return found


def read_own(data: Path, split: str) -> list[Excerpt]:
    """A person's own recordings with labels or tempi; of one split where their table has splits, else all of them.

    Parameters
    ----------
    data : Path
        As `fluxbeat.training.data.datasets.read_dataset` takes it.
    split : str

    Raises
    ------
    FluxBeatError
        If nothing is there to judge by.
    """
    found = [one for one in read_dataset(data) if one.labels or one.tempo_bpm]
    if any(one.split for one in found):
        found = [one for one in found if one.split == split]
    if not found:
        raise FluxBeatError(f"{data} has no recording of the split {split!r} with labels or a tempo to judge by")
    return [
        replace(about(one, EXCERPT_S), name=str(one.path.resolve()), split=split, dataset=data.stem) for one in found
    ]


def _excerpt(row: dict[str, str]) -> Excerpt:
    named = [label for label in row["labels"].split(";") if label]
    kinds = [NO_MUSIC[label] for label in named if label in NO_MUSIC]
    return Excerpt(
        name=row["file"],
        artist=row["artist"],
        split=row["split"],
        labels={} if kinds else dict.fromkeys(named, 1.0),
        kind=kinds[0] if kinds else "music",
        dataset=row["dataset"],
        duration_s=float(row["seconds"]),
        tempo_bpm=float(row["bpm"]) if row.get("bpm") else None,
    )


def default_cache() -> Path:
    """Where spectrograms and peers' answers are kept between runs."""
    return cache_folder() / "recordings"


def split_cache(cache: Path, folder: Path, split: str) -> Path:
    """Where what was found of one split is kept: another place for another table, or another list of files."""
    table = folder / CATALOGUE_FILE if folder.is_dir() else folder
    if table.is_file():
        content = table.read_bytes()
    else:
        content = "\n".join(sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))).encode()
    return cache / f"{folder.resolve().stem}-{hashlib.sha256(content).hexdigest()[:12]}" / split


def spectrograms(
    folder: Path, excerpts: Sequence[Excerpt], features: FeatureConfig, cache: Path, subset: str = ""
) -> FeatureStore:
    """The recordings' log-mel power, memory-mapped; decoded as an analysis decodes them, the first time only.

    Parameters
    ----------
    folder : Path
        That the excerpts' names start from.
    excerpts : sequence of Excerpt
        Of one split, as `read_catalogue` gives them.
    features : FeatureConfig
    cache : Path
        Folder that all of it is kept in. What was kept is used where the recordings have the same names, sizes and
        times of change, and the code of the rooms that decode and compute spectrograms is the same (`READING_ROOMS`).
    subset : str
        A name for these excerpts where they are not the whole split.

    Returns
    -------
    FeatureStore
        With the excerpts in their order; their `duration_s` is what was decoded, at most 30 s.

    Raises
    ------
    AudioDecodeError
        If a recording cannot be read.
    """
    place = split_cache(cache, folder, excerpts[0].split) / f"{features.hash}{subset}"
    states = [(excerpt.name, file_state(folder / excerpt.name)) for excerpt in excerpts]
    key = hashlib.sha256(repr((code_digest(READING_ROOMS), states)).encode("utf-8", "surrogateescape")).hexdigest()
    kept_key = place / KEY_FILE
    if (place / INDEX_FILE).is_file():
        if kept_key.is_file() and kept_key.read_text(encoding="ascii") == key:
            return FeatureStore(place)
        shutil.rmtree(place)
    writer, front_end = StoreWriter(place, features, len(excerpts)), LogMel(features)
    most = round(EXCERPT_S * features.frame_rate_hz)
    for number, excerpt in enumerate(excerpts):
        with open_audio(folder / excerpt.name, sample_rate_hz=features.sample_rate_hz) as stream:
            log_mel_db = front_end.from_blocks(stream)[:, :most]
        writer.add(replace(excerpt, duration_s=log_mel_db.shape[1] / features.frame_rate_hz), log_mel_db)
        if number % 100 == 99:
            _log.info("%s: %d of %d recordings decoded", excerpt.split, number + 1, len(excerpts))
    store = writer.close()
    kept_key.write_text(key, encoding="ascii")
    return store


def tracks(store: FeatureStore, rows: Iterable[int] | None = None) -> Iterator[Track]:
    """The rows of a store, by default all, as the engine takes recordings, one at a time and without repeats."""
    for row in range(len(store)) if rows is None else rows:
        log_mel_db = store.sound(row).astype(np.float32)
        yield track_of(log_mel_db, store.features, store.excerpts[row].name)
