"""How probabilities are shown: on the label's own scale, and in four words."""

from __future__ import annotations

from typing import Literal

import numpy as np

Presence = Literal["clear", "likely", "trace", "none"]
LEAST: tuple[tuple[float, Presence], ...] = ((0.75, "clear"), (0.5, "likely"), (0.25, "trace"), (0.0, "none"))
"""From which probability on its own scale a label is how present: clear where the odds are three to one."""
PRESENT = 0.5
"""From here on, on its own scale, a label counts as present."""


def own_scale(probability: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Probabilities with even chance at the label's threshold: logit(p) - logit(threshold), as a probability.

    Labels are compared at last: of a label that is rarely right at 30 % that says as much as 60 % of another.

    Parameters
    ----------
    probability : float array, shape (..., labels)
        Calibrated, 0..1; 0 stays 0 and 1 stays 1.
    thresholds : float array, shape (labels,)
        Calibrated probability from which each label counts as present, above 0 and below 1.

    Returns
    -------
    float64 array, shape (..., labels)
    """
    probability = np.asarray(probability, np.float64)
    odds_for, odds_against = probability * (1 - thresholds), (1 - probability) * thresholds
    return odds_for / (odds_for + odds_against)


def presence(probability: float) -> Presence:
    """The word for a probability on the label's own scale, rounded as it is written."""
    return next(word for least, word in LEAST if round(probability, 4) >= least)
