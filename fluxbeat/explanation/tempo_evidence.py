"""What in a window speaks for a tempo: the onsets that fall on its beat."""

from __future__ import annotations

import torch
from torch import Tensor

from fluxbeat.analysis.tempo import TOLERANCE
from fluxbeat.errors import ExplanationError
from fluxbeat.explanation.attribution import Cam
from fluxbeat.models.base import WindowModel

TEMPO_CAM = Cam("onsets", "gradient")
LEAST_CHANGE = 1e-6
"""Of the spectrogram, in standard deviations: less is no change."""


def tempo_evidence(model: WindowModel, log_mel: Tensor, bpm: float | None = None) -> tuple[Tensor, float, float]:
    """The gradient of a tempo's log-probability through the onset strength curves, by place of the spectrogram.

    Each place counts by how far it stands out of its band's mean: what is steady carries no beat. The embedding, which
    says what tempi are usual in such music, is taken as it is.

    Parameters
    ----------
    model : WindowModel
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
    moving = log_mel - log_mel.mean(1, keepdim=True)
    if float(moving.abs().max()) < LEAST_CHANGE:
        raise ExplanationError("this window is silent or does not change: nothing in it can speak for a tempo")
    grid = torch.from_numpy(model.config.tempo_grid.bpm)
    given = log_mel[None].detach().clone().requires_grad_(True)
    with torch.enable_grad():
        logits = model(given).tempo_logits[0]
        if bpm is None:
            bpm = float(grid[logits.argmax()])
        near = (grid / bpm).log2().abs() <= torch.log2(torch.tensor(1 + TOLERANCE))
        log_probability = torch.logsumexp(logits[near], 0) - torch.logsumexp(logits, 0)
        (gradient,) = torch.autograd.grad(log_probability, given)
    return (gradient[0] * moving).detach(), bpm, float(log_probability.detach().exp())
