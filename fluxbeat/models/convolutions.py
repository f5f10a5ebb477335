"""The convolutions that the CNN begins with: padded in frequency, not in time, so that windows share them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


class ConvNorm(nn.Module):
    """Convolution, batch norm and, unless told otherwise, ReLU; padded over bands only.

    Parameters
    ----------
    channels_in, channels_out : int
    kernel : int
        Odd side of the square kernel.
    stride : (int, int)
        Over bands and over frames.
    relu : bool
    """

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int = 3, stride: tuple[int, int] = (1, 1), relu: bool = True
    ):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, (kernel // 2, 0), bias=False)
        self.norm, self.relu = nn.BatchNorm2d(channels_out), relu

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels_in, bands, frames) -> (batch, channels_out, fewer bands, fewer frames)."""
        x = self.norm(self.conv(x))
        return F.relu(x) if self.relu else x


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al., CVPR 2016); the shortcut loses the frames that they lose."""

    def __init__(self, channels: int):
        super().__init__()
        self.first, self.second = ConvNorm(channels, channels), ConvNorm(channels, channels, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, bands, frames) -> (batch, channels, bands, frames - 4)."""
        return F.relu(x[..., 2:-2] + self.second(self.first(x)))


class ConvolutionStack(nn.Module):
    """A 5x5 convolution that halves both axes, then a 3x3 convolution and a residual block per stage.

    Halving both axes at the very first convolution is what makes a training step cheap.

    Parameters
    ----------
    channels : sequence of int
        Width of the first convolution and of each stage.
    strides : sequence of (int, int)
        Of each stage after the first convolution: over bands and over frames.
    n_mels : int
        Mel bands that come in.

    Attributes
    ----------
    time_stride, time_context : int
        Frames between steps, and frames that one step sees.
    channels, bands : int
        Channels and bands that come out.

    Raises
    ------
    ValueError
        If there is not a stride for each stage, or one is below 1.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[Sequence[int]], n_mels: int):
        super().__init__()
        if any(len(stride) != 2 or min(stride) < 1 for stride in strides):
            raise ValueError(f"strides must be two numbers of at least 1 each, got {strides}")
        self.norm = nn.BatchNorm2d(1)
        layers: list[nn.Module] = [ConvNorm(1, channels[0], 5, (2, 2))]
        self.time_context, self.time_stride, self.bands = 5, 2, -(-n_mels // 2)
        for (width_in, width), (band_stride, stride) in zip(pairwise(channels), strides, strict=True):
            layers.append(ConvNorm(width_in, width, 3, (band_stride, stride)))
            self.time_context += 2 * self.time_stride
            self.time_stride *= stride
            self.bands = -(-self.bands // band_stride)
            layers.append(Residual(width))
            self.time_context += 4 * self.time_stride
        self.layers = nn.Sequential(*layers)
        self.channels = channels[-1]

    def forward(self, log_mel: Tensor) -> Tensor:
        """log_mel (batch, mels, frames) -> (batch, channels, bands, steps)."""
        return self.layers(self.norm(log_mel[:, None]))
