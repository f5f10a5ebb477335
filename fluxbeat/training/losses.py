"""Losses of the two tasks, each masked where nothing is known."""

from __future__ import annotations

import numpy as np
import torch
import torch.distributed as distributed
from torch import Tensor

from fluxbeat.models.tempo import TempoGrid
from fluxbeat.training.machine import rank_and_processes

BELL_BINS = 1.2
"""Standard deviation of the targets around the true class: neighbouring classes are nearly right."""


def mean_of(total: Tensor, count: Tensor) -> Tensor:
    """Total over count, both scalar; 0 over 0 is 0.

    Where several processes train together, `count` is the mean over all of them: gradients are averaged over
    processes, and so become those of one process that gets everything.
    """
    _, processes = rank_and_processes()
    if processes > 1:
        count = count.clone()
        distributed.all_reduce(count)
        count = count / processes
    return total / count.clamp(min=1 / processes)


def tempo_targets(tempo_bpm: np.ndarray, has_beat: np.ndarray, grid: TempoGrid) -> np.ndarray:
    """Soft targets over the tempo classes.

    Parameters
    ----------
    tempo_bpm : float array, shape (batch,)
        NaN where unknown; beyond the grid it counts as unknown.
    has_beat : bool array, shape (batch,)
        False where the music has none: the target is flat.
    grid : TempoGrid
        The classes.

    Returns
    -------
    float32 array, shape (batch, bins)
        Rows sum to 1, or to 0 where the tempo is unknown.
    """
    known = (tempo_bpm >= grid.min_bpm) & (tempo_bpm <= grid.max_bpm)
    centre = grid.position(np.where(known, tempo_bpm, 100.0))[:, None]
    bell = np.exp(-0.5 * ((np.arange(grid.bins) - centre) / BELL_BINS) ** 2)
    bell /= np.maximum(bell.sum(axis=1, keepdims=True), 1e-12)
    flat = np.full(grid.bins, 1.0 / grid.bins)
    return np.where(has_beat[:, None], bell * known[:, None], flat).astype(np.float32)


def tempo_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy with soft targets, both (batch, bins), over the rows that have a target; scalar."""
    known = targets.sum(1)
    loss = -(targets * torch.log_softmax(logits, 1)).sum(1)
    return mean_of(loss.sum(), known.sum())
