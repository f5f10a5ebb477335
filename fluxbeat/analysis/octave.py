"""Which octave of a tempo people tap: at 123 beats a minute rather than at 246."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fluxbeat.analysis.presence import PRESENT
from fluxbeat.models.tempo import TempoGrid

FREELY_BPM = (66.0, 150.0)
"""Between these, the sound alone decides."""
FALLS_OCTAVES = (0.3, 0.25)
"""How fast tapping grows rare below and above (standard deviation of a normal distribution on a scale of octaves)."""

SLOWER_GENRES = {"reggae": 110.0}
"""Genres, in small letters, whose beat people tap more slowly than their guitars play: up to which tempo freely.

Of 12 annotated recordings for training that are surely reggae, five are named at 148 to 158 BPM without this and
tapped at half of that; the seven between 78 and 125 stay as they are. No other genre there errs to one side.
"""


def freely_bpm_of(labels: Sequence[str], probability: np.ndarray) -> tuple[float, float]:
    """Slowest and fastest tempo in BPM that people tap without preferring its half or double, in music of these genres.

    The range in which `tapped_weight` is 1. Genres of `SLOWER_GENRES` have a lower upper end.

    Parameters
    ----------
    labels : sequence of str
        Genres.
    probability : float array, shape (labels,)
        Of the genres, on each one's own scale: 0.5 at its threshold.
    """
    first = int(np.argmax(probability))
    if probability[first] < PRESENT:
        return FREELY_BPM
    return FREELY_BPM[0], SLOWER_GENRES.get(labels[first].casefold(), FREELY_BPM[1])


def tapped_weight(
    bpm: np.ndarray,
    freely_bpm: tuple[float, float] = FREELY_BPM,
    falls_octaves: tuple[float, float] = FALLS_OCTAVES,
) -> np.ndarray:
    """How readily people tap at these tempi, any shape: 1 from 66 to 150 BPM, 0.7 at 174, 0.25 at 200, 0.03 at 240.

    Tapped tempi are log-normally distributed about 120 BPM (Parncutt, Music Perception 1994; Moelants, "Preferred tempo
    reconsidered", ICMPC 2002). That weight itself would overrule the plain beats of a slow ballad, so this one is level
    in the middle. Its numbers were chosen on 86 recordings for training, judged by where two of librosa, Percival's
    estimator and RhythmExtractor2013 agree: the first reading is there in 0.87 of them, without it in 0.81; on 71 by
    other artists in 0.87 and 0.85. `python -m tools.octave_rule` measures it.
    """
    bpm = np.asarray(bpm)
    below = np.maximum(0.0, np.log2(freely_bpm[0] / bpm)) / falls_octaves[0]
    above = np.maximum(0.0, np.log2(bpm / freely_bpm[1])) / falls_octaves[1]
    weight: np.ndarray = np.exp(-0.5 * (below**2 + above**2))
    return weight


def as_tapped(distributions: np.ndarray, grid: TempoGrid, freely_bpm: tuple[float, float] = FREELY_BPM) -> np.ndarray:
    """Distributions over the grid, shape (..., bins), each class weighed by how usual it is to tap there."""
    weighed = distributions * tapped_weight(grid.bpm, freely_bpm)
    return weighed / np.maximum(weighed.sum(axis=-1, keepdims=True), 1e-12)
