"""Channels to one: their mean, or one of them where the mean cancels what they hold."""

from __future__ import annotations

import math

import numpy as np

from fluxbeat.audio.readers import Samples
from fluxbeat.errors import TrackWarning

PIECE_S = 1.0
_MOMENT_S = 0.1
_CANCELS_BELOW = 0.5
"""Power of the sum of channels over the sum of their powers: 1 for independent channels, as many as there are channels
for equal ones, 0 where they cancel. Under 0.5 two equally strong channels have a correlation under -0.5."""
_MUCH_CANCELS, _LITTLE_CANCELS = 0.25, 0.1
"""From which share on of the power in moments that cancel one channel is taken, and below which no more: the phase may
turn every half second."""
_QUIET = 1e-12  # mean power per sample, -120 dB
_EVERY = 3  # frame that is enough to compare powers
_LEAST_CANCELLED_S, _LEAST_CANCELLED = 3.0, 0.1  # in seconds and of all; less is not worth a word
_FADE_S = 0.02
_BASS_PERIOD_S = 1 / 300  # means over so long keep what lies below about 130 Hz
_LEAST_BASS = 0.02  # of all power; less is not missed
_BASS_CANCELS_BELOW = 0.25


class MonoMix:
    """Mix pieces of a recording in their order.

    Parameters
    ----------
    rate_hz : int
    memory_s : float
        Time in which what was found in earlier pieces loses 63 % of its weight; longer where pieces are short.
    """

    def __init__(self, rate_hz: int, memory_s: float = 0.25) -> None:
        self._rate_hz, self._memory_s = rate_hz, memory_s
        self._cancelled_power = self._power = 0.0
        self._channel: int | None = None
        self._cancelled_s = self._mixed_s = 0.0
        # of pieces that were averaged: in the bass that of the channels' sum and of the channels, and of the channels
        self._bass_power_of_sum = self._bass_power = self._averaged_power = 0.0

    @property
    def cancels(self) -> bool:
        """Whether one channel stands for all in the newest piece."""
        return self._channel is not None

    def warnings(self) -> list[TrackWarning]:
        """What a person should know about the channels that were mixed."""
        if self._cancelled_s and self._cancelled_s >= min(_LEAST_CANCELLED_S, _LEAST_CANCELLED * self._mixed_s):
            whole = self._cancelled_s > 0.95 * self._mixed_s
            when = "" if whole else f" in {self._cancelled_s:.0f} of {self._mixed_s:.0f} s"
            text = f"left and right cancel each other{when}: only one of them was analysed"
            return [TrackWarning("stereo_cancels", text)]
        has_bass = self._bass_power > _LEAST_BASS * self._averaged_power
        if has_bass and self._bass_power_of_sum < _BASS_CANCELS_BELOW * self._bass_power:
            text = "left and right cancel each other in the bass: it was analysed without its bass"
            return [TrackWarning("stereo_cancels", text)]
        return []

    def mix(self, frames: Samples) -> Samples:
        """(frames, channels) -> (frames, 1)."""
        if frames.shape[1] == 1 or not len(frames):
            return frames[:, :1]
        piece = max(1, round(PIECE_S * self._rate_hz))
        mixed = [self._piece(frames[first : first + piece]) for first in range(0, len(frames), piece)]
        return np.concatenate(mixed)[:, np.newaxis]

    def _piece(self, frames: Samples) -> Samples:
        """(frames, channels) of at most a second -> (frames,)."""
        channels = np.ascontiguousarray(frames.T)
        mean: Samples = channels.mean(axis=0)
        before, is_first = self._channel, not self._mixed_s
        share_that_cancels = self._choose_channel(channels, mean)
        length_s = len(frames) / self._rate_hz
        self._mixed_s += length_s
        if self._channel is None:
            self._add_bass(channels)
        else:
            self._cancelled_s += length_s * share_that_cancels
        new = mean if self._channel is None else channels[self._channel]
        if before == self._channel or is_first:
            return new
        old = mean if before is None else channels[before]
        fade = min(len(frames), round(_FADE_S * self._rate_hz))
        ramp = np.linspace(0, 1, fade, dtype=np.float32)
        return np.concatenate([new[:fade] * ramp + old[:fade] * (1 - ramp), new[fade:]])

    def _add_bass(self, channels: Samples) -> None:
        """Add up the power of the bass in each channel and in their sum."""
        size = max(1, round(_BASS_PERIOD_S * self._rate_hz))
        whole = channels.shape[1] - channels.shape[1] % size
        bass = channels[:, :whole].reshape(len(channels), -1, size).mean(axis=2)
        self._bass_power_of_sum += size * _power(bass.sum(axis=0))
        self._bass_power += size * _power(bass)
        self._averaged_power += _EVERY * _power(channels[:, :whole:_EVERY])

    def _choose_channel(self, channels: Samples, mean: Samples) -> float:
        """Choose the channel to take in place of the mean, or none; the share of moments in which they cancel."""
        size = max(1, round(_MOMENT_S * self._rate_hz / _EVERY))
        moments = np.arange(0, len(mean[::_EVERY]), size)
        powers = np.add.reduceat(np.square(channels[:, ::_EVERY], dtype=np.float64), moments, axis=1)
        power_of_sum = np.add.reduceat(np.square(len(channels) * mean[::_EVERY], dtype=np.float64), moments)
        power = powers.sum(axis=0)
        cancel = power_of_sum < _CANCELS_BELOW * power
        silent = power <= _QUIET * size * len(channels)  # silent moments go along
        share_that_cancels = float((cancel | silent).mean())
        if silent.all():
            return share_that_cancels
        kept = math.exp(-len(mean) / self._rate_hz / self._memory_s)
        self._cancelled_power = self._cancelled_power * kept + float(power[cancel].sum())
        self._power = self._power * kept + float(power.sum())
        share = self._cancelled_power / self._power
        if share < (_MUCH_CANCELS if self._channel is None else _LITTLE_CANCELS):
            self._channel = None
        elif self._channel is None:
            self._channel = int(powers.sum(axis=1).argmax())
        return share_that_cancels


def _power(samples: Samples) -> float:
    return float(np.vdot(samples, samples))
