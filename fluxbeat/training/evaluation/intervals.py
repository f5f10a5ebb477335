"""How sure a number is that was measured on some recordings: intervals by bootstrap over artists.

Row 0 of `resamples` counts each recording once, so that the first result is the value and the others are its bootstrap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

DRAWS = 1000


def resamples(groups: Sequence[str], draws: int = DRAWS) -> np.ndarray:
    """How often each recording counts, float64 (1 + draws, recordings): once each, then in `draws` bootstrap samples.

    Parameters
    ----------
    groups : sequence of str
        One per recording: recordings of one artist are drawn together, for they say less than as many strangers
        (Field & Welsh, "Bootstrapping clustered data", JRSS B 2007). A recording whose group is empty stands alone.
    draws : int
    """
    named = np.array([group or f"\0{number}" for number, group in enumerate(groups)], dtype=str)
    members, member = np.unique(named, return_inverse=True)
    count = len(members)
    if not count:
        return np.ones((1 + draws, 0))
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=draws)
    return np.concatenate([np.ones((1, len(named))), drawn[:, member].astype(np.float64)])


def estimate(values: np.ndarray, n: int) -> dict[str, Any]:
    """Value, count and 95 % bootstrap interval (percentiles; Efron & Tibshirani 1993).

    Parameters
    ----------
    values : float array, shape (1 + draws,)
        Results on the rows of `resamples`; NaN where a draw has none.
    n : int
        Number of recordings behind the value.
    """
    drawn = values[1:][np.isfinite(values[1:])]
    if not np.isfinite(values[0]) or not len(drawn):
        return {"value": None, "n": n, "interval_95": None}
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {
        "value": round(float(values[0]), 4),
        "n": n,
        "interval_95": [round(float(low), 4), round(float(high), 4)],
    }


def mean_with_interval(values: Sequence[float] | np.ndarray, groups: Sequence[str]) -> dict[str, Any]:
    """Mean of values as `estimate` gives it, groups as in `resamples`; NaN counts as not measured."""
    numbers = np.asarray(values, np.float64)
    known = np.isfinite(numbers)
    weights = resamples(np.asarray(groups)[known].tolist())
    with np.errstate(invalid="ignore"):  # where nothing was measured
        return estimate(weights @ numbers[known] / weights.sum(axis=1), int(known.sum()))
