"""The sound that a map marks, and the rest, with the phases of the recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.signal import istft, stft

from fluxbeat.explanation.result import Explanation

FFT, HOP = 2048, 512
EDGE = (1.0, 1.0)
"""How softly a marked place begins and ends, in bands and frames: hard edges ring."""
MARKED_MASS = 0.8
"""The marked places hold this share of all that speaks for the answer."""


@dataclass(frozen=True, eq=False)
class SoundParts:
    """The sound of a window, taken apart; `attended` + `rest` is the window itself.

    Attributes
    ----------
    attended, rest : float32 array, shape (samples,)
    sample_rate_hz : int
    """

    attended: np.ndarray
    rest: np.ndarray
    sample_rate_hz: int


def split_sound(explanation: Explanation, samples: np.ndarray, sample_rate_hz: int) -> SoundParts:
    """Take the sound of the explained window apart.

    Parameters
    ----------
    explanation : Explanation
    samples : float32 array, shape (samples,)
        Mono, of the explained window alone, which begins at `explanation.start_s`.
    sample_rate_hz : int
    """
    hz, time_s, spectrum = stft(samples, sample_rate_hz, nperseg=FFT, noverlap=FFT - HOP)
    mask = _on_spectrum(marked(explanation.map), explanation, hz, time_s)
    _, inside = istft(spectrum * mask, sample_rate_hz, nperseg=FFT, noverlap=FFT - HOP)
    attended = np.zeros(len(samples), np.float32)
    attended[: len(inside)] = inside[: len(samples)]
    return SoundParts(attended, samples.astype(np.float32) - attended, sample_rate_hz)


def marked(positive: np.ndarray) -> np.ndarray:
    """The smallest set of places that holds `MARKED_MASS` of a map, soft at its edges: 0..1, shape as `positive`."""
    total = float(positive.sum())
    if total <= 0:
        return np.zeros_like(positive)
    smooth = gaussian_filter(positive, EDGE, mode="nearest")
    ordered = np.sort(smooth, axis=None)[::-1]
    enough = ordered[min(int(np.searchsorted(np.cumsum(ordered), MARKED_MASS * ordered.sum())), ordered.size - 1)]
    inside: np.ndarray = gaussian_filter((smooth >= enough).astype(np.float32), EDGE, mode="nearest")
    return inside


def _on_spectrum(mask: np.ndarray, explanation: Explanation, hz: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """A mask over (mels, frames) read at every frequency and moment; outside the model's bands nothing is marked."""
    bands = np.interp(hz, explanation.band_hz, np.arange(len(mask)), left=-1.0, right=-1.0)
    places = np.meshgrid(bands, time_s * explanation.frame_rate_hz, indexing="ij")
    spread: np.ndarray = map_coordinates(mask, places, output=np.float64, order=1, mode="nearest")
    return spread * (bands >= 0)[:, None]
