"""Inverted residual blocks after MobileNetV3: padded in frequency, not in time, so that windows share them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.functional.functional import _hz_to_mel, _mel_to_hz

from fluxbeat.features.log_mel import FeatureConfig

TEACHER_BLOCKS = (
    (8, 8, 3, 3, 1, 1, 0, 0),
    (24, 16, 3, 3, 2, 1, 0, 0),
    (32, 16, 3, 3, 1, 1, 0, 0),
    (32, 16, 5, 3, 2, 1, 8, 0),
    (48, 16, 5, 3, 1, 1, 16, 0),
    (48, 16, 5, 3, 1, 1, 16, 0),
    (96, 32, 3, 3, 2, 2, 0, 1),
    (80, 32, 3, 3, 1, 1, 0, 1),
    (72, 32, 3, 3, 1, 1, 0, 1),
    (72, 32, 3, 3, 1, 1, 0, 1),
    (192, 48, 3, 3, 1, 1, 48, 1),
    (272, 48, 3, 3, 1, 1, 72, 1),
    (272, 64, 5, 3, 2, 2, 72, 1),
    (384, 64, 5, 3, 1, 1, 96, 1),
    (384, 64, 5, 3, 1, 1, 96, 1),
)
"""EfficientAT mn04's (Schmid, Koutini & Widmer, ICASSP 2023), each as `BlockSizes` names its numbers."""


class BlockSizes(NamedTuple):
    """Settings of one `InvertedResidual`.

    Attributes
    ----------
    expanded, channels : int
        Channels inside the block, and those that come out.
    band_kernel, time_kernel : int
        Odd sides of the depthwise convolution's kernel.
    band_stride, time_stride : int
    squeeze : int
        Channels between the two convolutions of `SqueezeExcitation`; 0 for none.
    smooth : int
        1 for hard swish, 0 for ReLU.
    """

    expanded: int
    channels: int
    band_kernel: int
    time_kernel: int
    band_stride: int
    time_stride: int
    squeeze: int
    smooth: int


def convolution(
    channels_in: int,
    channels_out: int,
    kernel: tuple[int, int] = (1, 1),
    stride: tuple[int, int] = (1, 1),
    groups: int = 1,
    activation: nn.Module | None = None,
) -> nn.Sequential:
    """Convolution, batch norm and an activation, if any; kernel and stride over bands and frames."""
    conv = nn.Conv2d(channels_in, channels_out, kernel, stride, (kernel[0] // 2, 0), groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out), activation or nn.Identity())


class SqueezeExcitation(nn.Module):
    """Scales every channel by what all channels of the same moment say (Hu et al., CVPR 2018).

    The mean is over bands, not over time as in the original: windows share what a moment alone decides.
    """

    def __init__(self, channels: int, squeeze: int):
        super().__init__()
        self.first, self.second = nn.Conv1d(channels, squeeze, 1), nn.Conv1d(squeeze, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, bands, steps), in and out."""
        return x * torch.sigmoid(self.second(F.relu(self.first(x.mean(2)))))[:, :, None]


class InvertedResidual(nn.Module):
    """Expand, convolve every channel by itself, gate, and project back, beside a shortcut where the shapes allow.

    Howard et al., "Searching for MobileNetV3", ICCV 2019. The shortcut loses the frames that the convolution loses.
    """

    def __init__(self, channels_in: int, sizes: BlockSizes):
        super().__init__()
        self.sizes = sizes
        activation = nn.Hardswish if sizes.smooth else nn.ReLU
        kernel, stride = (sizes.band_kernel, sizes.time_kernel), (sizes.band_stride, sizes.time_stride)
        wide = sizes.expanded
        self.expand = nn.Identity() if wide == channels_in else convolution(channels_in, wide, activation=activation())
        self.convolve = convolution(wide, wide, kernel, stride, wide, activation())
        self.gate = SqueezeExcitation(wide, sizes.squeeze) if sizes.squeeze else nn.Identity()
        self.project = convolution(wide, sizes.channels)
        self.shortcut = stride == (1, 1) and channels_in == sizes.channels

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels_in, bands, frames) -> (batch, channels, fewer bands, fewer frames)."""
        y = self.project(self.gate(self.convolve(self.expand(x))))
        lost = self.sizes.time_kernel // 2
        return x[..., lost : x.shape[3] - lost] + y if self.shortcut else y


class InvertedResidualStack(nn.Module):
    """A 3x3 convolution that halves both axes, inverted residual blocks, and a last widening.

    The mel bands are interpolated at those of the teacher first (`spacing`), and each is standardised.

    Parameters
    ----------
    features : FeatureConfig
        Of what comes in.
    bands : int
        Bands after they were spaced anew.
    first : int
        Channels of the first convolution.
    blocks : sequence of sequence of int
        As `BlockSizes`, in its order.
    last : int
        Channels that come out.

    Attributes
    ----------
    spacing : Tensor, shape (bands, n_mels)
        Interpolates the mel bands.
    time_stride, time_context : int
        Frames between steps, and frames that one step sees.
    channels, bands : int
        Channels and bands that come out.

    Raises
    ------
    TypeError
        If a block's settings are not eight numbers.
    """

    spacing: Tensor

    def __init__(self, features: FeatureConfig, bands: int, first: int, blocks: Sequence[Sequence[int]], last: int):
        super().__init__()
        self.register_buffer("spacing", band_spacing(features, bands), persistent=False)
        self.norm = nn.BatchNorm1d(bands)
        layers: list[nn.Module] = [convolution(1, first, (3, 3), (2, 2), activation=nn.Hardswish())]
        self.time_context, self.time_stride, self.bands, channels = 3, 2, -(-bands // 2), first
        for values in blocks:
            sizes = BlockSizes(*values)
            layers.append(InvertedResidual(channels, sizes))
            self.time_context += (sizes.time_kernel - 1) * self.time_stride
            self.time_stride *= sizes.time_stride
            self.bands = -(-self.bands // sizes.band_stride)
            channels = sizes.channels
        layers.append(convolution(channels, last, activation=nn.Hardswish()))
        self.layers, self.channels = nn.Sequential(*layers), last

    def forward(self, log_mel: Tensor) -> Tensor:
        """log_mel (batch, mels, frames) -> (batch, channels, bands, steps)."""
        encoding: Tensor = self.layers(self.norm(self.spacing @ log_mel)[:, None])
        return encoding


def band_spacing(features: FeatureConfig, bands: int) -> Tensor:
    """Interpolates mel bands at EfficientAT's lowest `bands`, evenly spaced on HTK's mel scale: (bands, n_mels)."""
    ours_hz = _mel_centres_hz(features.n_mels, features.f_min_hz, features.f_max_hz, "slaney")
    theirs_hz = _mel_centres_hz(128, 0.0, 15_000.0, "htk")[:bands]
    each = [np.interp(theirs_hz, ours_hz, unit) for unit in np.eye(features.n_mels)]
    return torch.from_numpy(np.stack(each, 1)).float()


def _mel_centres_hz(bands: int, lowest_hz: float, highest_hz: float, scale: str) -> np.ndarray:
    """Centres of mel bands, (bands,), as `librosa.mel_frequencies` has them, which takes half a second to import."""
    lowest, highest = (_hz_to_mel(edge_hz, mel_scale=scale) for edge_hz in (lowest_hz, highest_hz))
    with torch.device("cpu"):  # also while a network is only sketched, without memory
        edges = torch.linspace(lowest, highest, bands + 2, dtype=torch.float64)
        centres: np.ndarray = _mel_to_hz(edges, mel_scale=scale)[1:-1].numpy()
    return centres
