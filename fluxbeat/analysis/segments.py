"""Where the genre changes: a track cut into stretches in which the same genres are present."""

from __future__ import annotations

import itertools

import numpy as np
import ruptures

from fluxbeat.analysis.result import Segment

SHORTEST_S = 8.0
PENALTY_S = 6.0
"""A border must explain as much as this many seconds of a complete change from one genre to another."""


def find_segments(
    centre_s: np.ndarray,
    probability: np.ndarray,
    thresholds: np.ndarray,
    labels: tuple[str, ...],
    duration_s: float,
) -> tuple[Segment, ...]:
    """Cut a track where its genre probabilities change for good.

    Change points minimise the squared distance to each segment's mean plus a price per border
    (PELT: Killick, Fearnhead & Eckley, JASA 2012; Truong, Oudre & Vayatis, "ruptures", Signal Processing 2020).

    Parameters
    ----------
    centre_s : float array, shape (windows,)
        The moment each window stands for.
    probability : float array, shape (windows, labels)
    thresholds : float array, shape (labels,)
    labels : tuple of str
    duration_s : float
        Length of the track.

    Returns
    -------
    tuple of Segment
        At least one; without gaps from 0 to `duration_s`; neighbours differ in their labels.
    """
    borders = _change_points(centre_s, probability)
    edges = [0, *borders, len(centre_s)]
    found: list[Segment] = []
    for first, end in itertools.pairwise(edges):
        start_s = 0.0 if first == 0 else float(centre_s[first - 1] + centre_s[first]) / 2
        end_s = duration_s if end == len(centre_s) else float(centre_s[end - 1] + centre_s[end]) / 2
        present = _present(probability[first:end].mean(axis=0), thresholds, labels)
        if found and found[-1].labels == present:
            found[-1] = Segment(found[-1].start_s, end_s, present)
        else:
            found.append(Segment(start_s, end_s, present))
    return tuple(found)


def _present(mean: np.ndarray, thresholds: np.ndarray, labels: tuple[str, ...]) -> tuple[str, ...]:
    order = np.argsort(-mean)
    return tuple(labels[index] for index in order if mean[index] >= thresholds[index])


def _change_points(centre_s: np.ndarray, probability: np.ndarray) -> list[int]:
    """Indices of the windows that begin a new segment."""
    if len(centre_s) < 4:
        return []
    hop_s = float(np.median(np.diff(centre_s)))
    shortest = max(2, round(SHORTEST_S / hop_s))
    if len(centre_s) < 2 * shortest:
        return []
    # the distance between two sure, different genres is 2; half of it lies on either side of a missing border
    penalty = PENALTY_S / hop_s / 2
    search = ruptures.KernelCPD(kernel="linear", min_size=shortest).fit(np.ascontiguousarray(probability, np.float64))
    return [int(point) for point in search.predict(pen=penalty)[:-1]]
