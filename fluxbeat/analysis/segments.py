"""Where the genre changes: a track cut into stretches in which the same genres are present."""

from __future__ import annotations

import itertools

import numpy as np

from fluxbeat.analysis.result import Segment

SHORTEST_S = 8.0
PENALTY_S = 2.0
"""A border must explain as much as this many seconds of a complete change from one genre to another. On tracks spliced
from free music F1 of borders was 0.75, 0.78, 0.81, 0.80, 0.80, 0.77 at 0.5, 1, 1.5, 2, 3, 4."""


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


def sharpen(
    segments: tuple[Segment, ...], log_mel: np.ndarray, frame_rate_hz: float, reach_s: float
) -> tuple[Segment, ...]:
    """Move each border to where the sound itself changes most.

    Windows that straddle a border say little about where in them it lies, and some genres outshout others. Around
    each border the moment is taken at which mean and deviation of the bands before and after it differ most
    (novelty as in Foote, "Automatic audio segmentation using a measure of audio novelty", ICME 2000).

    Parameters
    ----------
    segments : tuple of Segment
        As `find_segments` returns them.
    log_mel : float32 array, shape (mels, frames)
        Of the whole track.
    frame_rate_hz : float
    reach_s : float
        How far a border may move, and how much sound on either side is compared.
    """
    borders_s = []
    for before, after in itertools.pairwise(segments):
        # at most half-way into a neighbour, so that borders keep their order
        shorter_s = min(before.end_s - before.start_s, after.end_s - after.start_s)
        borders_s.append(_loudest_change(before.end_s, log_mel, frame_rate_hz, min(reach_s, shorter_s / 2)))
    edges_s = [segments[0].start_s, *borders_s, segments[-1].end_s]
    return tuple(
        Segment(start_s, end_s, segment.labels)
        for segment, (start_s, end_s) in zip(segments, itertools.pairwise(edges_s), strict=True)
    )


def _loudest_change(border_s: float, log_mel: np.ndarray, frame_rate_hz: float, reach_s: float) -> float:
    reach, border = round(reach_s * frame_rate_hz), round(border_s * frame_rate_hz)
    first, end = max(border - 2 * reach, 0), min(border + 2 * reach, log_mel.shape[1])
    sound = log_mel[:, first:end].astype(np.float64)
    sums = np.concatenate([np.zeros((len(sound), 1)), sound.cumsum(axis=1)], axis=1)
    squares = np.concatenate([np.zeros((len(sound), 1)), (sound**2).cumsum(axis=1)], axis=1)

    def moments(begin: np.ndarray, until: np.ndarray) -> np.ndarray:
        mean = (sums[:, until] - sums[:, begin]) / (until - begin)
        variance = (squares[:, until] - squares[:, begin]) / (until - begin) - mean**2
        return np.concatenate([mean, np.sqrt(variance.clip(0))])

    length = sound.shape[1]
    at = np.arange(max(border - first - reach, 1), min(border - first + reach, length - 1))
    if not len(at):
        return border_s
    before, after = moments(np.maximum(at - reach, 0), at), moments(at, np.minimum(at + reach, length))
    changes = np.square(before - after).sum(axis=0)
    return float(first + at[changes.argmax()]) / frame_rate_hz


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
    import ruptures  # here, since it brings all of scipy.stats: as much again as everything else beside torch

    # the distance between two sure, different genres is 2; half of it lies on either side of a missing border
    penalty = PENALTY_S / hop_s / 2
    search = ruptures.KernelCPD(kernel="linear", min_size=shortest).fit(np.ascontiguousarray(probability, np.float64))
    return [int(point) for point in search.predict(pen=penalty)[:-1]]
