"""How strongly something begins at each moment: onset strength, a hundred frames a second, of audio as it comes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.fft import next_fast_len
from scipy.ndimage import maximum_filter1d
from torchaudio.functional import melscale_fbanks

FRAME_RATE_HZ = 100.0
N_FFT_S = 0.0232
BANDS, LOW_BANDS = 24, 2
"""Mel bands, and how many of the lowest hold a bass drum (up to 300 Hz)."""
F_MAX_HZ = 10_000.0
LAG_FRAMES = 2
"""Energy is compared with that of so many frames before."""
LEVEL_REACH_S = 3.0
"""How far to either side the level is taken that decides what is loud."""
QUIETEST = 1e-3
"""What lies this far (in power) under the level does not count: 30 dB."""
FLOOR_POWER = 1e-12
"""Nor what lies under this, the noise of a silent 16-bit file."""


@dataclass(frozen=True, eq=False)
class OnsetStrength:
    """Onset strength along a track.

    Attributes
    ----------
    rate_hz : float
        Frames per second; frame `t` is about the moment `t / rate_hz`.
    strength : float32 array, shape (frames,)
        Mean rise of the log-energy over all bands, at least 0; it does not depend on how loud the track is.
    low : float32 array, shape (frames,)
        The same of the bands of a bass drum.
    """

    rate_hz: float
    strength: np.ndarray
    low: np.ndarray


NO_ONSETS = OnsetStrength(FRAME_RATE_HZ, np.zeros(0, np.float32), np.zeros(0, np.float32))
"""Of what has no sound."""


class OnsetStream:
    """Spectral flux of log-compressed mel energy with a maximum filter over neighbouring bands, block by block.

    As SuperFlux does it (Böck & Widmer, "Maximum filter vibrato suppression for onset detection", DAFx 2013), with the
    level around each moment for the logarithm's scale. The result does not depend on how the audio is cut into blocks;
    of the audio only a few seconds are held.

    Parameters
    ----------
    sample_rate_hz : int
        Of the mono blocks.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._hop = max(1, round(sample_rate_hz / FRAME_RATE_HZ))
        self.rate_hz = sample_rate_hz / self._hop
        self._n_fft = 2 * next_fast_len(round(N_FFT_S * sample_rate_hz / 2))
        self._window = torch.hann_window(self._n_fft)
        bins, highest_hz = self._n_fft // 2 + 1, min(F_MAX_HZ, sample_rate_hz / 2)
        bands = melscale_fbanks(bins, 0.0, highest_hz, BANDS, sample_rate_hz, norm="slaney", mel_scale="slaney")
        # real and imaginary parts lie side by side: their squares are summed by the same product
        self._bands = torch.repeat_interleave(bands, 2, dim=0) / (self._n_fft / 4) ** 2
        self._rest = np.zeros(self._n_fft // 2, np.float32)
        self._reach = round(LEVEL_REACH_S * self.rate_hz)
        self._power = np.zeros((0, BANDS), np.float32)  # frames whose strength waits for what follows, and those before
        self._first_waiting = 0
        self._means = np.zeros((BANDS, 2), np.float32)
        self._means[:, 0], self._means[:LOW_BANDS, 1] = 1 / BANDS, 1 / LOW_BANDS
        self._found: list[np.ndarray] = []

    def push(self, block: np.ndarray) -> None:
        """Take the next float32 samples, shape (samples,)."""
        samples = np.concatenate([self._rest, block])
        count = max((len(samples) - self._n_fft) // self._hop + 1, 0)
        self._rest = samples[count * self._hop :]
        if count:
            self._power = np.concatenate([self._power, self._band_power(samples, count)])
            self._decide(len(self._power) - self._reach)

    def finish(self) -> OnsetStrength:
        """The onset strength of all that was taken; nothing may be pushed any more."""
        self.push(np.zeros(self._n_fft // 2, np.float32))
        self._decide(len(self._power))
        strength, low = np.concatenate(self._found).T.copy()
        return OnsetStrength(self.rate_hz, strength, low)

    @torch.inference_mode()
    def _band_power(self, samples: np.ndarray, count: int) -> np.ndarray:
        used = torch.from_numpy(np.ascontiguousarray(samples[: (count - 1) * self._hop + self._n_fft]))
        cut = used.unfold(0, self._n_fft, self._hop)
        spectrum = torch.view_as_real(torch.fft.rfft(cut * self._window)).flatten(1)
        return (spectrum.square_() @ self._bands).numpy()

    def _decide(self, until: int) -> None:
        """Find the strength of the waiting frames before `until`, and forget what no later frame needs."""
        power, first = self._power, self._first_waiting
        if until <= first:
            return
        begin = max(first - LAG_FRAMES, 0)
        total = np.concatenate([[0.0], np.cumsum(power.sum(axis=1, dtype=np.float64))])
        frames = np.arange(begin, until)
        low, high = np.maximum(frames - self._reach, 0), np.minimum(frames + self._reach + 1, len(power))
        level = (total[high] - total[low]) / (high - low) / BANDS
        floor = np.maximum(QUIETEST * level, FLOOR_POWER)[:, None].astype(np.float32)
        loud = torch.from_numpy(power[begin:until] / floor).log1p_().numpy()
        before = maximum_filter1d(loud[: max(len(loud) - LAG_FRAMES, 0)], 3, axis=1, mode="nearest")
        rise = np.zeros((until - first, BANDS), np.float32)
        missing = min(LAG_FRAMES - (first - begin), until - first)  # nothing lies before the first frames of all
        rise[missing:] = (loud[LAG_FRAMES:] - before).clip(min=0)
        self._found.append(rise @ self._means)
        kept = max(until - self._reach - LAG_FRAMES, 0)
        self._power, self._first_waiting = power[kept:], until - kept


def onset_strength(samples: np.ndarray, sample_rate_hz: int) -> OnsetStrength:
    """The onset strength of float32 samples, shape (samples,), as `OnsetStream` finds it."""
    stream = OnsetStream(sample_rate_hz)
    stream.push(samples)
    return stream.finish()
