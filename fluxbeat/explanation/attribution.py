"""Which parts of a window speak for a label: Grad-CAM on the network's own layers.

Each method weighs the activations of one layer by the gradient of the label's logit there and adds up the channels:

`grad-cam`
    A channel by its mean gradient over all places (Selvaraju et al., ICCV 2017).
`hires-cam`
    Every place by its own gradient (Draelos & Carin, "Use HiResCAM instead of Grad-CAM", 2020).
`layer-cam`
    The same with positive gradients alone (Jiang et al., "LayerCAM", IEEE TIP 2021).
`integrated`
    What sets the activations apart from those of the mean spectrum of music, by the mean gradient on the way from
    there to the window (Sattarzadeh et al., "Integrated Grad-CAM", ICASSP 2021). All of it together is the logit's
    distance from that of the mean spectrum, where everything passes through the layer.

Maps are in units of the logit. Nothing is normalised: weak evidence stays weak.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fluxbeat.analysis.presence import own_scale
from fluxbeat.errors import ExplanationError
from fluxbeat.explanation.layers import PlacedLayer, placed_layers
from fluxbeat.explanation.mean_spectrum import mean_spectrum
from fluxbeat.models.base import GenreTempoModel, WindowModel
from fluxbeat.models.consensus import FAMILY as CONSENSUS
from fluxbeat.models.consensus import Consensus

METHODS = ("grad-cam", "hires-cam", "layer-cam", "integrated")
PATH_STEPS = 8
"""Points between mean spectrum and window at which `integrated` takes the gradient."""


@dataclass(frozen=True)
class Cam:
    """Where and how a network is explained.

    Attributes
    ----------
    layer : str
        One of `fluxbeat.explanation.layers.placed_layers`.
    method : str
        One of `METHODS`.
    """

    layer: str
    method: str

    def __str__(self) -> str:
        return f"{self.layer} {self.method}"


CHOSEN = {
    "cnn": Cam("conv2", "integrated"),
    "crnn": Cam("conv2", "integrated"),
    "vit": Cam("conv4", "integrated"),
    CONSENSUS: Cam("members", "weighted mean"),
}
"""How each family is explained unless something else is asked for: what `fluxbeat explain --report --compare` measured
as most faithful on 40 windows of the `dev` split (insertion minus deletion 0.42, 0.45 and 0.43; a random map 0.01, the
sound's energy 0.08 to 0.15; where `conv1` was about as good, `conv2` takes half the time; `conv3` of the CRNN, 0.45 as
well, is coarser)."""


def attribute(model: WindowModel, log_mel: Tensor, label: int, cam: Cam | None = None) -> Tensor:
    """What in a batch of windows speaks for one label, and what against it.

    Parameters
    ----------
    model : WindowModel
        In evaluation mode; its weights are left alone. A consensus is explained by its members' maps, in the weights
        that it gives their logits.
    log_mel : Tensor, shape (batch, mels, window_frames)
        As `LogMel` gives it.
    label : int
        Index of the genre.
    cam : Cam, optional
        As `CHOSEN` says for the model's family, where not given.

    Returns
    -------
    Tensor, shape (batch, mels, frames)
        Positive where the sound speaks for the label, negative where against it; in units of the logit.

    Raises
    ------
    ExplanationError
        If there is no such layer or method.
    """
    cam = cam or chosen_cam(model)
    if isinstance(model, Consensus):
        of_member = None if cam == CHOSEN[CONSENSUS] else cam
        maps = [attribute(member, log_mel, label, of_member) for member in model.networks]
        scales = [member.config.calibration.scale for member in model.networks]
        return model.mean([evidence * scale for evidence, scale in zip(maps, scales, strict=True)])
    layer = placed_layer(model, cam)
    assert isinstance(model, GenreTempoModel), "no other model has a layer with places"
    activation = _activation(model, layer, log_mel)
    if cam.method == "integrated":
        baseline = mean_spectrum(model.config.features).expand_as(log_mel[:1])
        weighted = _integrated(model, layer, activation, _activation(model, layer, baseline), label)
    else:
        gradient = _gradient(model, layer, activation, label)
        weighted = _WEIGHT[cam.method](layer.on_grid(gradient)) * layer.on_grid(activation)
    coarse = weighted.sum(1)
    if cam.method == "layer-cam":  # activations of a layer without ReLU may be negative
        coarse = coarse.clamp(min=0)
    return layer.spread(coarse, *log_mel.shape[1:])


def shown_probability(model: WindowModel, genre_logits: Tensor) -> Tensor:
    """Probability of each label on its own scale, whether it is music or not: (batch, labels), both."""
    return torch.from_numpy(own_scale(model.probabilities(genre_logits.detach()).numpy(), model.thresholds))


def chosen_cam(model: WindowModel) -> Cam:
    """How a model is explained unless something else is asked for.

    Raises
    ------
    ExplanationError
        If nothing was chosen for its family, or it takes sound.
    """
    if model.takes_sound:
        raise ExplanationError(
            "this model hears through features of its own, and only FluxBeat's own models can be looked into: of this "
            "one a single window can be explained, by what it says without parts of the sound"
        )
    if model.config.family not in CHOSEN:
        raise ExplanationError(f"no layer was chosen to explain models of the family {model.config.family!r}")
    return CHOSEN[model.config.family]


def placed_layer(model: WindowModel, cam: Cam) -> PlacedLayer:
    """The layer that a `Cam` names.

    Raises
    ------
    ExplanationError
        If there is no such layer or method.
    """
    layers = placed_layers(model)
    if cam.layer not in layers:
        raise ExplanationError(f"no layer {cam.layer!r} in a {model.config.family}: choose one of {', '.join(layers)}")
    if cam.method not in METHODS:
        raise ExplanationError(f"no method {cam.method!r}: choose one of {', '.join(METHODS)}")
    return layers[cam.layer]


_WEIGHT: dict[str, Callable[[Tensor], Tensor]] = {
    "grad-cam": lambda gradient: gradient.mean((2, 3), keepdim=True),
    "hires-cam": lambda gradient: gradient,
    "layer-cam": lambda gradient: gradient.clamp(min=0),
}
"""What the activations are multiplied by, (batch, channels, bands, steps)."""


def _integrated(model: GenreTempoModel, layer: PlacedLayer, activation: Tensor, baseline: Tensor, label: int) -> Tensor:
    """Difference from the baseline's activation times the mean gradient between: (batch, channels, bands, steps)."""
    apart = activation - baseline
    way = (torch.arange(PATH_STEPS) + 0.5) / PATH_STEPS
    between = baseline + way.view(-1, *[1] * activation.dim()) * apart  # (path, batch, ...)
    gradient = _gradient(model, layer, between.flatten(0, 1), label).unflatten(0, between.shape[:2]).mean(0)
    return layer.on_grid(gradient) * layer.on_grid(apart)


@torch.no_grad()
def _activation(model: GenreTempoModel, layer: PlacedLayer, log_mel: Tensor) -> Tensor:
    """What the layer gives."""
    kept: list[Tensor] = []
    with _hook_here(layer.module, kept.append):
        genre_logits(model, log_mel)
    return kept[0]


def _gradient(model: GenreTempoModel, layer: PlacedLayer, activation: Tensor, label: int) -> Tensor:
    """Of the label's logit by the layer's outputs, at these values of them; nothing below is differentiated."""
    values = activation.detach().requires_grad_(True)
    config = model.config
    with torch.enable_grad(), _hook_here(layer.module, lambda out: values):
        # what goes in does not count: the layer's outputs are replaced, whatever their number
        logits = genre_logits(model, torch.zeros(1, config.features.n_mels, config.window_frames))
        (gradient,) = torch.autograd.grad(logits[:, label].sum(), values)
    return gradient.detach()


def _hook_here(module: nn.Module, what: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """A forward hook for this thread alone: others may ask the same network meanwhile, and get its own answers."""
    here = threading.get_ident()

    def hook(_module: nn.Module, _given: object, out: Tensor) -> Tensor | None:
        return what(out) if threading.get_ident() == here else None

    return module.register_forward_hook(hook)


def genre_logits(model: GenreTempoModel, log_mel: Tensor) -> Tensor:
    """Without tempo and kind: (batch, mels, frames) -> (batch, labels)."""
    logits: Tensor = model.genre_head(model.embed(model.encode(log_mel)))
    return logits
