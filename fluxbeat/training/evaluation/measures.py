"""Measures as plain mathematics on arrays: rankings, calibration, borders, tempo.

What is measured over tracks takes `weights`, (draws, tracks), as `intervals.resamples` makes them: how often each track
counts, one result per row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from fluxbeat.analysis.tempo import TOLERANCE

BINS = 15
BORDER_TOLERANCE_S = 3.0
TEMPO_FACTORS = (1.0, 2.0, 3.0, 1 / 2, 1 / 3)


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


def calibration_error(probability: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Expected calibration error: mean distance of what is claimed and what is so, over 15 bins of equal width.

    Each label of each track is one yes-or-no answer, all labels pooled (Guo et al., "On calibration of modern neural
    networks", ICML 2017).

    Parameters
    ----------
    probability : float array, shape (tracks, labels), 0..1
    truth : bool array, shape (tracks, labels)
    weights : float array, shape (draws, tracks)

    Returns
    -------
    float array, shape (draws,)
        0..1; NaN where there is no track.
    """
    inside = np.minimum((probability * BINS).astype(int), BINS - 1)[:, :, None] == np.arange(BINS)
    claimed, true = (weights @ (inside * values[:, :, None]).sum(axis=1) for values in (probability, truth))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(claimed - true).sum(axis=1) / (weights.sum(axis=1) * truth.shape[1]))


def border_hits(found_s: Sequence[float], true_s: Sequence[float], tolerance_s: float = BORDER_TOLERANCE_S) -> int:
    """How many borders are found: the most pairs of a found and a true one within `tolerance_s`, each in one pair.

    Boundary retrieval as in Turnbull et al. (ISMIR 2007).
    """
    from mir_eval.util import match_events  # here: what else is measured needs no extra

    return len(match_events(true_s, found_s, tolerance_s))


def tempo_hit(estimate_bpm: float | None, truth_bpm: float, factors: Iterable[float] = (1.0,)) -> bool:
    """Whether an estimate is within 4 % of the truth times one of `factors`.

    Accuracy1 allows the factor 1, Accuracy2 also 2, 3, 1/2 and 1/3 (Gouyon et al., IEEE TASLP 2006).
    """
    if estimate_bpm is None:
        return False
    return any(abs(estimate_bpm / (truth_bpm * factor) - 1) <= TOLERANCE for factor in factors)
