"""Measures as plain mathematics on arrays: shares, rankings, calibration, borders, tempo, and how sure each is.

What is measured over tracks takes `weights`, (draws, tracks): how often each track counts, one result per row. Row 0
of `resamples` counts each track once, so the first result is the value and the others are its bootstrap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fluxbeat.analysis.tempo import TOLERANCE

DRAWS = 1000
BINS = 15
BORDER_TOLERANCE_S = 3.0
TEMPO_FACTORS = (1.0, 2.0, 3.0, 1 / 2, 1 / 3)


def interval(hits: int, count: int) -> tuple[float, float]:
    """95 % Wilson interval of a share (Wilson, JASA 1927); (0, 1) where nothing was counted."""
    if count == 0:
        return 0.0, 1.0
    z2 = 1.96**2
    centre = (hits + z2 / 2) / (count + z2)
    half = 1.96 / (count + z2) * np.sqrt(hits * (count - hits) / count + z2 / 4)
    return round(max(0.0, centre - half), 4), round(min(1.0, centre + half), 4)


def share(hits: Iterable[bool]) -> dict[str, Any]:
    """Value, count and 95 % Wilson interval of a share."""
    values = list(hits)
    low, high = interval(sum(values), len(values))
    return {
        "value": round(float(np.mean(values)), 4) if values else 0.0,
        "n": len(values),
        "interval_95": [round(low, 4), round(high, 4)],
    }


def resamples(groups: Sequence[str], draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """How often each track counts, float64 (1 + draws, tracks): once each, then in `draws` bootstrap samples.

    Parameters
    ----------
    groups : sequence of str
        One per track: tracks of one artist are drawn together, for they say less than as many strangers
        (Field & Welsh, "Bootstrapping clustered data", JRSS B 2007). A track whose group is empty stands alone.
    draws, seed : int
    """
    named = [group or f"\0{number}" for number, group in enumerate(groups)]
    _, member = np.unique(np.array(named, dtype=object).astype(str), return_inverse=True)
    count = int(member.max()) + 1 if len(named) else 0
    once = np.ones((1, len(named)))
    if not count:
        return np.concatenate([once, np.ones((draws, 0))])
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)
    return np.concatenate([once, drawn[:, member].astype(np.float64)])


def estimate(values: np.ndarray, n: int) -> dict[str, Any]:
    """Value, count and 95 % bootstrap interval (percentiles; Efron & Tibshirani 1993).

    Parameters
    ----------
    values : float array, shape (1 + draws,)
        Results on the rows of `resamples`; NaN where a draw has none.
    n : int
        Number of tracks behind the value.
    """
    drawn = values[1:][np.isfinite(values[1:])]
    if not np.isfinite(values[0]) or not len(drawn):
        return {"value": None, "n": n, "interval_95": None}
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {
        "value": round(float(values[0]), 4),
        "n": n,
        "interval_95": [round(float(low), 4), round(float(high), 4)],
    }


def average_precision(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the precision-recall curve, as a sum of steps; tracks of equal score come in together.

    Parameters
    ----------
    scores : float array, shape (tracks,)
    truth : bool array, shape (tracks,)
    weights : float array, shape (draws, tracks)

    Returns
    -------
    float array, shape (draws,)
        NaN where there is no positive track. Chance is the share of positive tracks.
    """
    hits, counted = down_the_ranking(scores, truth, weights)
    gained = np.diff(hits, axis=1, prepend=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (gained * hits / np.maximum(counted, 1e-12)).sum(axis=1) / hits[:, -1]


def down_the_ranking(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positive tracks and all tracks at or above each different score, both (draws, scores)."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    counted = weights[:, order].cumsum(axis=1)
    hits = (weights[:, order] * truth[order]).cumsum(axis=1)
    return hits[:, ends], counted[:, ends]


def calibration_error(
    probability: np.ndarray, truth: np.ndarray, known: np.ndarray, weights: np.ndarray, bins: int = BINS
) -> np.ndarray:
    """Expected calibration error: mean distance of what is claimed and what is so, over bins of equal width.

    Each label of each track is one yes-or-no answer, all labels pooled (Guo et al., "On calibration of modern neural
    networks", ICML 2017).

    Parameters
    ----------
    probability : float array, shape (tracks, labels), 0..1
    truth, known : bool array, shape (tracks, labels)
        What is so, and where that is known: other entries do not count.
    weights : float array, shape (draws, tracks)

    Returns
    -------
    float array, shape (draws,)
        0..1; NaN where nothing is known.
    """
    count, predicted, so = (weights @ part for part in _binned(probability, truth, known, bins))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.abs(predicted - so).sum(axis=1) / count.sum(axis=1)


def _binned(
    probability: np.ndarray, truth: np.ndarray, known: np.ndarray, bins: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per track and bin: how many answers, the sum of their probabilities, how many are so; each (tracks, bins)."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    inside = (place[:, :, None] == np.arange(bins)) & known[:, :, None]
    count = inside.sum(axis=1).astype(np.float64)
    predicted = (inside * probability[:, :, None]).sum(axis=1)
    so = (inside & truth[:, :, None]).sum(axis=1).astype(np.float64)
    return count, predicted, so


def border_hits(found_s: Sequence[float], true_s: Sequence[float], tolerance_s: float = BORDER_TOLERANCE_S) -> int:
    """How many borders are found: the most pairs of a found and a true one within `tolerance_s`, each in one pair.

    Boundary retrieval as in Turnbull et al. (ISMIR 2007). On a line the pairs can be taken from left to right.
    """
    predicted, true = sorted(found_s), sorted(true_s)
    hits = first = 0
    for moment in predicted:
        while first < len(true) and true[first] < moment - tolerance_s:
            first += 1
        if first < len(true) and true[first] <= moment + tolerance_s:
            hits += 1
            first += 1
    return hits


def border_measures(hits: np.ndarray, predicted: np.ndarray, true: np.ndarray, groups: Sequence[str]) -> dict[str, Any]:
    """Precision, recall and F1 of borders, pooled over tracks, with bootstrap intervals.

    Parameters
    ----------
    hits, predicted, true : int array, shape (tracks,)
        Borders found, predicted and existing in each track.
    groups : sequence of str
        As in `resamples`.
    """
    weights = resamples(groups)
    found, all_given, all_true = weights @ hits, weights @ predicted, weights @ true
    tracks = len(hits)
    return {
        "precision": estimate(np.where(all_given > 0, found / np.maximum(all_given, 1e-12), 0.0), tracks),
        "recall": estimate(np.where(all_true > 0, found / np.maximum(all_true, 1e-12), np.nan), tracks),
        "f1": estimate(2 * found / np.maximum(all_given + all_true, 1e-12), tracks),
        "borders": int(true.sum()),
        "predicted": int(predicted.sum()),
    }


def tempo_hit(estimate_bpm: float | None, truth_bpm: float, factors: Iterable[float] = (1.0,)) -> bool:
    """Whether an estimate is within 4 % of the truth times one of `factors`.

    Accuracy1 allows the factor 1, Accuracy2 also 2, 3, 1/2 and 1/3 (Gouyon et al., IEEE TASLP 2006).
    """
    if estimate_bpm is None:
        return False
    return any(abs(estimate_bpm / (truth_bpm * factor) - 1) <= TOLERANCE for factor in factors)


def tempo_accuracy(pairs: Sequence[tuple[float | None, float]]) -> dict[str, Any]:
    """Accuracy1 and Accuracy2 of pairs (estimate or None, truth), in BPM."""
    return {
        "accuracy1": share(tempo_hit(predicted, truth) for predicted, truth in pairs),
        "accuracy2": share(tempo_hit(predicted, truth, TEMPO_FACTORS) for predicted, truth in pairs),
    }
