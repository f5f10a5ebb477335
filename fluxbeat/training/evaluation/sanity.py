"""What a trustworthy map must do beyond one window: forget with the weights, find what was put in, know genres."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from fluxbeat.models.base import WindowModel

SPLICE_SHARE = 0.25


def randomised(model: WindowModel, seed: int = 0) -> Iterator[tuple[str, WindowModel]]:
    """The model with random weights from its answer down, one part more each time (Adebayo et al., NeurIPS 2018).

    Yields
    ------
    part, model : str, WindowModel
        The part that was randomised last, and a model in which it and all above it are random.
    """
    broken = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, part in reversed(list(_parts(broken))):
            for module in part.modules():
                _randomise(module)
            if name == "stack":
                _randomise(broken)  # what the network holds beside its parts: positions of tokens
            yield name, broken


def _parts(model: WindowModel) -> Iterator[tuple[str, nn.Module]]:
    """What decides about genre, from the spectrogram up."""
    parts = {name: part for name, part in model.named_children() if any(True for _ in part.parameters())}
    others = [name for name in parts if name not in ("stack", "tempo_head", "kind_head", "genre_head")]
    for name in ("stack", *others, "genre_head"):
        if name in parts:
            yield name, parts[name]


def _randomise(module: nn.Module) -> None:
    """The weights that a module holds itself, as it would begin; small noise where it does not say how."""
    reset = getattr(module, "reset_parameters", None)
    if callable(reset):
        reset()
        return
    for value in module.parameters(recurse=False):
        nn.init.normal_(value, std=0.02)


def map_correlation(one: Tensor, other: Tensor) -> float:
    """Rank correlation (Spearman) of what two maps mark, both (mels, frames); 0 where one marks nothing."""
    marked = [values.clamp(min=0).flatten().numpy() for values in (one, other)]
    if any(np.ptp(values) == 0 for values in marked):
        return 0.0
    return float(spearmanr(marked[0], marked[1]).statistic)


def splice(host: Tensor, guest: Tensor, rng: np.random.Generator) -> tuple[Tensor, slice]:
    """A quarter of a window replaced by other music, both (mels, frames); with the frames where that lies."""
    frames = host.shape[1]
    length = round(SPLICE_SHARE * frames)
    to, source = (int(rng.integers(frames - length + 1)) for _ in range(2))
    spliced = host.clone()
    spliced[:, to : to + length] = guest[:, source : source + length]
    return spliced, slice(to, to + length)


def mass_inside(evidence: Tensor, place: slice) -> float:
    """Share of what speaks for the label that lies in those frames, 0..1; NaN where nothing speaks for it."""
    positive = evidence.clamp(min=0)
    total = float(positive.sum())
    return float(positive[:, place].sum()) / total if total > 0 else float("nan")
