"""Test music of a built free-music corpus: its excerpts, and their sound for those who need more than a spectrogram."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from fluxbeat.features import FeatureConfig
from fluxbeat.training.corpus import read_corpus
from fluxbeat.training.corpus.shards import IndexRow, read_index
from fluxbeat.training.corpus.track_audio import read_path
from fluxbeat.training.evaluation.cases import Sound
from fluxbeat.training.items import FREE, Item


def corpus_items(folder: str | Path, features: FeatureConfig) -> list[Item]:
    """The recorded music of the split 'test'; rendered accompaniments are no music to be judged on.

    Raises
    ------
    ConfigMismatchError
        If the corpus was made with other features.
    FluxBeatError
        If the folder is no corpus.
    """
    return [
        replace(item, log_mel=item.log_mel.astype(np.float32))
        for item in read_corpus(folder, features, split="test")
        if item.source == FREE
    ]


def corpus_sounds(folder: str | Path) -> dict[str, Sound]:
    """For each excerpt, by its item_id, the way to its sound: called only for those that a peer must hear.

    It needs the packages that `fluxbeat corpus fetch` laid beside the shards, and says so where they are gone.
    """
    return {row.item_id: partial(_excerpt, Path(folder), row) for row in read_index(Path(folder))}


def _excerpt(folder: Path, row: IndexRow, sample_rate_hz: int) -> np.ndarray:
    return row.cut(_whole(row.package, row.path, folder, sample_rate_hz), sample_rate_hz)


# excerpts of one track follow each other
_whole = lru_cache(maxsize=3)(read_path)
