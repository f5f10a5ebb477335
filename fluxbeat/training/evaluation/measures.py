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
    return max(0.0, centre - half), min(1.0, centre + half)


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
    hits, counted = _down_the_ranking(scores, truth, weights)
    gained = np.diff(hits, axis=1, prepend=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (gained * hits / np.maximum(counted, 1e-12)).sum(axis=1) / hits[:, -1]


def roc_auc(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Probability that a positive track has a higher score than a negative one; NaN where one kind is missing.

    Shapes as in `average_precision`. Kind to rare labels: read it beside the average precision.
    """
    hits, counted = _down_the_ranking(scores, truth, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = hits / hits[:, -1:]
        false = (counted - hits) / (counted - hits)[:, -1:]
    found, false = (np.concatenate([np.zeros((len(part), 1)), part], axis=1) for part in (found, false))
    area: np.ndarray = (np.diff(false, axis=1) * (found[:, 1:] + found[:, :-1]) / 2).sum(axis=1)
    return area


def _down_the_ranking(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positive tracks and all tracks at or above each different score, both (draws, scores)."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    counted = weights[:, order].cumsum(axis=1)
    hits = (weights[:, order] * truth[order]).cumsum(axis=1)
    return hits[:, ends], counted[:, ends]


def calibration_error(
    probability: np.ndarray, truth: np.ndarray, known: np.ndarray, weights: np.ndarray, bins: int = BINS
) -> np.ndarray:
    """Expected calibration error: mean distance of what is said and what is so, over bins of equal width.

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
    count, said, so = (weights @ part for part in _binned(probability, truth, known, bins))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.abs(said - so).sum(axis=1) / count.sum(axis=1)


def reliability(
    probability: np.ndarray, truth: np.ndarray, known: np.ndarray, bins: int = BINS
) -> list[dict[str, float | int]]:
    """The table behind `calibration_error`: for each bin that is not empty, its answers, what they said, what was so.

    Shapes as there.
    """
    count, said, so = (part.sum(axis=0) for part in _binned(probability, truth, known, bins))
    return [
        {
            "from": round(number / bins, 4),
            "to": round((number + 1) / bins, 4),
            "n": int(count[number]),
            "said": round(said[number] / count[number], 4),
            "true": round(so[number] / count[number], 4),
        }
        for number in range(bins)
        if count[number]
    ]


def _binned(
    probability: np.ndarray, truth: np.ndarray, known: np.ndarray, bins: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per track and bin: how many answers, the sum of their probabilities, how many are so; each (tracks, bins)."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    inside = (place[:, :, None] == np.arange(bins)) & known[:, :, None]
    count = inside.sum(axis=1).astype(np.float64)
    said = (inside * probability[:, :, None]).sum(axis=1)
    so = (inside & truth[:, :, None]).sum(axis=1).astype(np.float64)
    return count, said, so


def border_hits(said_s: Sequence[float], true_s: Sequence[float], tolerance_s: float = BORDER_TOLERANCE_S) -> int:
    """How many borders are found: the most pairs of a said and a true one within `tolerance_s`, each in one pair.

    Boundary retrieval as in Turnbull et al. (ISMIR 2007). On a line the pairs can be taken from left to right.
    """
    said, true = sorted(said_s), sorted(true_s)
    hits = first = 0
    for moment in said:
        while first < len(true) and true[first] < moment - tolerance_s:
            first += 1
        if first < len(true) and true[first] <= moment + tolerance_s:
            hits += 1
            first += 1
    return hits


def border_measures(hits: np.ndarray, said: np.ndarray, true: np.ndarray, groups: Sequence[str]) -> dict[str, Any]:
    """Precision, recall and F1 of borders, pooled over tracks, with bootstrap intervals.

    Parameters
    ----------
    hits, said, true : int array, shape (tracks,)
        Borders found, said and existing in each track.
    groups : sequence of str
        As in `resamples`.
    """
    weights = resamples(groups)
    found, all_said, all_true = weights @ hits, weights @ said, weights @ true
    tracks = len(hits)
    return {
        "precision": estimate(np.where(all_said > 0, found / np.maximum(all_said, 1e-12), 0.0), tracks),
        "recall": estimate(np.where(all_true > 0, found / np.maximum(all_true, 1e-12), np.nan), tracks),
        "f1": estimate(2 * found / np.maximum(all_said + all_true, 1e-12), tracks),
        "borders": int(true.sum()),
        "said": int(said.sum()),
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
        "accuracy1": share(tempo_hit(said, truth) for said, truth in pairs),
        "accuracy2": share(tempo_hit(said, truth, TEMPO_FACTORS) for said, truth in pairs),
    }
