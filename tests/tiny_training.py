"""Stores and recipes so small that a network learns from them within a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fluxbeat.features.log_mel import FeatureConfig
from fluxbeat.models.tempo import TempoGrid
from fluxbeat.training.data.store import EXCERPT_S, Excerpt, FeatureStore, StoreWriter
from fluxbeat.training.data.windows import AugmentConfig
from fluxbeat.training.recipe import Recipe

FEATURES = FeatureConfig(n_mels=16, norm_window_s=4.0)
FRAMES = round(EXCERPT_S * FEATURES.frame_rate_hz)
GENRES = ("jazz", "metal")
STACK = {"channels": (4, 8), "strides": ((2, 2),)}
ARCHITECTURES = {
    "cnn": {**STACK, "hidden": 8, "embedding_size": 8},
    "crnn": {"bands": 16, "blocks": ((8, 8, 3, 3, 2, 4, 4, 1),), "last": 8, "lstm_size": 4, "embedding_size": 8},
    "vit": {
        "bands": 24,
        "first": 4,
        "blocks": ((8, 4, 3, 3, 2, 2, 0, 1),),
        "last": 8,
        "patch": (2, 3),
        "width": 8,
        "depth": 1,
        "heads": 2,
        "embedding_size": 8,
    },
}


def music(number: int, genre: int) -> np.ndarray:
    """Mel power in dB of a piece like no other; one genre is dark and calm, the other bright and noisy."""
    rng = np.random.default_rng(number)
    bands = np.arange(FEATURES.n_mels)[:, None]
    shape = sum(np.exp(-0.5 * ((bands - centre) / 2) ** 2) for centre in rng.uniform(0, FEATURES.n_mels, 2))
    beat = np.cos(2 * np.pi * rng.uniform(1, 3) * np.arange(FRAMES) / FEATURES.frame_rate_hz + rng.uniform(0, 6))
    slope = 2.0 * (genre - 0.5) * (bands - 8)
    noise = (2 + 4 * genre) * rng.standard_normal((FEATURES.n_mels, FRAMES))
    return (-40 + 12 * shape * (1 + 0.5 * beat) + slope + noise).astype(np.float32)


def song_store(folder: Path, count: int = 12, dev: int = 0) -> FeatureStore:
    """`count` songs of two genres by as many artists, the last `dev` of them set aside; a teacher speaks of each."""
    writer = StoreWriter(folder, FEATURES, count)
    for number in range(count):
        genre = number % 2
        split = "train" if number < count - dev else "dev"
        tempo_bpm = 100.0 + number if number % 3 else None
        excerpt = Excerpt(f"song {number}", f"artist {number}", split, {GENRES[genre]: 1.0}, tempo_bpm=tempo_bpm)
        outputs = {"msd": np.array([0.1, 0.8, 0.3])[[genre, 1 - genre, 2]], "embedding": np.full((3, 4), float(genre))}
        writer.add(excerpt, music(number, genre), outputs)
        writer.commit(excerpt.name)
    return writer.close()


def tiny_recipe(family: str = "cnn", **changes: object) -> Recipe:
    """Three epochs of three steps."""
    settings: dict[str, object] = {
        "features": FEATURES,
        "tempo_grid": TempoGrid(bins=40),
        "architecture": ARCHITECTURES[family],
        "window_s": 4.0,
        "epochs": 3,
        "epoch_steps": 3,
        "batch_size": 4,
        "ema_decay": 0.5,
        "learning_rate": 1e-2,
        "augment": AugmentConfig(mask_bands=4.0),
    }
    return Recipe(family, GENRES, **{**settings, **changes})  # type: ignore[arg-type]
