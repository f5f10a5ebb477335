"""Which recordings share a passage, wherever it lies in each: two excerpts of one song, or an excerpt and its song.

What `fluxbeat.features.fingerprint` does for the beginnings of recordings is done here for passages anywhere: how the
band energies move against each other over some seconds is looked for at every place of the other recording. Pieces of
one recording that have no passage in common are not found: nothing in their sound tells them from two songs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fluxbeat.features.fingerprint import band_courses, unit_rows
from fluxbeat.features.log_mel import FeatureConfig

STEP_S, SMOOTH_S = 0.5, 2.0
EVERY = 2
"""Of the steps of a passage so many-th are compared: they move slowly. Passages begin at every one."""
BANDS = 12
PASSAGE_S = 15.0
PASSAGE_EVERY_S, MOST_PASSAGES = 7.5, 12
"""Passages of a recording that are looked for in others: one as often, or so many spread over a long one."""
LONGEST_S = 1200.0
"""Of a longer recording the beginning counts."""
RANGE_DB = 60.0
"""Below the loudest second of the loudest band nothing moves."""
SAME = 0.8
"""Likeness from which a passage is the same. Measured on recordings of the maintainers' `dev`: 0.94 and more between
two excerpts of each of ten that share 21 to 22 s, one as MP3 at half the level; 0.58 and less of 278 other pairs."""
BLOCK = 2048
"""Passages that are looked for at once."""


def course(log_mel_db: np.ndarray, features: FeatureConfig) -> np.ndarray:
    """Smoothed level of each band over time, in dB around the mean of all bands at that moment.

    Two recordings that share a passage share this there, whatever their loudness.

    Parameters
    ----------
    log_mel_db : float array, shape (mels, frames)
        Mel power in dB; of a long recording only the first `LONGEST_S` seconds are read.
    features : FeatureConfig
        Of the log-mel.

    Returns
    -------
    float32 array, shape (bands, steps)
        One step each `STEP_S` seconds.
    """
    rate_hz = features.frame_rate_hz
    beginning = log_mel_db[:, : round(LONGEST_S * rate_hz)]
    found = band_courses(beginning, rate_hz, BANDS, SMOOTH_S, STEP_S)
    found = np.maximum(found, found.max(initial=-np.inf) - RANGE_DB)
    return (found - found.mean(axis=0)).astype(np.float32)  # what all bands do together many songs do alike


def sharing(courses: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """Places of recordings, by their `course`, that share a passage, each pair once, the lower place first."""
    passages, owners = _passages(courses)
    recordings, begins = np.unique(owners, return_index=True)
    wanted = np.concatenate([np.zeros(0, int), *(_spread(np.flatnonzero(owners == number)) for number in recordings)])
    pairs = set[tuple[int, int]]()
    for first in range(0, len(wanted), BLOCK):
        block = wanted[first : first + BLOCK]
        best = np.maximum.reduceat(passages[block] @ passages.T, begins, axis=1)
        for row, column in np.argwhere(best >= SAME).tolist():
            lower, higher = sorted((int(owners[block[row]]), int(recordings[column])))
            if lower != higher:
                pairs.add((lower, higher))
    return sorted(pairs)


def _passages(courses: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Every passage of every recording, of length 1 about its own mean: (passages, values); and whose it is."""
    steps, passages, owners = round(PASSAGE_S / STEP_S), list[np.ndarray](), list[np.ndarray]()
    for number, bands in enumerate(courses):
        if bands.shape[1] < steps:
            continue
        windows = np.lib.stride_tricks.sliding_window_view(bands, steps, axis=1)[:, :, ::EVERY].transpose(1, 0, 2)
        passages.append(unit_rows(windows - windows.mean(axis=2, keepdims=True)))
        owners.append(np.full(len(windows), number))
    return (np.concatenate(passages), np.concatenate(owners)) if passages else (np.zeros((0, 0)), np.zeros(0, int))


def _spread(places: np.ndarray) -> np.ndarray:
    """Those of a recording's passages that are looked for in others."""
    count = min(len(places), MOST_PASSAGES, 1 + int(len(places) * STEP_S / PASSAGE_EVERY_S))
    return places[np.round(np.linspace(0, len(places) - 1, count)).astype(int)]
