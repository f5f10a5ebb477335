"""Training items: a spectrogram with what is known about its music."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Item:
    """One clip of music.

    Attributes
    ----------
    item_id : str
        Name that errors and reports show.
    log_mel : float32 array, shape (mels, frames)
        Normalised as `fluxbeat.features.LogMel` does.
    labels : tuple of str or None
        Genres that are present; None where the source says nothing about genre.
    tempo_bpm : float or None
        Annotated tempo; None where the source says nothing about it.
    has_beat : bool
        False only for sound made to have no beat: its tempo distribution should be flat.
    artist : str
        Same string, same artist: never on both sides of a split.
    fold : int
        1 or 2 where the source has folds, else 0.
    source : str
        Kind of source: 'picture', 'recording' or 'synthetic'.
    """

    item_id: str
    log_mel: np.ndarray
    labels: tuple[str, ...] | None
    tempo_bpm: float | None
    artist: str = ""
    fold: int = 0
    source: str = "recording"
    has_beat: bool = True


def label_targets(items: Sequence[Item], labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Multi-hot targets and mask, float32, both of shape (items, labels); the mask is 0 where nothing is known.

    A kind of source teaches genre only if it shows every genre: from recordings without a single blues a model
    learns that a recording is never blues.
    """
    shown: dict[str, set[str]] = {}
    for item in items:
        shown.setdefault(item.source, set()).update(item.labels or ())
    complete = {source for source, found in shown.items() if found >= set(labels)}
    targets = np.zeros((len(items), len(labels)), np.float32)
    mask = np.zeros_like(targets)
    column = {label: index for index, label in enumerate(labels)}
    for row, item in enumerate(items):
        if item.labels is None or item.source not in complete:
            continue
        mask[row] = 1.0
        for label in item.labels:
            if label in column:
                targets[row, column[label]] = 1.0
    return targets, mask
