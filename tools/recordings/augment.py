"""Changes to sound that leave its genre as it is: what a teacher and a student then both get.

All take and give mono float32 samples (samples,); what is random comes from an explicit generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr
from scipy.signal import butter, fftconvolve, lfilter, sosfilt


@dataclass(frozen=True)
class SoundAugment:
    """How often and how strongly sound is changed.

    Attributes
    ----------
    speed : float
        Played up to this factor faster or slower, pitch and all.
    mix_probability, mix_range_db : float
        How often another piece is mixed in, and by how much it may be softer.
    peaks : int
        Up to this many peaking filters.
    peak_db : float
        Their largest gain or cut.
    room_probability, low_pass_probability, high_pass_probability : float
    low_pass_hz, high_pass_hz : tuple of (float, float)
        Ranges of the cut-off frequencies.
    level_db : tuple of (float, float)
        Range of the peak level, full scale = 0.
    """

    speed: float = 1.12
    mix_probability: float = 0.6
    mix_range_db: float = 12.0
    peaks: int = 2
    peak_db: float = 8.0
    room_probability: float = 0.25
    low_pass_probability: float = 0.3
    low_pass_hz: tuple[float, float] = (3500.0, 10_000.0)
    high_pass_probability: float = 0.1
    high_pass_hz: tuple[float, float] = (60.0, 250.0)
    level_db: tuple[float, float] = (-12.0, -0.5)


def filled(samples: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """A random part of `length` samples; shorter sound is repeated."""
    if len(samples) < length:
        return np.resize(samples, length)
    start = int(rng.integers(0, len(samples) - length + 1))
    return samples[start : start + length]


def draw_speed(config: SoundAugment, rng: np.random.Generator) -> float:
    """How many times as fast to play."""
    limit = np.log(config.speed)
    return float(np.exp(rng.uniform(-limit, limit)))


def faster(samples: np.ndarray, rate_hz: int, speed: float) -> np.ndarray:
    """Played `speed` times as fast, higher as well; as long as before, repeated where that is too short."""
    played = soxr.resample(samples, rate_hz * speed, rate_hz)
    return np.resize(played, len(samples)).astype(np.float32)


def mixed(samples: np.ndarray, other: np.ndarray, gain_db: float) -> np.ndarray:
    """Both sounding together, the other `gain_db` louder by its RMS; both of one length."""
    louder = _rms(samples) / _rms(other) * 10 ** (gain_db / 20)
    return samples + other * np.float32(louder)


def coloured(samples: np.ndarray, rate_hz: int, config: SoundAugment, rng: np.random.Generator) -> np.ndarray:
    """Through random filters, a room and a limited band, at another level."""
    for _ in range(rng.integers(0, config.peaks + 1)):
        centre_hz = np.exp(rng.uniform(np.log(80), np.log(9000)))
        gain_db, width = rng.uniform(-config.peak_db, config.peak_db), rng.uniform(0.4, 2)
        samples = peaking(samples, rate_hz, centre_hz, gain_db, width)
    if rng.random() < config.room_probability:
        samples = room(samples, rate_hz, rng.uniform(0.15, 0.8), rng.uniform(-14, -4), rng)
    if rng.random() < config.low_pass_probability:
        cut_hz = np.exp(rng.uniform(*np.log(config.low_pass_hz)))
        samples = sosfilt(butter(4, cut_hz, "low", fs=rate_hz, output="sos"), samples)
    if rng.random() < config.high_pass_probability:
        cut_hz = rng.uniform(*config.high_pass_hz)
        samples = sosfilt(butter(2, cut_hz, "high", fs=rate_hz, output="sos"), samples)
    level = 10 ** (rng.uniform(*config.level_db) / 20)
    return (samples * (level / max(float(np.abs(samples).max()), 1e-6))).astype(np.float32)


def peaking(samples: np.ndarray, rate_hz: int, centre_hz: float, gain_db: float, q: float) -> np.ndarray:
    """A peaking equaliser (Bristow-Johnson, "Cookbook formulae for audio EQ biquad filter coefficients")."""
    amplitude, angle = 10 ** (gain_db / 40), 2 * np.pi * centre_hz / rate_hz
    alpha, cosine = np.sin(angle) / 2 / q, np.cos(angle)
    forward = np.array([1 + alpha * amplitude, -2 * cosine, 1 - alpha * amplitude])
    back = np.array([1 + alpha / amplitude, -2 * cosine, 1 - alpha / amplitude])
    return np.asarray(lfilter(forward / back[0], back / back[0], samples), np.float32)


def room(samples: np.ndarray, rate_hz: int, decay_s: float, level_db: float, rng: np.random.Generator) -> np.ndarray:
    """With a drawn reverberation: noise that falls by 60 dB within `decay_s`, at `level_db` of the direct sound."""
    length = int(decay_s * rate_hz)
    response = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
    response *= 10 ** (level_db / 20) / np.sqrt(np.square(response).sum())
    response[0] = 1.0
    return np.asarray(fftconvolve(samples, response)[: len(samples)], np.float32)


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) + 1e-9
