"""Where the sound of a recording ends towards the treble: at 4 kHz where it was sampled at 8 kHz, whatever its file."""

from __future__ import annotations

import numpy as np

from fluxbeat.audio.readers import Samples

_SIZE = 4096
_EVERY_S = 1.0
_EDGES_HZ = np.arange(3_000.0, 8_300.0, 50.0)  # the telephone's 3.4 kHz and above
_LEAST_DROP_DB = 25.0
_LEAST_LEVEL_DB = -60.0
"""Of the band below an edge, against the strongest band: what is weaker is too weak to miss."""
_SMOOTH_HZ = 150.0


class UpperEdge:
    """Listens to a recording for a sudden end of its spectrum.

    Music loses its treble gradually; sampling rates, telephones and codecs cut it off. One short spectrum each second
    is averaged, and an edge is where the level falls by 25 dB and more within an eighth and stays there.

    Parameters
    ----------
    rate_hz : int
        Of the samples; below 20 kHz there is nothing to compare with, and no edge is found.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._size = _SIZE
        self._window = np.hanning(self._size).astype(np.float32)
        self._power = np.zeros(self._size // 2 + 1)
        self._until_next = 0

    def push(self, block: Samples) -> None:
        """Take the next samples, shape (samples,)."""
        step, first = round(_EVERY_S * self._rate_hz), self._until_next
        starts = range(first, len(block) - self._size + 1, step)
        for start in starts:
            spectrum = np.fft.rfft(block[start : start + self._size] * self._window)
            self._power += spectrum.real**2 + spectrum.imag**2
        self._until_next = max((starts[-1] + step if starts else first) - len(block), 0)

    @property
    def hz(self) -> float | None:
        """Where the sound ends in Hz, 3,000 to 8,300; None where it goes on, or there is none."""
        if self._rate_hz < 20_000 or not self._power.any():
            return None
        bin_hz = self._rate_hz / self._size
        width = max(1, round(_SMOOTH_HZ / bin_hz))
        level_db = 10 * np.log10(np.convolve(self._power, np.ones(width) / width, "same") + 1e-12 * self._power.max())
        loudest_db = float(level_db.max())
        best_hz, best_db = None, _LEAST_DROP_DB
        for edge_hz in _EDGES_HZ:
            below = level_db[round(0.88 * edge_hz / bin_hz) : round(0.98 * edge_hz / bin_hz)].mean()
            above = level_db[round(1.1 * edge_hz / bin_hz) : -width].max()
            if below - loudest_db > _LEAST_LEVEL_DB and below - above > best_db:
                best_hz, best_db = float(edge_hz), float(below - above)
        return best_hz
