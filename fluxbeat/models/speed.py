"""How long one window takes a model."""

from __future__ import annotations

import statistics
import timeit

import torch

from fluxbeat.models.base import WindowModel
from fluxbeat.models.classifier import HubClassifier


def milliseconds_per_window(model: WindowModel) -> float:
    """Median milliseconds for one window alone, batch of one, with the threads torch uses, in evaluation mode."""
    window = noise_window(model)
    with torch.inference_mode():
        taken_s = timeit.repeat(lambda: model(window), repeat=18, number=1)
    return 1000 * statistics.median(taken_s[3:])  # the first ones warm up


def noise_window(model: WindowModel) -> torch.Tensor:
    """A batch of one window of noise, the same at every call."""
    shape: tuple[int, ...] = (model.config.features.n_mels, model.config.window_frames)
    if isinstance(model, HubClassifier):
        shape = (model.window_samples,)
    return torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
