"""Windows of a store's recordings on which explanations are measured, and what came out as measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from fluxbeat.errors import ConfigMismatchError
from fluxbeat.features.log_mel import FeatureConfig, normalise
from fluxbeat.models.base import GenreTempoModel, WindowModel
from fluxbeat.models.registry import LoadedModel
from fluxbeat.training.data.store import FeatureStore
from fluxbeat.training.evaluation.explanation_report import Sample, explanation_report, sample_of
from fluxbeat.training.evaluation.rankings import Measure, of_estimate


def store_samples(store: FeatureStore, network: WindowModel, split: str, most: int, seed: int = 0) -> list[Sample]:
    """One window from the middle of each of at most `most` recordings of music, by as many artists as there are.

    Raises
    ------
    ConfigMismatchError
        If the store's features are not the model's, or the split holds no music that fills a window.
    """
    config = network.config
    if store.features != config.features:
        raise ConfigMismatchError(f"{store.folder}: the features there are not those of the model")
    rows = [row for row in store.rows(split).tolist() if store.excerpts[row].kind == "music"]
    rows = [row for row in rows if store.excerpts[row].duration_s >= config.window_s]
    if not rows:
        raise ConfigMismatchError(f"{store.folder}: no music of {config.window_s:g} s and more in its split {split!r}")
    first = (store.log_mel.shape[2] - config.window_frames) // 2
    samples = []
    for row in _by_turns(store, rows, seed)[:most]:
        log_mel = normalise(torch.from_numpy(store.log_mel[row].astype(np.float32))[None], config.features)[0]
        excerpt = store.excerpts[row]
        window = log_mel[:, first : first + config.window_frames].contiguous()
        samples.append(sample_of(network, window, excerpt.name, excerpt.artist))
    return samples


def explained_measures(name: str, report: Mapping[str, Any], split: str) -> list[Measure]:
    """Insertion minus deletion of a model's maps, of random ones and of the sound's energy, from a report of them."""
    found = next(iter(report["layers"].values()))["insertion_minus_deletion"]
    subjects = {"map": name, "random": f"random maps ({name})", "energy": f"energy ({name})"}
    return [
        of_estimate("insertion_minus_deletion", subject, f"windows, {split}", found[part])
        for part, subject in subjects.items()
    ]


def explanation_measures(
    models: Sequence[LoadedModel], stores: Mapping[FeatureConfig, FeatureStore], split: str, most: int, seed: int
) -> list[Measure]:
    """Measures of explanations of `most` windows of a split by each network."""
    found: list[Measure] = []
    for model in models:
        if isinstance(model.network, GenreTempoModel):
            samples = store_samples(stores[model.network.config.features], model.network, split, most, seed)
            found += explained_measures(model.info.name, explanation_report(model, samples, seed=seed), split)
    return found


def _by_turns(store: FeatureStore, rows: list[int], seed: int) -> list[int]:
    """Shuffled rows, one of each artist first, then a second of each, and so on."""
    shuffled = np.random.default_rng(seed).permutation(rows).tolist()
    turns: dict[str, int] = {}
    turn = {}
    for row in shuffled:
        artist = store.excerpts[row].artist
        turn[row] = turns[artist] = turns.get(artist, -1) + 1
    return sorted(shuffled, key=lambda row: turn[row])
