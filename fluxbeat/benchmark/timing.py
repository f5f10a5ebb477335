"""Repeated timing: a median, and how far the runs lie apart."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Timing:
    """How long something took, in seconds.

    Attributes
    ----------
    median_s, least_s, most_s : float
    runs : int
    """

    median_s: float
    least_s: float
    most_s: float
    runs: int

    def to_dict(self) -> dict[str, Any]:
        """Part of the benchmark's JSON."""
        return {
            "median_s": round(self.median_s, 6),
            "least_s": round(self.least_s, 6),
            "most_s": round(self.most_s, 6),
            "runs": self.runs,
        }


def timed(work: Callable[[], object], runs: int, warm_up: int = 1) -> Timing:
    """Time `work`, `runs` times after `warm_up` runs that do not count."""
    for _ in range(warm_up):
        work()
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return Timing(statistics.median(taken), min(taken), max(taken), runs)
