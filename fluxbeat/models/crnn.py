"""CRNN: convolutions take the moment in, a bidirectional LSTM how it goes on (Choi et al., ICASSP 2017)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fluxbeat.models.base import GenreTempoModel, ModelConfig
from fluxbeat.models.inverted_residuals import TEACHER_BLOCKS, InvertedResidualStack


class CRNN(GenreTempoModel):
    """MobileNet's convolutions, then a two-layer bidirectional LSTM over the window; the defaults have 2.6M parameters.

    The sizes of the convolutions are those of EfficientAT mn04 (Schmid, Koutini & Widmer, ICASSP 2023), from whose
    weights the shipped ones started. The LSTM takes three steps a second, about one a beat. Keyword arguments come
    from the checkpoint's `architecture`.
    """

    def __init__(
        self,
        config: ModelConfig,
        bands: int = 112,
        first: int = 8,
        blocks: tuple[tuple[int, ...], ...] = TEACHER_BLOCKS,
        last: int = 384,
        lstm_size: int = 192,
        lstm_layers: int = 2,
        embedding_size: int = 256,
        dropout: float = 0.2,
    ):
        super().__init__(config, embedding_size)
        self.stack = InvertedResidualStack(config.features, bands, first, blocks, last)
        self.time_stride, self.time_context = self.stack.time_stride, self.stack.time_context
        self.require_steps(2)
        self.dropout = nn.Dropout(dropout)
        between = dropout if lstm_layers > 1 else 0.0
        self.lstm = nn.LSTM(last, lstm_size, lstm_layers, batch_first=True, bidirectional=True, dropout=between)
        self.to_embedding = nn.Linear(last + 4 * lstm_size, embedding_size)

    def encode(self, log_mel: Tensor) -> Tensor:
        """log_mel (batch, mels, frames) -> (batch, channels, bands, steps)."""
        return self.stack(log_mel)

    def embed(self, encoding: Tensor) -> Tensor:
        """encoding (batch, channels, bands, steps) -> (batch, embedding_size)."""
        frames = encoding.mean(2).transpose(1, 2)  # (batch, steps, channels)
        states, _ = self.lstm(self.dropout(frames))  # (batch, steps, 2 * lstm_size)
        pooled = torch.cat([frames.mean(1), states.mean(1), states.amax(1)], 1)
        return F.relu(self.to_embedding(self.dropout(pooled)))
