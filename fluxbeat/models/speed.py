"""How long one window takes a model."""

from __future__ import annotations

import statistics
import timeit
from collections.abc import Callable

import torch

from fluxbeat.models.base import WindowModel
from fluxbeat.models.classifier import HubClassifier

WARM_UP, REPEATS = 3, 15


def milliseconds_per_window(model: WindowModel, before_each: Callable[[], None] = lambda: None) -> float:
    """Median milliseconds for one window alone, with the threads torch uses, in evaluation mode.

    What `before_each` takes, which is called before every window, does not count.
    """
    return 1000 * statistics.median(answer_times_s(model, REPEATS, before_each))


def answer_times_s(model: WindowModel, runs: int, before_each: Callable[[], None] = lambda: None) -> list[float]:
    """Seconds of each of `runs` answers to one window alone, batch of one, after some that warm up."""
    window = noise_window(model)
    with torch.inference_mode():
        return timeit.repeat(lambda: model(window), before_each, repeat=WARM_UP + runs, number=1)[WARM_UP:]


def noise_window(model: WindowModel) -> torch.Tensor:
    """A batch of one window of noise, the same at every call."""
    shape: tuple[int, ...] = (model.config.features.n_mels, model.config.window_frames)
    if isinstance(model, HubClassifier):
        shape = (model.window_samples,)
    return torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
