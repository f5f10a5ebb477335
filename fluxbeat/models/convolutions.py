"""The convolutional stack that all three families start with: no padding in time, so that windows can share it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class ConvolutionStack(nn.Module):
    """3x3 convolutions with batch norm, ReLU and max pooling; padded in frequency, not in time.

    Parameters
    ----------
    channels : sequence of int
        Width of each layer.
    pools : sequence of (int, int)
        Pooling of each layer in (bands, frames).
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
    """

    def __init__(self, channels: Sequence[int], pools: Sequence[Sequence[int]], n_mels: int, dropout: float = 0.1):
        super().__init__()
        layers: list[nn.Module] = []
        width, self.bands, self.time_stride, self.time_context = 1, n_mels, 1, 1
        for channel, (pool_bands, pool_frames) in zip(channels, pools, strict=True):
            layers += [
                nn.Conv2d(width, channel, 3, padding=(1, 0), bias=False),
                nn.BatchNorm2d(channel),
                nn.ReLU(inplace=True),
            ]
            if pool_bands * pool_frames > 1:
                layers.append(nn.MaxPool2d((pool_bands, pool_frames)))
            layers.append(nn.Dropout2d(dropout))
            width, self.bands = channel, self.bands // pool_bands
            self.time_context += (2 + pool_frames - 1) * self.time_stride
            self.time_stride *= pool_frames
        self.layers = nn.Sequential(*layers)
        self.channels = width

    def forward(self, log_mel: Tensor) -> Tensor:
        """log_mel (batch, mels, frames) -> (batch, channels, bands, steps)."""
        return self.layers(log_mel[:, None])
