"""The strongest places of a map, as a person would point at them: from when to when, from which to which frequency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import find_objects, gaussian_filter, label

from fluxbeat.analysis.json_fields import json_fields

BLUR = (3.0, 6.0)
"""Of the map before it is cut into places, in bands and frames."""
CUT = 0.5
"""A place reaches as far as the blurred map holds this share of its maximum."""
LEAST_SHARE = 0.01
MOST = 5
REGISTERS = (
    (150.0, "bass"),
    (500.0, "low mids"),
    (2000.0, "voice and guitars"),
    (5000.0, "snare and brightness"),
    (float("inf"), "cymbals"),
)
"""What usually sounds below each frequency: names of registers for listeners, not of instruments that were found."""


@dataclass(frozen=True)
class Region:
    """One place on the spectrogram.

    Attributes
    ----------
    start_s, end_s : float
        In the track.
    low_hz, high_hz : float
    share : float
        Of all that speaks for the answer in this window, 0..1.
    """

    start_s: float
    end_s: float
    low_hz: float
    high_hz: float
    share: float

    def words(self) -> str:
        """As one would say it: `3.2-4.1 s, 60-120 Hz (bass)`."""
        return f"{self.start_s:.1f}–{self.end_s:.1f} s, {_hz(self.low_hz)}–{_hz(self.high_hz)} Hz ({self.register})"

    @property
    def register(self) -> str:
        """Where that lies for a listener, by the middle of its octaves."""
        middle_hz = (self.low_hz * self.high_hz) ** 0.5
        if self.low_hz <= REGISTERS[0][0] and self.high_hz >= REGISTERS[-2][0]:
            return "all registers"
        return next(name for below_hz, name in REGISTERS if middle_hz < below_hz)

    def to_dict(self) -> dict[str, Any]:
        """Part of an explanation's JSON."""
        return {
            **json_fields(self, start_s=2, end_s=2),
            "low_hz": round(self.low_hz),
            "high_hz": round(self.high_hz),
            **json_fields(self, share=4),
            "words": self.words(),
        }


def strongest_regions(
    positive: np.ndarray, start_s: float, frame_rate_hz: float, edges_hz: np.ndarray
) -> tuple[Region, ...]:
    """Cut a map into its strongest connected places.

    Parameters
    ----------
    positive : float array, shape (mels, frames)
        0 or more.
    start_s : float
        Where the map begins in the track.
    frame_rate_hz : float
    edges_hz : float array, shape (mels + 1,)
        Borders between bands.

    Returns
    -------
    tuple of Region
        `MOST` at most, strongest first; empty where nothing speaks for the answer.
    """
    total = float(positive.sum())
    if total <= 0:
        return ()
    smooth = gaussian_filter(positive.astype(np.float64), BLUR, mode="nearest")
    places, _ = label(smooth >= CUT * smooth.max())
    found = []
    for number, (bands, frames) in enumerate(find_objects(places), start=1):
        share = float(positive[bands, frames][places[bands, frames] == number].sum()) / total
        if share >= LEAST_SHARE:
            begin_s, end_s = (start_s + frame / frame_rate_hz for frame in (frames.start, frames.stop))
            low_hz, high_hz = (float(edges_hz[band]) for band in (bands.start, bands.stop))
            found.append(Region(begin_s, end_s, low_hz, high_hz, share))
    return tuple(sorted(found, key=lambda region: -region.share)[:MOST])


def _hz(frequency: float) -> str:
    """Two digits that count: 60, 120, 2,400."""
    digits = max(0, len(str(round(frequency))) - 2)
    return f"{round(frequency, -digits):,.0f}"
