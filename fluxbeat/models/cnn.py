"""BaselineCNN: five small convolutions, statistics over time, two heads. The plain reference of the three."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fluxbeat.models.base import TEXTURE_SHARE, GenreTempoModel, ModelConfig
from fluxbeat.models.convolutions import ConvolutionStack


class BaselineCNN(GenreTempoModel):
    """Convolutions over the spectrogram, then mean, deviation and maximum over the window.

    Keyword arguments come from the checkpoint's `architecture`; the defaults have 0.4M parameters.
    """

    def __init__(
        self,
        config: ModelConfig,
        channels: tuple[int, ...] = (16, 24, 32, 48, 64),
        pools: tuple[tuple[int, int], ...] = ((2, 3), (2, 1), (2, 1), (2, 1), (1, 1)),
        frame_size: int = 96,
        timbre_size: int = 96,
        dropout: float = 0.05,
        head_dropout: float = 0.3,
        texture_share: float = TEXTURE_SHARE,
    ):
        super().__init__(config, timbre_size, texture_share)
        self.stack = ConvolutionStack(channels, pools, config.features.n_mels, dropout)
        self.time_stride, self.time_context = self.stack.time_stride, self.stack.time_context
        self.require_steps(1)
        self.across_bands = nn.Sequential(
            nn.Conv2d(self.stack.channels, frame_size, (self.stack.bands, 1), bias=False),
            nn.BatchNorm2d(frame_size),
            nn.ReLU(inplace=True),
        )
        self.to_timbre = nn.Sequential(
            nn.Dropout(head_dropout),
            nn.Linear(3 * frame_size, timbre_size),
            nn.ReLU(),
            nn.Dropout(head_dropout),
        )

    def timbre_frames(self, log_mel: Tensor) -> Tensor:
        """log_mel (batch, mels, frames) -> (batch, frame_size, steps)."""
        return self.across_bands(self.stack(log_mel))[:, :, 0]  # bands are gone

    def embed(self, timbre: Tensor) -> Tensor:
        """timbre (batch, frame_size, steps) -> (batch, timbre_size)."""
        deviation = torch.sqrt(timbre.var(-1, unbiased=False) + 1e-5)
        return self.to_timbre(torch.cat([timbre.mean(-1), deviation, timbre.amax(-1)], 1))
