"""From the windows' tempo distributions to one tempo with its alternatives, and to a tempo curve."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from fluxbeat.analysis.result import Tempo, TempoCandidate
from fluxbeat.models import TempoGrid

TOLERANCE = 0.04
"""Tempi closer than this count as the same, as in the usual Accuracy1."""
RELATIVES = (1.0, 2.0, 1 / 2, 3.0, 1 / 3)
"""Tempi that a listener can take for each other."""
CANDIDATES = 4
LEAST_PROBABILITY = 0.03
SMOOTHING_WINDOWS = 4.0
WINDOWS_AT_ONCE = 1024
"""Bounds memory, does not change the result."""


def softmax(logits: np.ndarray) -> np.ndarray:
    """Distribution over the last axis."""
    power = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return power / power.sum(axis=-1, keepdims=True)


def find_tempo(
    tempo_logits: np.ndarray, audible: np.ndarray, grid: TempoGrid, threshold: float
) -> tuple[Tempo, np.ndarray]:
    """The tempo of a track and along it.

    Parameters
    ----------
    tempo_logits : float array, shape (windows, bins)
    audible : bool array, shape (windows,)
        Windows that hold music.
    grid : TempoGrid
    threshold : float
        `pulse` that a distribution needs, of the track or around a window, for its tempo to count.

    Returns
    -------
    tempo : Tempo
        `bpm` is None where no tempo stands out.
    bpm : float array, shape (windows,)
        NaN where no tempo stands out or nothing sounds.
    """
    flat = np.full(grid.bins, 1.0 / grid.bins)
    if not audible.any():
        return Tempo(None, 0.0, (), grid.bpm, flat), np.full(len(tempo_logits), np.nan)
    windows = softmax(tempo_logits.astype(np.float64))
    whole = windows.mean(axis=0, where=audible[:, None])
    candidates = _candidates(whole, grid)
    confidence = candidates[0].probability if candidates else 0.0
    beat = bool(candidates) and pulse(whole, grid) >= threshold
    tempo = Tempo(candidates[0].bpm if beat else None, confidence, candidates, grid.bpm, whole)
    curve = np.full(len(windows), np.nan)
    if beat:
        # neighbours share most of their music, and tempo rarely jumps an octave: read each window with its context
        windows[~audible] = 0.0
        context = gaussian_filter1d(windows, SMOOTHING_WINDOWS, axis=0, mode="nearest")
        for first in range(0, len(windows), WINDOWS_AT_ONCE):
            part = slice(first, first + WINDOWS_AT_ONCE)
            curve[part] = _beats(context[part], grid, threshold)
        curve[~audible] = np.nan
    return tempo, curve


def beat_of(distribution: np.ndarray, grid: TempoGrid, threshold: float) -> float | None:
    """The tempo in BPM of one distribution, shape (bins,); None where its `pulse` is below the threshold."""
    bpm = float(_beats(distribution[None], grid, threshold)[0])
    return None if np.isnan(bpm) else bpm


def pulse(distribution: np.ndarray, grid: TempoGrid) -> float:
    """How much a distribution speaks for one beat: probability within 4 % of its best tempo and of that tempo's
    double, half, triple and third. Music that could be 86 or 172 BPM has a beat; hiss that could be anything has none.
    """
    return float(_pulses(_mass(distribution[None], grid), grid)[0])


def _beats(distributions: np.ndarray, grid: TempoGrid, threshold: float) -> np.ndarray:
    """Tempo in BPM of each distribution, (n, bins) -> (n,); NaN where its `pulse` is below the threshold."""
    distributions = distributions / np.maximum(distributions.sum(axis=1, keepdims=True), 1e-12)
    beats = np.full(len(distributions), np.nan)
    mass, smooth = _mass(distributions, grid), _smooth(distributions)
    for index in np.flatnonzero(_pulses(mass, grid) >= threshold):
        peaks = _peaks(smooth[index], grid)
        if len(peaks):
            beats[index] = _bpm_at(distributions[index], peaks[mass[index, peaks].argmax()], grid)
    return beats


def _pulses(mass: np.ndarray, grid: TempoGrid) -> np.ndarray:
    """`pulse` of each row of masses, (n, bins) -> (n,)."""
    best = mass.argmax(axis=1)
    steps = sorted({float(np.log2(factor)) * grid.bins_per_octave for factor in RELATIVES})
    places = np.round(best[:, None] + steps).astype(int)
    within = (places >= 0) & (places < grid.bins)
    found = np.take_along_axis(mass, places.clip(0, grid.bins - 1), axis=1)
    return np.minimum(1.0, (found * within).sum(axis=1))


def _reach(grid: TempoGrid) -> int:
    return int(np.ceil(np.log2(1 + TOLERANCE) * grid.bins_per_octave))


def _mass(distributions: np.ndarray, grid: TempoGrid) -> np.ndarray:
    """Probability within 4 % of each class; (n, bins)."""
    width = 2 * _reach(grid) + 1
    return width * uniform_filter1d(distributions, width, axis=1, mode="constant")


def _smooth(distributions: np.ndarray) -> np.ndarray:
    """With the chance of single classes taken out, (n, bins)."""
    return gaussian_filter1d(distributions, 1.0, axis=-1, mode="constant")


def _peaks(smooth: np.ndarray, grid: TempoGrid) -> np.ndarray:
    """Classes at which a smoothed distribution, shape (bins,), has a peak."""
    from scipy.signal import find_peaks  # here, since it brings all of scipy.stats

    return find_peaks(np.concatenate([[0.0], smooth, [0.0]]), distance=_reach(grid))[0] - 1


def _bpm_at(distribution: np.ndarray, peak: int, grid: TempoGrid) -> float:
    """The tempo at a peak's centre of mass."""
    reach = _reach(grid)
    near = np.arange(max(peak - reach, 0), min(peak + reach + 1, grid.bins))
    position = float((near * distribution[near]).sum() / max(distribution[near].sum(), 1e-12))
    return float(grid.min_bpm * 2 ** (position / grid.bins_per_octave))


def _candidates(distribution: np.ndarray, grid: TempoGrid) -> tuple[TempoCandidate, ...]:
    """Peaks of a distribution, most probable first: probability within 4 %, tempo at the peak's centre of mass."""
    mass = _mass(distribution[None], grid)[0]
    found = [
        TempoCandidate(_bpm_at(distribution, peak, grid), float(min(mass[peak], 1.0)))
        for peak in _peaks(_smooth(distribution), grid).tolist()
    ]
    found.sort(key=lambda candidate: -candidate.probability)
    kept = [candidate for candidate in found if candidate.probability >= LEAST_PROBABILITY]
    return tuple((kept or found)[:CANDIDATES])
