"""How fast the models are on this machine."""

from __future__ import annotations

import statistics
import time

import torch

from fluxbeat.models import GenreTempoModel

WARM_UP, REPEATS = 3, 15


@torch.inference_mode()
def milliseconds_per_window(model: GenreTempoModel) -> float:
    """Median milliseconds for one window alone, batch of one, with the threads torch uses.

    Parameters
    ----------
    model : GenreTempoModel
        In evaluation mode.
    """
    generator = torch.Generator().manual_seed(0)
    window = torch.randn(1, model.config.features.n_mels, model.config.window_frames, generator=generator)
    times = []
    for turn in range(WARM_UP + REPEATS):
        began = time.perf_counter()
        model(window)
        if turn >= WARM_UP:
            times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times)
