"""The right genre first or among three, average precision, calibration, borders: each with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fluxbeat.models.label_calibration import wilson
from fluxbeat.training.evaluation.intervals import estimate, resamples
from fluxbeat.training.evaluation.measures import average_precision, calibration_error


@dataclass(frozen=True)
class Measure:
    """One number of one model on one set of recordings.

    Attributes
    ----------
    measure : str
        What was measured, as `fluxbeat.models.hub.model_card.MEASURES` names it.
    subject : str
        Of which model, peer or pair.
    split : str
        On what.
    value : float or None
        None where nothing could be measured.
    n : int
        On how many recordings (windows, borders).
    hits : int or None
        How many of them, where a share was counted.
    interval_95 : tuple of float or None
        By bootstrap over artists.
    """

    measure: str
    subject: str
    split: str
    value: float | None
    n: int
    hits: int | None = None
    interval_95: tuple[float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "interval_95": list(self.interval_95) if self.interval_95 else None}


def measured(name: str, subject: str, split: str, values: np.ndarray, n: int, hits: int | None = None) -> Measure:
    """A measure from its values on the rows of `resamples`."""
    return of_estimate(name, subject, split, estimate(values, n), hits)


def of_estimate(name: str, subject: str, split: str, found: Mapping[str, Any], hits: int | None = None) -> Measure:
    """A measure from what `estimate` gives."""
    between = found["interval_95"]
    return Measure(name, subject, split, found["value"], found["n"], hits, tuple(between) if between else None)


def share_of(name: str, subject: str, split: str, hits: np.ndarray, artists: Sequence[str]) -> Measure:
    """The share of recordings where `hits`, bool (recordings,), holds; its interval from a bootstrap over artists.

    Where it holds for all or none, every draw says the same: the interval is Wilson's then, of as many artists.
    """
    if len(hits) and hits.all() == hits.any():
        value, people = float(hits[0]), len(set(artists))
        return Measure(name, subject, split, value, len(hits), int(hits.sum()), wilson(round(value * people), people))
    weights = resamples(artists)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = weights @ hits.astype(float) / weights.sum(axis=1)
    return measured(name, subject, split, values, len(hits), int(hits.sum()))


def among_first(scores: np.ndarray, truth: np.ndarray, count: int) -> np.ndarray:
    """Whether a true label is among the `count` highest scores: (recordings, labels) both -> bool (recordings,)."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return np.asarray(np.take_along_axis(truth, best, axis=1).any(axis=1))


def all_among_first(scores: np.ndarray, truth: np.ndarray, count: int) -> np.ndarray:
    """Whether all true labels are among the `count` highest scores; shapes as in `among_first`."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    found: np.ndarray = np.take_along_axis(truth, best, axis=1).sum(axis=1) == truth.sum(axis=1)
    return found


def macro_average_precision(
    subject: str, split: str, scores: np.ndarray, truth: np.ndarray, artists: Sequence[str], least: int
) -> Measure:
    """Mean over labels of the area under precision and recall, of those with at least `least` recordings.

    `n` is the number of labels.
    """
    weights = resamples(artists)
    columns = np.flatnonzero(truth.sum(axis=0) >= least)
    if not len(columns):
        return Measure("macro_average_precision", subject, split, None, 0)
    each = np.stack([average_precision(scores[:, column], truth[:, column], weights) for column in columns])
    there = np.isfinite(each)
    values = np.where(there, each, 0.0).sum(axis=0) / there.sum(axis=0).clip(1)
    return measured("macro_average_precision", subject, split, values, len(columns))


def label_average_precision(
    subject: str, split: str, scores: np.ndarray, truth: np.ndarray, artists: Sequence[str]
) -> Measure:
    """Of one label: scores and truth (recordings,); `n` is how many recordings have it."""
    values = average_precision(scores, truth, resamples(artists))
    return measured("average_precision", subject, split, values, int(truth.sum()))


def expected_calibration_error(
    subject: str, split: str, probability: np.ndarray, truth: np.ndarray, artists: Sequence[str]
) -> Measure:
    """Over all labels of all recordings, in 15 bins; shapes (recordings, labels)."""
    values = calibration_error(probability, truth, resamples(artists))
    return measured("ece", subject, split, values, len(truth))


def border_measures(
    subject: str, split: str, hits: np.ndarray, predicted: np.ndarray, true: np.ndarray
) -> list[Measure]:
    """F1, precision and recall of borders, pooled over tracks; `n` is how many borders there are.

    Parameters
    ----------
    subject, split : str
    hits, predicted, true : int array, shape (tracks,)
        Borders found, predicted and existing in each track.
    """
    weights = resamples([""] * len(hits))
    found, all_predicted, all_true = weights @ hits, weights @ predicted, weights @ true
    values = {
        "f1": 2 * found / np.maximum(all_predicted + all_true, 1e-12),
        "precision": np.where(all_predicted > 0, found / np.maximum(all_predicted, 1e-12), 0.0),
        "recall": np.where(all_true > 0, found / np.maximum(all_true, 1e-12), np.nan),
    }
    n, hit = int(true.sum()), int(hits.sum())
    return [measured(name, subject, split, value, n, hit) for name, value in values.items()]


def correlation(subject: str, split: str, first: np.ndarray, second: np.ndarray, artists: Sequence[str]) -> Measure:
    """Pearson's, of two models' mean logits of all labels of all recordings, (recordings, labels) both."""
    weights = resamples(artists)
    count = weights.sum(axis=1) * first.shape[1]

    def mean(values: np.ndarray) -> np.ndarray:
        total: np.ndarray = weights @ values.sum(axis=1) / count
        return total

    one, other = mean(first), mean(second)
    together = mean(first * second) - one * other
    spread = np.sqrt((mean(first**2) - one**2) * (mean(second**2) - other**2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return measured("logit_correlation", subject, split, together / spread, len(first))
