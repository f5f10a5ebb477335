"""From a recording to the kind of picture that `fluxbeat.training.pictures` reads.

With it one piece of music can be shown to a model both ways, so that it learns to give both the same answer.
"""

from __future__ import annotations

import numpy as np

from fluxbeat.training.pictures import BINS, COLUMNS_PER_SECOND, NYQUIST_HZ

RATE_HZ = round(2 * NYQUIST_HZ)
SEGMENT = 2 * (BINS - 1)
OVERLAP = SEGMENT // 8
TUKEY_SHAPE = 0.25
LOWEST_POWER = 1e-20
"""Keeps the logarithm of digital silence finite."""


def simulate_picture(samples: np.ndarray) -> np.ndarray:
    """Mono samples at 22,050 Hz, shape (samples,), to the picture of their spectrum, uint8 (129, columns).

    The spectrum is that of `scipy.signal.spectrogram` with its own defaults: segments of 256 samples, 32 of them
    shared, under a Tukey window, each freed of its mean. Of its columns 16.53 a second are kept, evenly spaced, and
    the logarithm of the power is stretched to 0..255 from the clip's lowest to its highest value.

    Raises
    ------
    ValueError
        If there are fewer than 256 samples: not one column.
    """
    from scipy.signal import spectrogram

    if len(samples) < SEGMENT:
        raise ValueError(f"a picture needs at least {SEGMENT} samples, got {len(samples)}")
    power = spectrogram(samples, RATE_HZ, ("tukey", TUKEY_SHAPE), SEGMENT, OVERLAP)[2]
    columns = max(round(len(samples) / RATE_HZ * COLUMNS_PER_SECOND), 1)
    kept = ((np.arange(columns) + 0.5) * (power.shape[1] / columns)).astype(int)
    level = np.log(power[:, kept] + LOWEST_POWER)
    lowest, highest = level.min(), level.max()
    return np.rint(255.0 * (level - lowest) / max(highest - lowest, 1e-9)).astype(np.uint8)
