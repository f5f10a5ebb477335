"""Which parts of a window speak for a label: Grad-CAM, at the layer that is asked for.

Three layers can be asked:

`convolutions`
    The last layer of the network that still has places: the convolutions of CNN and CRNN, the tokens of the
    transformer, mapped back to their grid. Grad-CAM (Selvaraju et al., ICCV 2017): each channel weighted by the mean
    gradient of the label's own logit. It explains the network's part of the answer alone.
`spectrogram`
    The spectrogram, as far above or below the usual music's mean spectrum as it is, weighted place by place by the
    gradient of the logit (HiResCAM: Draelos & Carin, "Use HiResCAM instead of Grad-CAM", 2020). It explains the whole
    answer.
`stretches`
    The stretches that the texture hears, whose answers the model averages: a class activation map (Zhou et al., CVPR
    2016) that says exactly by how much each stretch lifts the logit above the label's threshold or pulls it below.
    Within its stretch, that is shared out by gradient as at the spectrogram. What the network says counts the same for
    every stretch. The map's sum is the logit's distance from the threshold.

Maps are in units of the logit. Nothing is normalised: weak evidence stays weak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fluxbeat.errors import ExplanationError
from fluxbeat.models import AudioTransformer, GenreTempoModel
from fluxbeat.models.texture import STRETCH_FRAMES, STRETCH_HOP

SMOOTHED = (5, 7)
"""Bands and frames (a third of a second) over which the gradient's map is smoothed within a stretch."""
LAYERS = ("stretches", "spectrogram", "convolutions")


@dataclass(frozen=True, eq=False)
class Attribution:
    """What speaks for and against a label in a batch of windows.

    Attributes
    ----------
    evidence : Tensor, shape (batch, mels, frames)
        Positive where the sound speaks for the label, negative where against it; in units of the logit.
    logit : Tensor, shape (batch,)
        Of the label.
    """

    evidence: Tensor
    logit: Tensor


def attribute(model: GenreTempoModel, log_mel: Tensor, label: int, layer: str = LAYERS[0]) -> Attribution:
    """Grad-CAM of one label in a batch of windows.

    Parameters
    ----------
    model : GenreTempoModel
        In evaluation mode; its weights are left alone.
    log_mel : Tensor, shape (batch, mels, window_frames)
        As `LogMel` gives it.
    label : int
        Index of the genre.
    layer : str
        One of `LAYERS`.

    Raises
    ------
    ExplanationError
        If there is no such layer, or the model's convolutions keep no places.
    """
    if layer == "spectrogram":
        return _at_spectrogram(model, log_mel, label)
    if layer == "convolutions":
        return _at_convolutions(model, log_mel, label)
    if layer == "stretches":
        return _at_stretches(model, log_mel, label)
    raise ExplanationError(f"no layer {layer!r} to explain at: choose one of {', '.join(LAYERS)}")


def usual_spectrum(model: GenreTempoModel) -> Tensor:
    """Mean of each mel band over the music that the model learned from, shape (mels, 1): what stands for silence.

    Zero would not do: it is as loud in the highest band as in the lowest (Mishra et al., "Reliable local explanations
    for machine listening", IJCNN 2020).
    """
    mean = model.texture.standardise.running_mean
    assert mean is not None
    return mean[: model.config.features.n_mels, None]


def genre_logit(model: GenreTempoModel, timbre: Tensor, texture: Tensor, label: int) -> Tensor:
    """The label's own logit, as the model forms it: (..., timbre_size), (..., texture_size) -> (...)."""
    logit: Tensor = model.genre_head(model.embedding(timbre, texture))[..., label]
    return logit


def grad_cam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Channels weighted by their mean gradient: both (batch, channels, bands, steps) -> (batch, bands, steps).

    Without the final ReLU, so that maps of several layers can be added up first.
    """
    return (gradient.mean((2, 3), keepdim=True) * activation).sum(1)


def spatial_layer(model: GenreTempoModel) -> nn.Module:
    """The last layer of the model's network that still has places.

    Raises
    ------
    ExplanationError
        If the model has none.
    """
    if isinstance(model, AudioTransformer):
        return model.transformer.layers[-1].norm1
    stack = getattr(model, "stack", None)
    if isinstance(stack, nn.Module):
        return stack
    raise ExplanationError(
        f"a model of the family {model.config.family!r} has no spatial layer that could be explained"
    )


def spread(coarse: Tensor, bands: int, frames: int) -> Tensor:
    """A map (batch, few bands, few steps) over (batch, bands, frames), with the same sum."""
    scale = coarse[0].numel() / (bands * frames)
    return F.interpolate(coarse[:, None], (bands, frames), mode="bilinear", align_corners=False)[:, 0] * scale


def _at_spectrogram(model: GenreTempoModel, log_mel: Tensor, label: int) -> Attribution:
    log_mel = log_mel.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        timbre, texture = model.embed(model.timbre_frames(log_mel)), model.texture_embedding(model.texture(log_mel))
        logit = genre_logit(model, timbre, texture, label)
        (gradient,) = torch.autograd.grad(logit.sum(), log_mel)
    return Attribution((gradient * (log_mel - usual_spectrum(model))).detach(), logit.detach())


def _at_convolutions(model: GenreTempoModel, log_mel: Tensor, label: int) -> Attribution:
    """The network's part alone; nothing below the layer is differentiated."""
    heard: list[Tensor] = []

    def cut_here(module: nn.Module, given: object, out: Tensor) -> Tensor:
        heard.append(out.detach().requires_grad_(True))
        return heard[0]

    with torch.no_grad():
        texture = model.texture_embedding(model.texture(log_mel))
    hook = spatial_layer(model).register_forward_hook(cut_here)
    try:
        with torch.enable_grad():
            timbre = model.embed(model.timbre_frames(log_mel))
    finally:
        hook.remove()
    with torch.enable_grad():
        logit = genre_logit(model, timbre, texture, label)
        (gradient,) = torch.autograd.grad(logit.sum(), heard[0])
    cam = grad_cam(_on_grid(model, heard[0].detach()), _on_grid(model, gradient))
    return Attribution(spread(cam, *log_mel.shape[1:]), logit.detach())


def _on_grid(model: GenreTempoModel, values: Tensor) -> Tensor:
    """Tokens (batch, tokens, width) back on their grid; what has places already stays: (batch, c, bands, steps)."""
    if isinstance(model, AudioTransformer):
        return values.transpose(1, 2).unflatten(2, model.token_grid)
    return values


def _at_stretches(model: GenreTempoModel, log_mel: Tensor, label: int) -> Attribution:
    cut = model.texture.cut(log_mel.detach()).contiguous().requires_grad_(True)
    with torch.no_grad():
        timbre = model.embed(model.timbre_frames(log_mel))
    with torch.enable_grad():
        logits = stretch_logits(model, cut, timbre, label)
        (gradient,) = torch.autograd.grad(logits.sum(), cut)
    said = (logits.detach() - threshold_logit(model, label)) / cut.shape[1]
    within = _smooth((gradient * (cut - usual_spectrum(model))).detach())
    evidence = _overlapped(_shared_out(said, within), log_mel.shape[-1])
    return Attribution(evidence, logits.detach().mean(1))


def _smooth(stretches: Tensor) -> Tensor:
    """Each place with its neighbours: single places are chance. (batch, stretches, mels, frames), both."""
    bands, frames = SMOOTHED
    return F.avg_pool2d(stretches, SMOOTHED, 1, (bands // 2, frames // 2), count_include_pad=False)


def stretch_logits(model: GenreTempoModel, cut: Tensor, timbre: Tensor, label: int) -> Tensor:
    """What the model would say of a label if all stretches of the window were as this one.

    cut (batch, stretches, mels, frames), timbre (batch, timbre_size) -> (batch, stretches); the mean over stretches is
    the model's logit.
    """
    texture = model.hear_stretches(cut)
    return genre_logit(model, timbre[:, None].expand(-1, cut.shape[1], -1), texture, label)


def threshold_logit(model: GenreTempoModel, label: int) -> float:
    """The logit from which a label counts as present."""
    threshold, calibration = float(model.thresholds[label]), model.config.calibration
    return (math.log(threshold / (1 - threshold)) - calibration.bias) / calibration.scale


def _shared_out(said: Tensor, within: Tensor) -> Tensor:
    """What each stretch says, (batch, stretches), shared out over the places that speak that way.

    `within` is (batch, stretches, mels, frames); so is the result.
    """
    agreeing = (within * said.sign()[..., None, None]).clamp(min=0)
    total = agreeing.sum((2, 3), keepdim=True).clamp(min=1e-9)
    return agreeing / total * said[..., None, None]


def _overlapped(stretches: Tensor, frames: int) -> Tensor:
    """Stretches back in their places, (batch, stretches, mels, frames) -> (batch, mels, frames)."""
    whole = stretches.new_zeros(stretches.shape[0], stretches.shape[2], frames)
    for number in range(stretches.shape[1]):
        start = number * STRETCH_HOP
        whole[..., start : start + STRETCH_FRAMES] += stretches[:, number]
    return whole
