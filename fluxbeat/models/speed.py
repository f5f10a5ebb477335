"""How long one window takes a model, and repeated timing: a median, and how far the runs lie apart."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from fluxbeat.models import WindowModel

WARM_UP, REPEATS = 3, 15


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
    return Timing(statistics.median(taken), min(taken), max(taken), runs)


def milliseconds_per_window(model: WindowModel) -> float:
    """Median milliseconds for one window alone, batch of one, with the threads torch uses, in evaluation mode."""
    return 1000 * answer_time(model).median_s


def answer_time(model: WindowModel, runs: int = REPEATS) -> Timing:
    """One window alone, batch of one."""
    window = noise_window(model)
    with torch.inference_mode():
        return timed(lambda: model(window), runs, WARM_UP)


def noise_window(model: WindowModel) -> torch.Tensor:
    """A batch of one window of noise, the same at every call."""
    return torch.randn(1, *model.window_shape, generator=torch.Generator().manual_seed(0))
