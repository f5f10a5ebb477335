"""What in a window speaks for a tempo: the onsets that fall on its beat."""

from __future__ import annotations

import torch
from torch import Tensor

from fluxbeat.analysis.tempo import TOLERANCE
from fluxbeat.errors import ExplanationError
from fluxbeat.models import GenreTempoModel


def tempo_evidence(model: GenreTempoModel, log_mel: Tensor, bpm: float | None = None) -> tuple[Tensor, float, float]:
    """The gradient of a tempo's log-probability, weighted by how far each place stands out of its band's mean.

    The steady part of a band carries no beat: only what rises and falls can speak for a tempo.

    Parameters
    ----------
    model : GenreTempoModel
        In evaluation mode.
    log_mel : Tensor, shape (mels, frames)
        One window.
    bpm : float, optional
        By default the most probable tempo.

    Returns
    -------
    evidence : Tensor, shape (mels, frames)
        In units of the log-probability.
    bpm : float
    probability : float
        Of tempi within 4 % of it.

    Raises
    ------
    ExplanationError
        If nothing in the window moves, so that nothing can speak for a tempo.
    """
    grid = torch.from_numpy(model.config.tempo_grid.bpm)
    heard = log_mel[None].detach().clone().requires_grad_(True)
    with torch.no_grad():
        usual = model.texture_embedding(model.texture(log_mel[None]))
    with torch.enable_grad():
        logits = model.tempo_head(model.tempo_head.frames(heard), usual)[0]
        if bpm is None:
            bpm = float(grid[logits.argmax()])
        near = (grid / bpm).log2().abs() <= torch.log2(torch.tensor(1 + TOLERANCE))
        said = torch.logsumexp(logits[near], 0) - torch.logsumexp(logits, 0)
        (gradient,) = torch.autograd.grad(said, heard)
    moving = log_mel - log_mel.mean(1, keepdim=True)
    if float(moving.abs().max()) < 1e-6:
        raise ExplanationError("this window is silent or does not change: nothing in it can speak for a tempo")
    return (gradient[0] * moving).detach(), bpm, float(said.detach().exp())
