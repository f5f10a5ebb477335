"""Changes to a spectrogram that keep its labels true, or change them along.

All work on normalised log-mel, float32 (mels, frames), with an explicit random generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# one unit of the normalised log-mel is about this many dB: the usual deviation over bands and time
UNIT_DB = 13.5


@dataclass(frozen=True)
class AugmentConfig:
    """How strongly training examples are changed; all off at 0.

    Attributes
    ----------
    stretch_octaves : float
        Time-stretch up to this many octaves either way; the tempo label moves along.
    shift_bands : float
        Largest shift along the mel axis, in bands: a small change of pitch.
    eq_units, gain_units, scale_range, noise_units : float
        Random equaliser curve, level, contrast and noise, in units of the normalised log-mel.
    mask : float
        Largest share of bands and of frames in each of two masks (SpecAugment, Park et al. 2019); the network only.
    blend : float
        Strength of mixup; the network only.
    mix_probability, mix_range_db : float
        How often two clips are mixed, and by how much one may be louder; both genres are then present.
    picture_step : float
        Largest share of the step from a picture to its recording, or back, that texture's values are moved by.
    """

    stretch_octaves: float = 0.1
    shift_bands: float = 0.5
    eq_units: float = 0.15
    gain_units: float = 0.1
    scale_range: float = 0.1
    noise_units: float = 0.1
    mask: float = 0.12
    blend: float = 0.4
    mix_probability: float = 0.3
    mix_range_db: float = 9.0
    picture_step: float = 1.0


def crop_and_stretch(
    log_mel: np.ndarray, frames: int, octaves: float, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """A random stretch of music resampled to `frames` frames.

    Returns
    -------
    window : float32 array, shape (mels, frames)
    rate : float
        How much faster the music goes: the tempo label times `rate` is the window's tempo.
    """
    if octaves == 0 and log_mel.shape[1] >= frames:
        start_frame = rng.integers(log_mel.shape[1] - frames + 1)
        return log_mel[:, start_frame : start_frame + frames].astype(np.float32), 1.0
    longest = log_mel.shape[1] / frames
    rate = min(2.0 ** rng.uniform(-octaves, octaves), max(longest - 1e-3, 0.5))
    needed = rate * (frames - 1)
    start = rng.uniform(0, max(log_mel.shape[1] - 1 - needed, 0))
    at = start + rate * np.arange(frames)
    at = np.minimum(at, log_mel.shape[1] - 1 - 1e-4) if longest * 1.001 >= rate else at % (log_mel.shape[1] - 1)
    low = at.astype(np.int64)
    fraction = (at - low).astype(np.float32)
    return log_mel[:, low] * (1 - fraction) + log_mel[:, low + 1] * fraction, rate


def shift_pitch(window: np.ndarray, bands: float) -> np.ndarray:
    """Move the music up by `bands` mel bands (fractions interpolate); the edge bands repeat."""
    at = np.clip(np.arange(len(window)) - bands, 0, len(window) - 1.001)
    low = at.astype(np.int64)
    fraction = (at - low).astype(np.float32)[:, None]
    return window[low] * (1 - fraction) + window[low + 1] * fraction


def mix(first: np.ndarray, second: np.ndarray, gain_db: float) -> tuple[np.ndarray, float]:
    """Both windows sounding together, the first `gain_db` louder; with the first one's share of the power."""
    a, b = first * UNIT_DB + gain_db, second * UNIT_DB
    together = np.logaddexp(a * (np.log(10) / 10), b * (np.log(10) / 10)) * (10 / np.log(10)) / UNIT_DB
    together = (together - together.mean()) / max(together.std(), 0.2)
    return together.astype(np.float32), 1.0 / (1.0 + 10.0 ** (-gain_db / 10.0))


def colour(window: np.ndarray, config: AugmentConfig, rng: np.random.Generator) -> np.ndarray:
    """Random equaliser, level, contrast and noise: another room, another record, another player."""
    bands, frames = window.shape
    knots = np.linspace(0, bands - 1, 6)
    eq = np.interp(np.arange(bands), knots, rng.normal(0, config.eq_units, 6))
    scale = 1.0 + rng.uniform(-config.scale_range, config.scale_range)
    noise = rng.standard_normal((bands, frames), dtype=np.float32) * rng.uniform(0, config.noise_units)
    return (window * scale + eq[:, None] + rng.normal(0, config.gain_units) + noise).astype(np.float32)


def blend(log_mel: Tensor, targets: Tensor, known: Tensor, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """Mixup of a batch with itself in another order (Zhang et al., ICLR 2018).

    Parameters
    ----------
    log_mel, targets, known : Tensor, shapes (batch, mels, frames), (batch, labels), (batch, labels)
    alpha : float
        Of the beta distribution that the share of the first is drawn from; 0 leaves all as it is.

    Returns
    -------
    The three, blended; what is known is what both know.
    """
    if alpha <= 0:
        return log_mel, targets, known
    share = torch.from_numpy(generator_from_torch().beta(alpha, alpha, len(log_mel)).astype(np.float32))
    share = torch.maximum(share, 1 - share).to(log_mel.device)
    other = torch.randperm(len(log_mel), device=log_mel.device)
    wide, row = share[:, None, None], share[:, None]
    return (
        wide * log_mel + (1 - wide) * log_mel[other],
        row * targets + (1 - row) * targets[other],
        known * known[other],
    )


def mask_stripes(log_mel: Tensor, largest: float) -> Tensor:
    """Two stripes of bands and two of frames of each window set to 0, up to `largest` of the width (SpecAugment)."""
    batch, bands, frames = log_mel.shape
    kept = torch.ones(batch, bands, frames, device=log_mel.device)
    for length, dim in ((bands, 1), (frames, 2), (bands, 1), (frames, 2)):
        width = torch.rand(batch, 1, device=log_mel.device) * largest * length
        start = torch.rand(batch, 1, device=log_mel.device) * (length - width)
        at = torch.arange(length, device=log_mel.device)
        outside = ((at < start) | (at >= start + width)).float()
        kept = kept * outside.unsqueeze(3 - dim)
    return log_mel * kept


def generator_from_torch() -> np.random.Generator:
    """A NumPy generator that torch's seed decides, as Lightning's seed decides that one."""
    return np.random.default_rng(int(torch.randint(2**62, ()).item()))
