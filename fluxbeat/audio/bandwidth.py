"""Where the sound of a recording ends towards the treble: at 4 kHz where it was sampled at 8 kHz, whatever its file."""

from __future__ import annotations

import numpy as np

from fluxbeat.audio.readers import Samples

_SIZE = 4096
_LEAST_RATE_HZ = 20_000
_EVERY_S = 1.0
_SMOOTH_HZ = 150.0
_LEAST_SUDDEN_DROP_DB = 25.0
_LEAST_GENTLE_DROP_DB = 28.0
"""Of 1,173 recordings of music for training 10 fall so far, most of them made before there was tape; behind Butterworth
filters at 3.4 kHz 35 % of them do with order 3, 81 % with order 4, 92 % and more with order 5 and above."""
_MIRRORS_HZ = (4_000.0, 5_512.5)
_LEAST_MIRRORED = 0.3
"""Correlation of the levels on both sides. No recording of music for training has it; of 99 that were sampled at 8 or
11 kHz, and their samples held, 97 do."""
_LEAST_OF_POWER = (1e-3, 1e-5)
"""Below the mirror and above, of all power: what is weaker is the noise of a codec beside a tone."""
_FLAT_DB = 1e-3
_FINE_HZ = 200.0
_MIRROR_STEP_HZ = 5.0


class UpperEdge:
    """Listens to a recording for the end of its spectrum.

    Music loses its treble gradually; sampling rates, telephones and codecs cut it off. One short spectrum each second
    is averaged. An edge is where the level falls by 25 dB and more within an eighth and stays there, or, as behind the
    gentle filters of telephones, falls far faster above than below. Where samples were held in place of being
    interpolated, it is where the spectrum above mirrors that below.

    Parameters
    ----------
    rate_hz : int
        Of the samples; below 20 kHz there is nothing to compare with, and no edge is found.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._window = np.hanning(_SIZE).astype(np.float32)
        self._power = np.zeros(_SIZE // 2 + 1)
        self._likenesses: list[list[float]] = []  # of both sides, of some spectra, for each mirror
        self._until_next = self._taken = 0

    def push(self, block: Samples) -> None:
        """Take the next samples, shape (samples,)."""
        if self._rate_hz < _LEAST_RATE_HZ:
            return
        step = round(_EVERY_S * self._rate_hz)
        start = self._until_next
        while start + _SIZE <= len(block):
            spectrum = np.fft.rfft(block[start : start + _SIZE] * self._window)
            power = spectrum.real**2 + spectrum.imag**2
            self._power += power
            looks = self._taken < 8 or self._taken % 4 == 0  # a look takes longer than the spectrum
            self._taken += 1
            if looks and power.any():
                bin_hz = self._rate_hz / _SIZE
                self._likenesses.append([_likeness(power, mirror_hz, bin_hz) for mirror_hz in _MIRRORS_HZ])
            start += step
        self._until_next = max(start - len(block), 0)

    @property
    def hz(self) -> float | None:
        """Where the sound ends in Hz, 3,000 to 8,300; None where it goes on, or there is none."""
        if not self._power.any():
            return None
        bin_hz = self._rate_hz / _SIZE
        width = max(1, round(_SMOOTH_HZ / bin_hz))
        level_db = _level_db(np.convolve(self._power, np.ones(width) / width, "same"))
        level_db = (level_db - level_db.max())[:-width]
        for edges_hz, drop_db, least_db in (
            (np.arange(3_000.0, 8_300.0, 50.0), _sudden_drop_db, _LEAST_SUDDEN_DROP_DB),
            (np.arange(3_000.0, 4_100.0, 100.0), _gentle_drop_db, _LEAST_GENTLE_DROP_DB),
        ):
            drops_db = [drop_db(level_db, edge_hz / bin_hz) for edge_hz in edges_hz]
            if max(drops_db) > least_db:
                return float(edges_hz[np.argmax(drops_db)])
        if not self._likenesses:
            return None
        for mirror_hz, likenesses in zip(_MIRRORS_HZ, np.transpose(self._likenesses), strict=True):
            if likenesses.mean() > _LEAST_MIRRORED:
                return mirror_hz
        return None


def _level_db(power: np.ndarray) -> np.ndarray:
    level: np.ndarray = 10 * np.log10(power + 1e-12 * power.max())
    return level


def _sudden_drop_db(level_db: np.ndarray, edge: float) -> float:
    """How far the level falls within an eighth behind a bin; 0 where it is too weak before to be missed."""
    below = level_db[round(0.88 * edge) : round(0.98 * edge)].mean()
    above = level_db[round(1.1 * edge) :].max()
    return float(below - above) if below > -60.0 else 0.0


def _gentle_drop_db(level_db: np.ndarray, edge: float) -> float:
    """How far the level falls within an octave behind a bin, less half of what it falls in the octave before."""
    octave_below = level_db[round(0.3 * edge) : round(0.475 * edge)].mean()
    below = level_db[round(0.6 * edge) : round(0.95 * edge)].mean()
    above = level_db[round(1.9 * edge) :].max()
    return float(below - above - 0.5 * max(0.0, octave_below - below)) if below > -35.0 else 0.0


def _likeness(power: np.ndarray, mirror_hz: float, bin_hz: float) -> float:
    """Correlation of one spectrum's levels on both sides of a frequency, without their slow course; 0 where one of them
    holds next to nothing, or is flat, as that of a single sample is."""
    reach_hz = min(0.75 * mirror_hz, 10_000 - mirror_hz)
    away_hz = np.arange(0.1 * mirror_hz, reach_hz, _MIRROR_STEP_HZ)
    width = round(_FINE_HZ / _MIRROR_STEP_HZ)
    level_db, bins = _level_db(power), np.arange(len(power))
    sides = []
    for sign, least in zip((-1, 1), _LEAST_OF_POWER, strict=True):
        hz = mirror_hz + sign * away_hz
        if power[round(hz.min() / bin_hz) : round(hz.max() / bin_hz)].sum() < least * power.sum():
            return 0.0
        level = np.interp(hz / bin_hz, bins, level_db)
        sides.append((level - np.convolve(level, np.ones(width) / width, "same"))[width:-width])
    return float(np.corrcoef(sides)[0, 1]) if min(np.ptp(side) for side in sides) > _FLAT_DB else 0.0
