"""A built corpus as training items."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from fluxbeat.errors import FluxBeatError
from fluxbeat.features import FeatureConfig
from fluxbeat.training.corpus.shards import IndexRow, read_arrays, read_index
from fluxbeat.training.items import Item


def read_corpus(folder: str | Path, features: FeatureConfig, split: str = "train") -> Iterator[Item]:
    """The excerpts of one split, one by one; only one shard is in memory at a time.

    Spectrograms, pictures and the teacher's answers stay float16 as they are stored. An item's `artist` is its
    package: artists of one package are often not told apart.

    Parameters
    ----------
    folder : path
        What `fluxbeat corpus` built.
    features : FeatureConfig
        Of the model to train.
    split : str
        'train' or 'test'.

    Raises
    ------
    ConfigMismatchError
        If the corpus was made with other features.
    FluxBeatError
        If the folder is no corpus, or a shard is missing or lacks an excerpt.
    """
    folder = Path(folder)
    if split not in ("train", "test"):
        raise FluxBeatError(f"a corpus has the splits train and test, got {split!r}")
    rows = sorted((row for row in read_index(folder) if row.split == split), key=lambda row: row.shard)
    for shard, of_shard in groupby(rows, key=lambda row: row.shard):
        arrays = read_arrays(folder / f"{shard}.npz", features)
        taught = folder / f"teacher-{shard}.npz"
        arrays.update(read_arrays(taught) if taught.is_file() else {})
        for row in of_shard:
            yield _item(row, arrays)


def _item(row: IndexRow, arrays: dict[str, np.ndarray]) -> Item:
    log_mel = arrays.get(f"log_mel/{row.item_id}")
    if log_mel is None:
        raise FluxBeatError(f"{row.shard}.npz lacks {row.item_id}: run `fluxbeat corpus read` again")
    answers = [arrays[name] for name in (f"logits/{row.item_id}", f"embedding/{row.item_id}") if name in arrays]
    return Item(
        row.item_id,
        log_mel,
        row.labels or None,
        row.tempo_bpm,
        artist=row.package,
        source=row.shard.rsplit("-", 1)[0],
        fold=int(arrays.get(f"fold/{row.item_id}", 0)),
        known=row.known if row.labels else None,
        picture=arrays.get(f"picture/{row.item_id}"),
        teacher=np.concatenate(answers, axis=1) if answers else None,
        teacher_start_s=arrays.get(f"start_s/{row.item_id}"),
    )
