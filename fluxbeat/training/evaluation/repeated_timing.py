"""Repeated timing: a median, and how far the runs lie apart."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fluxbeat.models.base import WindowModel
from fluxbeat.models.speed import REPEATS, answer_times_s


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
        return {name: round(value, 6) for name, value in asdict(self).items()}


def timed(work: Callable[[], object], runs: int, warm_up: int = 1) -> Timing:
    """Time `work`, `runs` times after `warm_up` runs that do not count."""
    for _ in range(warm_up):
        work()
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return _summary(taken)


def answer_time(model: WindowModel, runs: int = REPEATS) -> Timing:
    """One window alone, batch of one."""
    return _summary(answer_times_s(model, runs))


def _summary(taken_s: Sequence[float]) -> Timing:
    return Timing(statistics.median(taken_s), min(taken_s), max(taken_s), len(taken_s))
