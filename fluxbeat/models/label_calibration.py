"""From answers on music that a model did not see to calibrated probabilities, thresholds and shares with intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit
from scipy.stats import binomtest
from torch import Tensor

FEW = 50.0
"""Recordings of a label at which its own best threshold and the common one count alike. Genres are named in order of
their odds above their thresholds: thresholds that follow few recordings spoil it. Crossed over artists of `dev` the
CRNN named 51, 50 and 44 of 101 songs first with a common threshold, with 50 and with 10; F1 was 0.51 each time."""


def minimise(values: Tensor, loss: Callable[[], Tensor]) -> None:
    """Move `values` to where `loss` is least, by L-BFGS."""
    optimizer = torch.optim.LBFGS([values], max_iter=200, line_search_fn="strong_wolfe")

    def step() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(step)


@dataclass(frozen=True, eq=False)
class LabelCalibration:
    """Scale and bias of each label: sigmoid(scale * logit + bias).

    Attributes
    ----------
    scale, bias : float64 array, shape (labels,)
        Scales above 0.
    """

    scale: np.ndarray
    bias: np.ndarray

    def probability(self, logits: np.ndarray) -> np.ndarray:
        """(..., labels) -> 0..1 in the same shape."""
        return np.asarray(expit(logits * self.scale + self.bias))


def mean_of_rows(values: np.ndarray, row: np.ndarray, count: int) -> np.ndarray:
    """Mean of the windows of each recording, (windows, n) -> (count, n); `row` is each window's recording."""
    total = np.zeros((count, values.shape[1]))
    np.add.at(total, row, values)
    return total / np.bincount(row, minlength=count).clip(1)[:, None]


@dataclass(frozen=True, eq=False)
class LabelledWindows:
    """What some recordings that a model did not see are, and what it says of their windows.

    Attributes
    ----------
    row : int64 array, shape (windows,)
        Recording of each window.
    logits : float array, shape (windows, labels)
        Before any calibration.
    share : float array, shape (windows,)
        What each window's probabilities are multiplied with: how surely it is familiar music.
    truth : bool array, shape (recordings, labels)
    """

    row: np.ndarray
    logits: np.ndarray
    share: np.ndarray
    truth: np.ndarray

    def probability(self, calibration: LabelCalibration) -> np.ndarray:
        """Of each label over each whole recording, as an analysis gives it: (recordings, labels)."""
        windows = calibration.probability(self.logits) * self.share[:, None]
        return mean_of_rows(windows, self.row, len(self.truth))


def fit_labels(windows: LabelledWindows, scale_spread: float = 0.02, bias_spread: float = 0.1) -> LabelCalibration:
    """Scale and bias of every label (Platt 1999), each drawn to the common one: few recordings stand behind a label.

    They are fitted on probabilities over whole recordings, the mean of the windows', for those are shown and judged.

    Parameters
    ----------
    windows : LabelledWindows
    scale_spread, bias_spread : float
        How far labels are expected to lie from the common calibration: standard deviations of log scale and of bias.
        Crossed over artists of `dev`, with 0.02 and 0.1, 0.05 and 0.2, 0.1 and 0.4 the CNN's average precision was
        0.547, 0.537 and 0.523.
    """
    labels = windows.logits.shape[1]
    row = torch.from_numpy(windows.row)
    logits, share = (torch.from_numpy(values.astype(np.float64)) for values in (windows.logits, windows.share))
    truth = torch.from_numpy(windows.truth.astype(np.float64))
    count = torch.bincount(row, minlength=len(truth)).clamp(min=1)[:, None]
    values = torch.zeros(2 * labels + 2, dtype=torch.float64, requires_grad=True)

    sizes = [1, 1, labels, labels]

    def loss() -> Tensor:
        scale, bias, own_scale, own_bias = values.split(sizes)
        present = torch.sigmoid(logits * torch.exp(scale + own_scale) + bias + own_bias) * share[:, None]
        mean = torch.zeros_like(truth).index_add(0, row, present) / count
        wrong = torch.nn.functional.binary_cross_entropy(mean.clamp(1e-6, 1 - 1e-6), truth, reduction="sum")
        drawn = (own_scale / scale_spread).square().sum() + (own_bias / bias_spread).square().sum()
        return wrong + drawn / 2

    minimise(values, loss)
    scale, bias, own_scale, own_bias = (part.numpy() for part in values.detach().split(sizes))
    return LabelCalibration(np.exp(scale + own_scale), bias + own_bias)


def fit_thresholds(probability: np.ndarray, targets: np.ndarray) -> tuple[float, ...]:
    """Threshold per label with the best F1, drawn to the best common one the more, the fewer recordings have it.

    Both arrays have the shape (recordings, labels).
    """
    steps = np.linspace(0.1, 0.7, 61)

    def best(scores: np.ndarray, truth: np.ndarray) -> float:
        given = scores[None] >= steps[:, None]
        hits = (given & truth[None]).sum(axis=1)
        f1 = 2 * hits / np.maximum(given.sum(axis=1) + truth.sum(), 1)
        # the middle of the best steps: what lies between two recordings is not decided by the first of them
        return float(np.median(steps[f1 >= f1.max() - 1e-9]))

    true = targets > 0
    common = best(probability.ravel(), true.ravel())
    found = []
    for scores, truth in zip(probability.T, true.T, strict=True):
        trust = truth.sum() / (truth.sum() + FEW)
        own = best(scores, truth) if truth.any() else common
        found.append(round(float(trust * own + (1 - trust) * common), 3))
    return tuple(found)


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, JASA 1927); (0, 1) where nothing was counted."""
    if count == 0:
        return 0.0, 1.0
    between = binomtest(hits, count).proportion_ci(method="wilson")
    return round(float(between.low), 4), round(float(between.high), 4)
