"""Music at one loudness, so that of two that sound together neither hides the other."""

from __future__ import annotations

import numpy as np

LOUDNESS_RMS = 0.1


def equally_loud(samples: np.ndarray) -> np.ndarray:
    """Audio at an RMS of `LOUDNESS_RMS`, float32; silence stays silence."""
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return (samples * (LOUDNESS_RMS / max(rms, 1e-6))).astype(np.float32)
