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

    Attributes
    ----------
    cancelled_s, mixed_s : float
        Seconds in which the mean would have cancelled, so that one channel was taken, and seconds in all.
    """

    def __init__(self, rate_hz: int, memory_s: float = 0.25) -> None:
        self._rate_hz, self._memory_s = rate_hz, memory_s
        self._cancelled = self._of_moments = 0.0
        self._channel: int | None = None
        self._share_that_cancels = 1.0  # of the newest piece's moments; silent ones go along
        self.cancelled_s = self.mixed_s = 0.0
        self._bass_of_sum = self._bass_of_channels = self._all_of_channels = 0.0

    @property
    def bass_cancels(self) -> bool:
        """Whether channels that were averaged cancel each other in the bass alone, so that it is missing."""
        is_there = self._bass_of_channels > _LEAST_BASS * self._all_of_channels
        return is_there and self._bass_of_sum < _BASS_CANCELS_BELOW * self._bass_of_channels

    @property
    def cancels(self) -> bool:
        """Whether one channel stands for all in the newest piece."""
        return self._channel is not None

    def warnings(self) -> list[TrackWarning]:
        """What a person should know about the channels that were mixed."""
        if self.cancelled_s < max(min(_LEAST_CANCELLED_S, _LEAST_CANCELLED * self.mixed_s), 1e-9):
            if not self.bass_cancels:
                return []
            text = "left and right cancel each other in the bass: it was analysed without its bass"
            return [TrackWarning("stereo_cancels", text)]
        whole = self.cancelled_s > 0.95 * self.mixed_s
        when = "" if whole else f" in {self.cancelled_s:.0f} of {self.mixed_s:.0f} s"
        text = f"left and right cancel each other{when}: only one of them was analysed"
        return [TrackWarning("stereo_cancels", text)]

    def mix(self, frames: Samples) -> Samples:
        """(frames, channels) -> (frames, 1)."""
        if frames.shape[1] == 1 or not len(frames):
            return frames[:, :1]
        piece = max(1, round(PIECE_S * self._rate_hz))
        mixed = [self._piece(frames[first : first + piece]) for first in range(0, len(frames), piece)]
        return (np.concatenate(mixed) if len(mixed) > 1 else mixed[0])[:, np.newaxis]

    def _piece(self, frames: Samples) -> Samples:
        """(frames, channels) of at most a second -> (frames,)."""
        mean = _mean(frames)
        before = self._channel
        self._channel = self._decide(frames, mean)
        length_s = len(frames) / self._rate_hz
        self.mixed_s += length_s
        if self._channel is not None:
            self.cancelled_s += length_s * self._share_that_cancels
        else:
            self._hear_bass(frames)
        new = mean if self._channel is None else frames[:, self._channel].copy()
        if before == self._channel or self.mixed_s == length_s:
            return new
        old = mean if before is None else frames[:, before]
        fade = min(len(frames), round(_FADE_S * self._rate_hz))
        ramp = np.linspace(0, 1, fade, dtype=np.float32)
        new[:fade] = new[:fade] * ramp + old[:fade] * (1 - ramp)
        return new

    def _hear_bass(self, frames: Samples) -> None:
        """Keep the power of the bass, (frames, channels), in each channel and in their sum."""
        size = max(1, round(_BASS_PERIOD_S * self._rate_hz))
        whole = len(frames) - len(frames) % size
        if not whole:
            return
        channels = [channel[:whole].reshape(-1, size).mean(axis=1) for channel in frames.T]
        total = np.sum(channels, axis=0)
        self._bass_of_sum += size * float(np.dot(total, total))
        self._bass_of_channels += size * sum(float(np.dot(channel, channel)) for channel in channels)
        self._all_of_channels += _EVERY * sum(float(np.dot(one, one)) for one in frames[:whole:_EVERY].T)

    def _decide(self, frames: Samples, mean: Samples) -> int | None:
        """The channel to take in place of the mean, or None."""
        some, some_of_mean = frames[::_EVERY], mean[::_EVERY]
        powers, cancelled, apart = np.zeros(frames.shape[1]), 0.0, 0
        size = max(1, round(_MOMENT_S * self._rate_hz / _EVERY))
        for first in range(0, len(some), size):
            moment, its_mean = some[first : first + size], some_of_mean[first : first + size]
            in_moment = np.array([np.dot(channel, channel) for channel in moment.T], np.float64)
            of_sum = frames.shape[1] ** 2 * float(np.dot(its_mean, its_mean))
            powers += in_moment
            if of_sum < _CANCELS_BELOW * in_moment.sum():
                cancelled += float(in_moment.sum())
            elif in_moment.sum() > _QUIET * moment.size:
                apart += len(moment)
        self._share_that_cancels = 1 - apart / len(some)
        if powers.sum() < _QUIET * some.size:
            return self._channel
        kept = math.exp(-len(frames) / self._rate_hz / self._memory_s)
        self._cancelled = self._cancelled * kept + cancelled
        self._of_moments = self._of_moments * kept + float(powers.sum())
        share = self._cancelled / self._of_moments
        if self._channel is not None:
            return self._channel if share >= _LITTLE_CANCELS else None
        return int(powers.argmax()) if share > _MUCH_CANCELS else None


def _mean(frames: Samples) -> Samples:
    """(frames, channels) -> (frames,); channel by channel, since numpy's mean takes 40 times as long."""
    mixed: Samples = frames[:, 0] + frames[:, 1]
    for channel in range(2, frames.shape[1]):
        mixed += frames[:, channel]
    mixed *= np.float32(1 / frames.shape[1])
    return mixed
