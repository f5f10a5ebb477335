"""What choices on `dev` rest on: the loss of naming, crossed over artists; ROC-AUC; odds of music."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fluxbeat.models.base import Calibration
from fluxbeat.models.label_calibration import LabelledWindows, fit_labels, minimise
from fluxbeat.training.evaluation.measures import down_the_ranking


def naming_loss(probability: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float:
    """How little of what is named is true: minus the log of the true labels' share of all probability, weighted mean.

    probability, truth (recordings, labels), weight (recordings,).
    """
    share = (probability * truth).sum(axis=1) / probability.sum(axis=1).clip(1e-9)
    return float((weight * -np.log(share.clip(1e-4))).sum() / weight.sum())


def of_recordings(windows: LabelledWindows, chosen: np.ndarray) -> LabelledWindows:
    """Only some recordings, bool (recordings,); they are numbered anew."""
    kept, number = chosen[windows.row], np.cumsum(chosen) - 1
    return LabelledWindows(number[windows.row[kept]], windows.logits[kept], windows.share[kept], windows.truth[chosen])


def crossed(windows: LabelledWindows, artists: Sequence[str], parts: int = 5) -> np.ndarray:
    """Probabilities over whole recordings, each part of the artists calibrated on the others: (recordings, labels)."""
    part = part_of(artists, parts)
    found = np.zeros(windows.truth.shape)
    for number in range(parts):
        if (part == number).any():
            calibration = fit_labels(of_recordings(windows, part != number))
            found[part == number] = of_recordings(windows, part == number).probability(calibration)
    return found


def part_of(artists: Sequence[str], parts: int) -> np.ndarray:
    """Which of `parts` parts each recording belongs to, artists apart: int64 (recordings,)."""
    names = sorted(set(artists))
    order = np.random.default_rng(0).permutation(len(names))
    number = {name: int(place) % parts for name, place in zip(names, order, strict=True)}
    return np.array([number[artist] for artist in artists])


def fit_kind(music_logit: np.ndarray, is_music: np.ndarray) -> Calibration:
    """Scale and bias of the odds of music over all else, each side counting half; (recordings,) both.

    Targets are drawn from 0 and 1 by the number of recordings, as Platt (1999) has it: the two sides may lie apart.
    """
    music, other = int(is_music.sum()), int((~is_music).sum())
    if not music or not other:
        return Calibration()
    target = np.where(is_music, (music + 1) / (music + 2), 1 / (other + 2))
    weight = np.where(is_music, 0.5 / music, 0.5 / other)
    x, y, w = (torch.from_numpy(values.astype(np.float64)) for values in (music_logit, target, weight))
    values = torch.tensor([0.0, 0.0], dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        logit = x * torch.exp(values[0]) + values[1]
        wrong = torch.nn.functional.binary_cross_entropy_with_logits(logit, y, weight=w, reduction="sum")
        return wrong + 1e-3 * (values[0].square() + 0.1 * values[1].square())

    minimise(values, loss)
    scale, bias = values.detach().tolist()
    return Calibration(round(float(np.exp(scale)), 4), round(bias, 4))


def roc_auc(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Probability that a positive track has a higher score than a negative one; NaN where one kind is missing.

    Shapes as in `average_precision`. Kind to rare labels: read it beside the average precision.
    """
    hits, counted = down_the_ranking(scores, truth, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = hits / hits[:, -1:]
        false = (counted - hits) / (counted - hits)[:, -1:]
    found, false = (np.concatenate([np.zeros((len(part), 1)), part], axis=1) for part in (found, false))
    area: np.ndarray = (np.diff(false, axis=1) * (found[:, 1:] + found[:, :-1]) / 2).sum(axis=1)
    return area
