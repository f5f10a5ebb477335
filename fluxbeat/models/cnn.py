"""BaselineCNN: residual convolutions over the log-mel, pooled over the window."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fluxbeat.models.base import GenreTempoModel, ModelConfig
from fluxbeat.models.convolutions import ConvNorm, ConvolutionStack


class BaselineCNN(GenreTempoModel):
    """A residual network (He et al., CVPR 2016) small enough for one core; the defaults have 391k parameters.

    One step of its convolutions sees about five seconds, so that it learns a rhythm as well as a timbre. Keyword
    arguments come from the checkpoint's `architecture`.
    """

    def __init__(
        self,
        config: ModelConfig,
        channels: tuple[int, ...] = (20, 36, 56, 80),
        strides: tuple[tuple[int, int], ...] = ((2, 2), (2, 2), (2, 1)),
        hidden: int = 216,
        embedding_size: int = 216,
        dropout: float = 0.2,
    ):
        super().__init__(config, embedding_size)
        self.stack = ConvolutionStack(channels, strides, config.features.n_mels)
        self.time_stride, self.time_context = self.stack.time_stride, self.stack.time_context
        self.require_steps(1)
        self.wide = ConvNorm(self.stack.channels, hidden, 1)
        self.dropout = nn.Dropout(dropout)
        self.to_embedding = nn.Linear(2 * hidden, embedding_size)

    def encode(self, log_mel: Tensor) -> Tensor:
        """log_mel (batch, mels, frames) -> (batch, hidden, bands, steps)."""
        return self.wide(self.stack(log_mel))

    def embed(self, encoding: Tensor) -> Tensor:
        """encoding (batch, hidden, bands, steps) -> (batch, embedding_size)."""
        mean, strongest = encoding.mean((2, 3)), encoding.amax(3).mean(2)
        return F.relu(self.to_embedding(self.dropout(torch.cat([mean, strongest], 1))))
