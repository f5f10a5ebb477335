"""AudioTransformer: patches of the spectrogram as tokens (Dosovitskiy et al., ICLR 2021; Gong et al., "AST", 2021).

The patches are cut from what MobileNet's convolutions make of the spectrogram, which lets a transformer learn from
little data (Xiao et al., "Early convolutions help transformers see better", NeurIPS 2021) and which windows share. In
training a share of the tokens is left out, which is cheaper and keeps it from learning by heart (Koutini et al.,
"PaSST", Interspeech 2022).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fluxbeat.models.base import GenreTempoModel, ModelConfig
from fluxbeat.models.inverted_residuals import TEACHER_BLOCKS, InvertedResidualStack


class AudioTransformer(GenreTempoModel):
    """A vision transformer over the spectrogram's patches; the defaults have 3.2M parameters.

    The sizes of the convolutions are those of EfficientAT mn04, from whose weights the shipped ones started. Keyword
    arguments come from the checkpoint's `architecture`.

    Attributes
    ----------
    token_grid : (int, int)
        Tokens of one window in (bands, steps), each a quarter of the bands wide, two thirds of a second from the next.
    """

    def __init__(
        self,
        config: ModelConfig,
        bands: int = 112,
        first: int = 8,
        blocks: tuple[tuple[int, ...], ...] = TEACHER_BLOCKS,
        last: int = 384,
        patch: tuple[int, int] = (1, 2),
        width: int = 184,
        depth: int = 6,
        heads: int = 4,
        dropout: float = 0.1,
        left_out: float = 1 / 3,
        embedding_size: int = 256,
    ):
        super().__init__(config, embedding_size)
        self.stack = InvertedResidualStack(config.features, bands, first, blocks, last)
        self.time_stride, self.time_context = self.stack.time_stride, self.stack.time_context
        if not 1 <= patch[0] <= self.stack.bands or patch[1] < 1:
            raise ValueError(f"no patch of {patch} fits into {self.stack.bands} bands")
        if not 0 <= left_out < 1:
            raise ValueError(f"left_out must be at least 0 and below 1, got {left_out}")
        self.require_steps(patch[1])
        self.left_out = left_out
        self.cut = nn.Conv2d(self.stack.channels, width, patch, stride=patch)
        self.token_grid = rows, steps = (self.stack.bands // patch[0], self.window_steps // patch[1])
        self.band_position = nn.Parameter(torch.randn(width, rows, 1) * 0.02)
        self.time_position = nn.Parameter(torch.randn(width, 1, steps) * 0.02)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, depth, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.to_embedding = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * width, embedding_size), nn.GELU())

    def encode(self, log_mel: Tensor) -> Tensor:
        """log_mel (batch, mels, frames) -> (batch, channels, bands, steps)."""
        return self.stack(log_mel)

    def embed(self, encoding: Tensor) -> Tensor:
        """encoding (batch, channels, bands, steps) -> (batch, embedding_size)."""
        patches = self.cut(encoding) + self.band_position + self.time_position  # (batch, width, *token_grid)
        tokens = patches.flatten(2).transpose(1, 2)  # (batch, tokens, width)
        if self.training and self.left_out:
            kept = torch.randperm(tokens.shape[1])[: round(tokens.shape[1] * (1 - self.left_out))]
            tokens = tokens[:, kept]
        tokens = self.transformer(torch.cat([self.class_token.expand(len(tokens), -1, -1).to(tokens.dtype), tokens], 1))
        return self.to_embedding(torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], 1))
