"""How fast a model is on one window: its answer, its explanation, and what the machine could do at best."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fluxbeat.benchmark.machine import peak_gflops
from fluxbeat.benchmark.timing import Timing, timed
from fluxbeat.explanation import DEFAULT_LAYER
from fluxbeat.explanation.attribution import attribute
from fluxbeat.models import GenreTempoModel

WARM_UP, REPEATS = 3, 15
CLAIMED_MS = {"cnn": 1.5, "crnn": 4.5, "vit": 1.5}
"""What the first description of the three models says of one window, without naming a machine."""


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


def operations(model: GenreTempoModel) -> int:
    """Multiplications and additions in the convolutions and products of one window's answer."""
    recurrent: list[int] = []

    def count(layer: nn.Module, inputs: Any, _: Any) -> None:
        assert isinstance(layer, nn.LSTM)
        steps, directions = inputs[0].shape[0] * inputs[0].shape[1], 2 if layer.bidirectional else 1
        for depth in range(layer.num_layers):
            width = layer.input_size if depth == 0 else layer.hidden_size * directions
            recurrent.append(2 * steps * directions * 4 * layer.hidden_size * (width + layer.hidden_size))

    hooks = [layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, nn.LSTM)]
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # what is fused is not counted
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(_window(model))
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for hook in hooks:
            hook.remove()
    return int(counter.get_total_flops()) + sum(recurrent)


def window_report(model: GenreTempoModel, runs: int = REPEATS) -> dict[str, Any]:
    """One window with one thread and with all, as a share of the machine's peak, and what its explanation costs."""
    all_threads, count = torch.get_num_threads(), operations(model)
    report: dict[str, Any] = {
        "threads": all_threads,
        "operations": count,
        "first_claimed_ms": CLAIMED_MS.get(model.config.family),
    }
    with threads(1):
        alone = answer_time(model, runs)
        report["answer_one_thread"] = alone.to_dict()
        report["share_of_peak_one_thread"] = round(count / alone.median_s / 1e9 / peak_gflops(), 3)
    answer, explanation = answer_time(model, runs), explanation_time(model, runs)
    report["answer"], report["explanation"] = answer.to_dict(), explanation.to_dict()
    report["share_of_peak"] = round(count / answer.median_s / 1e9 / peak_gflops(), 3)
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
