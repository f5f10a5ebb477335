"""How fast a model is on one window: its answer, and its explanation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from fluxbeat.benchmark.timing import Timing, timed
from fluxbeat.explanation import DEFAULT_LAYER
from fluxbeat.explanation.attribution import attribute
from fluxbeat.models import GenreTempoModel

WARM_UP, REPEATS = 3, 15


def milliseconds_per_window(model: GenreTempoModel) -> float:
    """Median milliseconds for one window alone, batch of one, with the threads torch uses.

    Parameters
    ----------
    model : GenreTempoModel
        In evaluation mode.
    """
    return 1000 * answer_time(model).median_s


def answer_time(model: GenreTempoModel, runs: int = REPEATS) -> Timing:
    """One window alone, batch of one."""
    window = _window(model)
    with torch.inference_mode():
        return timed(lambda: model(window), runs, WARM_UP)


def explanation_time(model: GenreTempoModel, runs: int = REPEATS) -> Timing:
    """The map of one label in one window, as the app shows it, without measuring how faithful it is."""
    window = _window(model)
    return timed(lambda: attribute(model, window, 0, DEFAULT_LAYER), runs, WARM_UP)


def window_report(model: GenreTempoModel, runs: int = REPEATS) -> dict[str, Any]:
    """One window with one thread and with all, and what its explanation costs beside it."""
    all_threads = torch.get_num_threads()
    report: dict[str, Any] = {"threads": all_threads}
    with threads(1):
        report["answer_one_thread"] = answer_time(model, runs).to_dict()
    answer, explanation = answer_time(model, runs), explanation_time(model, runs)
    report["answer"], report["explanation"] = answer.to_dict(), explanation.to_dict()
    report["explanation_per_answer"] = round(explanation.median_s / answer.median_s, 2)
    return report


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch with that many threads, for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _window(model: GenreTempoModel) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, model.config.features.n_mels, model.config.window_frames, generator=generator)
