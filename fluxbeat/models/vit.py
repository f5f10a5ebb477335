"""AudioTransformer: patches of the spectrogram as tokens (Dosovitskiy et al., ICLR 2021; Gong et al., "AST", 2021).

The patches are cut by a short convolutional stem, which lets a transformer learn from little data
(Xiao et al., "Early convolutions help transformers see better", NeurIPS 2021) and which windows can share.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fluxbeat.models.base import TEXTURE_SHARE, GenreTempoModel, ModelConfig
from fluxbeat.models.convolutions import ConvolutionStack


class AudioTransformer(GenreTempoModel):
    """A vision transformer over the spectrogram's patches.

    Keyword arguments come from the checkpoint's `architecture`; the defaults have 3.3M parameters.

    Attributes
    ----------
    token_grid : (int, int)
        Tokens of one window in (bands, steps).
    """

    def __init__(
        self,
        config: ModelConfig,
        stem_channels: tuple[int, ...] = (16, 32, 40),
        stem_pools: tuple[tuple[int, int], ...] = ((2, 3), (2, 1), (2, 1)),
        patch: tuple[int, int] = (5, 8),
        patch_stride: tuple[int, int] = (5, 8),
        width: int = 192,
        depth: int = 6,
        heads: int = 6,
        timbre_size: int = 128,
        dropout: float = 0.1,
        head_dropout: float = 0.4,
        texture_share: float = TEXTURE_SHARE,
    ):
        super().__init__(config, timbre_size, texture_share)
        self.stem = ConvolutionStack(stem_channels, stem_pools, config.features.n_mels, dropout)
        self.time_stride, self.time_context = self.stem.time_stride, self.stem.time_context
        if patch[0] > self.stem.bands or min(*patch, *patch_stride) < 1:
            raise ValueError(f"no patch of {patch}, {patch_stride} apart, fits into {self.stem.bands} bands")
        self.require_steps(patch[1])
        self.cut = nn.Conv2d(self.stem.channels, width, patch, stride=patch_stride)
        self.token_grid = (
            (self.stem.bands - patch[0]) // patch_stride[0] + 1,
            (self.window_steps - patch[1]) // patch_stride[1] + 1,
        )
        bands, steps = self.token_grid
        self.band_position = nn.Parameter(torch.randn(width, bands, 1) * 0.02)
        self.time_position = nn.Parameter(torch.randn(width, 1, steps) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, depth, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.to_timbre = nn.Sequential(
            nn.Dropout(head_dropout),
            nn.Linear(2 * width, timbre_size),
            nn.GELU(),
            nn.Dropout(head_dropout),
        )

    def timbre_frames(self, log_mel: Tensor) -> Tensor:
        """log_mel (batch, mels, frames) -> what the stem hears (batch, channels * bands, steps)."""
        return self.stem(log_mel).flatten(1, 2)

    def embed(self, timbre: Tensor) -> Tensor:
        """The stem's answer (batch, channels * bands, steps) -> (batch, timbre_size)."""
        heard = timbre.unflatten(1, (self.stem.channels, self.stem.bands))  # (batch, channels, bands, steps)
        patches = self.cut(heard) + self.band_position + self.time_position  # (batch, width, *token_grid)
        tokens = self.transformer(patches.flatten(2).transpose(1, 2))  # (batch, tokens, width)
        return self.to_timbre(torch.cat([tokens.mean(1), tokens.amax(1)], 1))
