"""CRNN: convolutions hear the moment, a bidirectional LSTM hears how it goes on (Choi et al., ICASSP 2017)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fluxbeat.models.base import TEXTURE_SHARE, GenreTempoModel, ModelConfig
from fluxbeat.models.convolutions import ConvolutionStack


class CRNN(GenreTempoModel):
    """Convolutions, a two-layer bidirectional LSTM over the window, attention over its steps.

    Keyword arguments come from the checkpoint's `architecture`; the defaults have 2.6M parameters. Of every
    `pooled_steps` steps of the convolutions the LSTM gets one moment: more than half a second, about a beat.
    """

    def __init__(
        self,
        config: ModelConfig,
        channels: tuple[int, ...] = (16, 32, 48, 96, 160),
        pools: tuple[tuple[int, int], ...] = ((2, 3), (2, 1), (2, 1), (2, 1), (1, 1)),
        frame_size: int = 256,
        lstm_size: int = 200,
        lstm_layers: int = 2,
        pooled_steps: int = 4,
        timbre_size: int = 192,
        dropout: float = 0.05,
        head_dropout: float = 0.3,
        texture_share: float = TEXTURE_SHARE,
    ):
        super().__init__(config, timbre_size, texture_share)
        self.stack = ConvolutionStack(channels, pools, config.features.n_mels, dropout)
        self.time_stride, self.time_context = self.stack.time_stride, self.stack.time_context
        if not isinstance(pooled_steps, int) or pooled_steps < 1:
            raise ValueError(f"pooled_steps must be a whole number from 1, got {pooled_steps}")
        self.require_steps(pooled_steps)
        self.pooled_steps = pooled_steps
        self.across_bands = nn.Sequential(
            nn.Conv2d(self.stack.channels, frame_size, (self.stack.bands, 1), bias=False),
            nn.BatchNorm2d(frame_size),
            nn.ReLU(inplace=True),
        )
        self.input_dropout = nn.Dropout(head_dropout / 2)
        self.lstm = nn.LSTM(
            frame_size, lstm_size, lstm_layers, batch_first=True, bidirectional=True, dropout=head_dropout
        )
        self.attention = nn.Linear(2 * lstm_size, 1)
        self.to_timbre = nn.Sequential(
            nn.Dropout(head_dropout),
            nn.Linear(4 * lstm_size + frame_size, timbre_size),
            nn.ReLU(),
            nn.Dropout(head_dropout),
        )

    def timbre_frames(self, log_mel: Tensor) -> Tensor:
        """log_mel (batch, mels, frames) -> (batch, frame_size, steps)."""
        return self.across_bands(self.stack(log_mel))[:, :, 0]  # bands are gone

    def embed(self, timbre: Tensor) -> Tensor:
        """timbre (batch, frame_size, steps) -> (batch, timbre_size)."""
        moments = F.avg_pool1d(timbre, self.pooled_steps).transpose(1, 2)  # (batch, moments, frame_size)
        states, _ = self.lstm(self.input_dropout(moments))  # (batch, moments, 2 * lstm_size)
        weights = torch.softmax(self.attention(states), dim=1)  # (batch, moments, 1)
        attended = (weights * states).sum(1)
        return self.to_timbre(torch.cat([attended, states.mean(1), timbre.mean(-1)], 1))
