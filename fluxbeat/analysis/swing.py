"""Swing and slow triplets, in which every second of three to a beat is easily taken for the beat."""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import gaussian_filter1d

from fluxbeat.analysis.onsets import OnsetStrength
from fluxbeat.models.tempo import TempoGrid

THREE_IN_TWO = 1.5
LEAST_SHARE = 0.4
"""From this share on of what speaks for a tempo, two thirds of it are the beat, where the onsets are for neither."""
ONSETS_WEIGH = 5.0
"""By how much the onsets move that share: times e^5 for a full correlation.

Chosen on the 112 recordings for training whose tempo people annotated, which hold no jazz: without the onsets two that
were named rightly would be renamed, with weights from 4 to 6 none, and one from 8 on.
"""
WORTH_ASKING = 0.1
"""With less than this share the onsets are not asked."""
SLOWEST_BPM = 50.0
NEAR = 0.04
LEVELLED_S, WIDTH_S = 1.0, 0.015
LOW_SHARE = 0.5


def is_three_in_two(distributions: np.ndarray, grid: TempoGrid, bpm: float, onsets: OnsetStrength) -> bool:
    """Whether a tempo is three where the beat is two.

    Parameters
    ----------
    distributions : float array, shape (n, bins)
        Along the track.
    grid : TempoGrid
    bpm : float
        The tempo that most speaks for.
    onsets : OnsetStrength
        Of the track; where there are none, nothing speaks for two.
    """
    slower_bpm = bpm / THREE_IN_TWO
    if not len(onsets.strength) or slower_bpm < max(SLOWEST_BPM, grid.min_bpm * (1 + NEAR)):
        return False
    fast, slow = (_mass_at(distributions, grid, one) for one in (bpm, slower_bpm))
    # where a piece changes from one tempo to the other, no moment has both
    share = float(np.minimum(fast, slow).sum() / max(fast.sum(), 1e-12))
    if share < WORTH_ASKING:
        return False
    return share * float(np.exp(ONSETS_WEIGH * _onsets_for_two(onsets, bpm))) >= LEAST_SHARE


def reach(grid: TempoGrid) -> int:
    """How many classes to either side of one lie within 4 % of it."""
    return int(np.ceil(np.log2(1 + NEAR) * grid.bins_per_octave))


def _mass_at(distributions: np.ndarray, grid: TempoGrid, bpm: float) -> np.ndarray:
    """Probability within 4 % of a tempo, (n,), of distributions (n, bins)."""
    place = round(float(grid.position(bpm)))
    mass: np.ndarray = distributions[:, max(place - reach(grid), 0) : place + reach(grid) + 1].sum(axis=1)
    return mass / np.maximum(distributions.sum(axis=1), 1e-12)


def as_two(distributions: np.ndarray, grid: TempoGrid, bpm: float) -> np.ndarray:
    """Tempo distributions with the mass around `bpm` and the mass around two thirds of it exchanged.

    Used where `bpm` counts three to a beat of two. Mass within 4 % of either tempo moves; all other classes stay.

    Parameters
    ----------
    distributions : float array, shape (..., bins)
        Over the grid; they are copied.
    grid : TempoGrid
    bpm : float
        The faster of the two tempi.
    """
    fast, slow = (round(float(grid.position(one))) for one in (bpm, bpm / THREE_IN_TWO))
    away = np.arange(-reach(grid), reach(grid) + 1)
    away = away[(slow + away >= 0) & (fast + away < grid.bins)]
    exchanged = distributions.copy()
    exchanged[..., fast + away] = distributions[..., slow + away]
    exchanged[..., slow + away] = distributions[..., fast + away]
    return exchanged


def _onsets_for_two(onsets: OnsetStrength, bpm: float) -> float:
    """By how much more the onsets repeat at one and two beats of the slower tempo than at those of the faster."""
    correlation = _autocorrelation(onsets)
    fast = 60 * onsets.rate_hz / bpm
    slow = THREE_IN_TWO * fast
    if 2 * slow * (1 + NEAR) > 0.8 * len(correlation):
        return 0.0  # too short to tell
    for_two, for_three = ((_peak(correlation, lag) + _peak(correlation, 2 * lag)) / 2 for lag in (slow, fast))
    return for_two - for_three


def _autocorrelation(onsets: OnsetStrength) -> np.ndarray:
    strength = np.sqrt(onsets.strength + LOW_SHARE * onsets.low).astype(np.float64)
    strength -= gaussian_filter1d(strength, LEVELLED_S * onsets.rate_hz)
    strength = gaussian_filter1d(strength, WIDTH_S * onsets.rate_hz)
    strength -= strength.mean()
    count = len(strength)
    size = next_fast_len(2 * count, real=True)
    correlation = irfft(np.abs(rfft(strength, size)) ** 2, size)[:count]
    terms = np.maximum(1 - np.arange(count) / count, 0.25)  # longer lags have fewer
    normal: np.ndarray = correlation / max(float(correlation[0]), 1e-12) / terms
    return normal


def _peak(correlation: np.ndarray, lag: float) -> float:
    """The highest value within 4 % of a lag."""
    return float(correlation[int(np.floor(lag * (1 - NEAR))) : int(np.ceil(lag * (1 + NEAR))) + 1].max())
