"""The convolutional stack that all three families start with: no padding in time, so that windows can share it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMOOTHING = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


class ConvolutionStack(nn.Module):
    """3x3 convolutions with batch norm, ReLU and max pooling; padded in frequency, not in time.

    The spectrogram is first smoothed over about a fifth of a second: what is left is the sound, not the chance of
    single frames, which differs between sources of audio more than between genres.

    Parameters
    ----------
    channels : sequence of int
        Width of each layer.
    pools : sequence of (int, int)
        Of each layer: max pooling over bands, and stride over frames.
    n_mels : int
        Mel bands that come in.
    dropout : float
        Share of whole channels dropped after each layer in training.

    Attributes
    ----------
    time_stride, time_context : int
        Frames between steps, and frames that one step sees.
    bands : int
        Bands that come out.

    Raises
    ------
    ValueError
        If a pool or a stride is below 1, or the pools leave no band.
    """

    smoothing: Tensor

    def __init__(self, channels: Sequence[int], pools: Sequence[Sequence[int]], n_mels: int, dropout: float = 0.05):
        super().__init__()
        if any(min(pool) < 1 for pool in pools):
            raise ValueError(f"pools and strides must be at least 1, got {pools}")
        layers: list[nn.Module] = []
        self.register_buffer("smoothing", torch.tensor(SMOOTHING)[None, None, None], persistent=False)
        width, self.bands, self.time_stride, self.time_context = 1, n_mels, 1, len(SMOOTHING)
        for channel, (pool_bands, stride) in zip(channels, pools, strict=True):
            layers += [
                nn.Conv2d(width, channel, 3, stride=(1, stride), padding=(1, 0), bias=False),
                nn.BatchNorm2d(channel),
                nn.ReLU(inplace=True),
            ]
            if pool_bands > 1:
                layers.append(nn.MaxPool2d((pool_bands, 1)))
            layers.append(nn.Dropout2d(dropout))
            width, self.bands = channel, self.bands // pool_bands
            self.time_context += 2 * self.time_stride
            self.time_stride *= stride
        if self.bands < 1:
            raise ValueError(f"pools {pools} leave nothing of {n_mels} bands")
        self.layers = nn.Sequential(*layers)
        self.channels = width

    def forward(self, log_mel: Tensor) -> Tensor:
        """log_mel (batch, mels, frames) -> (batch, channels, bands, steps)."""
        return self.layers(F.conv2d(log_mel[:, None], self.smoothing))
