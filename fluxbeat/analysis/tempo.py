"""From the windows' tempo distributions to one tempo with its alternatives, and to a tempo curve."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from fluxbeat.analysis.result import Tempo, TempoCandidate
from fluxbeat.models import TempoGrid

TOLERANCE = 0.04
"""Tempi closer than this count as the same, as in the usual Accuracy1."""
RELATIVES = (1.0, 2.0, 1 / 2, 3.0, 1 / 3)
"""Tempi that a listener can take for each other."""
CANDIDATES = 4
LEAST_PROBABILITY = 0.03
SMOOTHING_WINDOWS = 4.0


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
    whole = windows[audible].mean(axis=0)
    candidates = _candidates(whole, grid)
    confidence = candidates[0].probability if candidates else 0.0
    beat = bool(candidates) and pulse(whole, grid) >= threshold
    tempo = Tempo(candidates[0].bpm if beat else None, confidence, candidates, grid.bpm, whole)
    curve = np.full(len(windows), np.nan)
    if beat:
        # neighbours share most of their music, and tempo rarely jumps an octave: read each window with its context
        context = gaussian_filter1d(windows * audible[:, None], SMOOTHING_WINDOWS, axis=0, mode="nearest")
        for index in np.flatnonzero(audible):
            around = context[index] / max(context[index].sum(), 1e-12)
            local = beat_of(around, grid, threshold)
            curve[index] = np.nan if local is None else local
    return tempo, curve


def beat_of(distribution: np.ndarray, grid: TempoGrid, threshold: float) -> float | None:
    """The tempo in BPM of one distribution, shape (bins,); None where its `pulse` is below the threshold."""
    found = _candidates(distribution, grid)
    return found[0].bpm if found and pulse(distribution, grid) >= threshold else None


def pulse(distribution: np.ndarray, grid: TempoGrid) -> float:
    """How much a distribution speaks for one beat: probability within 4 % of its best tempo and of that tempo's
    double, half, triple and third. Music that could be 86 or 172 BPM has a beat; hiss that could be anything has none.
    """
    mass = _mass(distribution, grid)
    best = int(mass.argmax())
    places = {round(best + np.log2(factor) * grid.bins_per_octave) for factor in RELATIVES}
    return float(min(1.0, sum(mass[place] for place in places if 0 <= place < grid.bins)))


def _reach(grid: TempoGrid) -> int:
    return int(np.ceil(np.log2(1 + TOLERANCE) * grid.bins_per_octave))


def _mass(distribution: np.ndarray, grid: TempoGrid) -> np.ndarray:
    """Probability within 4 % of each class."""
    return np.convolve(distribution, np.ones(2 * _reach(grid) + 1), mode="same")


def _candidates(distribution: np.ndarray, grid: TempoGrid) -> tuple[TempoCandidate, ...]:
    """Peaks of a distribution, most probable first: probability within 4 %, tempo at the peak's centre of mass."""
    reach, mass = _reach(grid), _mass(distribution, grid)
    smooth = gaussian_filter1d(distribution, 1.0, mode="constant")
    peaks, _ = find_peaks(np.concatenate([[0.0], smooth, [0.0]]), distance=reach)
    found = []
    for peak in (peaks - 1).tolist():
        near = np.arange(max(peak - reach, 0), min(peak + reach + 1, grid.bins))
        position = float((near * distribution[near]).sum() / max(distribution[near].sum(), 1e-12))
        bpm = grid.min_bpm * 2 ** (position / grid.bins_per_octave)
        found.append(TempoCandidate(float(bpm), float(min(mass[peak], 1.0))))
    found.sort(key=lambda candidate: -candidate.probability)
    kept = [candidate for candidate in found if candidate.probability >= LEAST_PROBABILITY]
    return tuple((kept or found)[:CANDIDATES])
