"""The layers of each family whose outputs have places on the spectrogram, and where those places are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fluxbeat.errors import ExplanationError
from fluxbeat.models.base import WindowModel
from fluxbeat.models.convolutions import ConvNorm, ConvolutionStack, Residual
from fluxbeat.models.inverted_residuals import InvertedResidual, InvertedResidualStack
from fluxbeat.models.vit import AudioTransformer


@dataclass(frozen=True, eq=False)
class Field:
    """What the outputs of a layer see along one axis.

    Attributes
    ----------
    weights : float64 array
        How much the first output sees of consecutive inputs: its share of the paths from there; sums to 1.
    stride : int
        Inputs from one output to the next.
    first : int
        Input that the first weight belongs to; below 0 where the axis is padded.
    """

    weights: np.ndarray
    stride: int
    first: int

    def through(self, kernel: int, stride: int, padding: int) -> Field:
        """What a convolution of this field sees: the field of its output. All three sizes are in steps of its input."""
        taps = np.zeros((kernel - 1) * self.stride + 1)
        taps[:: self.stride] = 1 / kernel
        return Field(np.convolve(self.weights, taps), self.stride * stride, self.first - padding * self.stride)

    def beside(self, shortcut: Field) -> Field:
        """Where a shortcut brings what `shortcut` sees, centred, with equal weight."""
        around = (len(self.weights) - len(shortcut.weights)) // 2
        return Field((self.weights + np.pad(shortcut.weights, around)) / 2, self.stride, self.first)

    def spreading(self, outputs: int, inputs: int) -> Tensor:
        """Each output's value laid over what it sees: float32 (inputs, outputs), columns that sum to 1."""
        matrix = np.zeros((inputs, outputs))
        for output in range(outputs):
            seen = self.first + output * self.stride + np.arange(len(self.weights))
            there = (seen >= 0) & (seen < inputs)
            matrix[seen[there], output] = self.weights[there]
        return torch.from_numpy((matrix / matrix.sum(0)).astype(np.float32))


POINT = Field(np.ones(1), 1, 0)


@dataclass(frozen=True, eq=False)
class PlacedLayer:
    """A layer whose outputs have places.

    Attributes
    ----------
    module : nn.Module
        Gives (batch, channels, bands, steps), or the class token and all patches, (batch, 1 + tokens, channels).
    band_field, time_field : Field
        What its outputs see.
    token_grid : (int, int) or None
        Bands and steps of the tokens, where it gives tokens.
    spacing : Tensor or None
        How the network's own bands follow from mel bands, (bands, mels), where it has other ones.
    """

    module: nn.Module
    band_field: Field
    time_field: Field
    token_grid: tuple[int, int] | None = None
    spacing: Tensor | None = None

    def on_grid(self, values: Tensor) -> Tensor:
        """What the module gives, or a gradient of it, by place: (batch, channels, bands, steps)."""
        if self.token_grid is None:
            return values
        return values[:, 1:].transpose(1, 2).unflatten(2, self.token_grid)

    def spread(self, coarse: Tensor, mels: int, frames: int) -> Tensor:
        """A map (batch, bands, steps) over (batch, mels, frames): each value over what it sees; the sum stays."""
        over_bands = self.band_field.spreading(coarse.shape[1], mels if self.spacing is None else len(self.spacing))
        if self.spacing is not None:
            over_bands = (self.spacing.T / self.spacing.sum(1)).to(over_bands) @ over_bands
        over_time = self.time_field.spreading(coarse.shape[2], frames)
        return torch.einsum("mb,nbs,fs->nmf", over_bands, coarse, over_time)


def placed_layers(model: WindowModel) -> dict[str, PlacedLayer]:
    """All layers of a model that can be explained, from the spectrogram up.

    `conv1`, `conv2`, ...: the first convolution and the stages after it, and what follows them without a stride.
    `patches`: a transformer's tokens before it attends; `block1`, ...: after each block but the last, which only the
    class token and a mean read.

    Raises
    ------
    ExplanationError
        If the model has none.
    """
    stack, wide = getattr(model, "stack", None), getattr(model, "wide", None)
    if not isinstance(stack, ConvolutionStack | InvertedResidualStack):
        raise ExplanationError(f"a model of the family {model.config.family!r} has no layer that could be explained")
    layers = [*stack.layers, *([wide] if isinstance(wide, ConvNorm) else [])]
    stages = list(_stages(layers, getattr(stack, "spacing", None)))
    found, last = {f"conv{number}": stage for number, stage in enumerate(stages, start=1)}, stages[-1]
    if isinstance(model, AudioTransformer):
        (bands, steps) = model.cut.kernel_size
        band_field, time_field = last.band_field.through(bands, bands, 0), last.time_field.through(steps, steps, 0)
        found["patches"] = PlacedLayer(model.cut, band_field, time_field, spacing=last.spacing)
        for number, block in enumerate(list(model.transformer.layers)[:-1], start=1):
            found[f"block{number}"] = PlacedLayer(block, band_field, time_field, model.token_grid, last.spacing)
    return found


def _stages(layers: Sequence[nn.Module], spacing: Tensor | None) -> Iterator[PlacedLayer]:
    """The last layer of each stage: a convolution or block with a stride, and the blocks without one after it."""
    bands = time = POINT
    for layer, after in zip(layers, [*layers[1:], None], strict=True):
        before_bands, before_time = bands, time
        for convolution in layer.modules():
            if isinstance(convolution, nn.Conv2d):
                (band_kernel, kernel), (band_stride, stride) = convolution.kernel_size, convolution.stride
                bands = bands.through(band_kernel, band_stride, band_kernel // 2)
                time = time.through(kernel, stride, 0)
        if isinstance(layer, Residual) or (isinstance(layer, InvertedResidual) and layer.shortcut):
            bands, time = bands.beside(before_bands), time.beside(before_time)
        if after is None or _begins_stage(after):
            yield PlacedLayer(layer, bands, time, spacing=spacing)


def _begins_stage(layer: nn.Module) -> bool:
    if isinstance(layer, InvertedResidual):
        return layer.sizes.band_stride > 1 or layer.sizes.time_stride > 1
    return not isinstance(layer, Residual)
