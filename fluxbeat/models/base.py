"""What the three model families share: configuration, heads, and the two steps from spectrogram to answer.

A model works in two steps, so that overlapping windows share most of it:

1. `encode_frames`: convolutions without padding in time and the texture of short stretches, once over a whole track;
2. `decide`: what looks at one window (pooling, LSTM, attention) and the heads.

`forward` on one window does both, and gives what the two steps give on the same stretch of a track.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fluxbeat.errors import ConfigMismatchError
from fluxbeat.features import FeatureConfig
from fluxbeat.models.tempo import TempoGrid, TempoHead
from fluxbeat.models.texture import STRETCH_FRAMES, Texture, TextureEmbedding

TEXTURE_SIZE = 192
TEXTURE_SHARE = 0.9
"""Usual weight of the texture: the network's own hearing overfits on 630 clips; unseen artists' accuracy (CNN,
pictures, fold 1 -> 2) was 0.39 by the network alone, 0.55 at a share of 0.7, 0.57 at 0.85 and 0.58 by texture alone."""


class ModelOutput(NamedTuple):
    """What a model says of a batch of windows.

    Attributes
    ----------
    genre_logits : Tensor, shape (batch, labels)
        One logit per label; labels do not exclude each other.
    tempo_logits : Tensor, shape (batch, tempo_bins)
        Logits of a distribution over the tempo grid.
    embedding : Tensor, shape (batch, d)
        What the genre head sees.
    """

    genre_logits: Tensor
    tempo_logits: Tensor
    embedding: Tensor


class FrameFeatures(NamedTuple):
    """What `encode_frames` finds along a track.

    Attributes
    ----------
    timbre : Tensor, shape (batch, c, steps)
        What the family's convolutions hear.
    novelty : Tensor, shape (batch, k, frames - a few)
        Novelty curves for the tempo head.
    texture : Tensor, shape (batch, stretches, TEXTURE_SIZE)
        What the textures of its stretches say.
    """

    timbre: Tensor
    novelty: Tensor
    texture: Tensor


@dataclass(frozen=True)
class Calibration:
    """Logits to probabilities: sigmoid(scale * logit + bias), fitted on music the model did not see (Platt 1999).

    Raises
    ------
    ConfigMismatchError
        If the scale is not above 0: a higher logit must mean a higher probability.
    """

    scale: float = 1.0
    bias: float = 0.0

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ConfigMismatchError(f"calibration: scale must be above 0, got {self.scale:g}")


@dataclass(frozen=True)
class ModelConfig:
    """What a checkpoint says of its model; nothing of this lives in code.

    Attributes
    ----------
    family : str
        'cnn', 'crnn' or 'vit'.
    labels : tuple of str
        Names of the genre logits, in order.
    thresholds : tuple of float
        Probability from which a label counts as present, above 0 and below 1; one per label.
    tempo_grid : TempoGrid
        The tempo classes.
    tempo_threshold : float
        `fluxbeat.analysis.tempo.pulse` from which a tempo counts as a beat that is there.
    tempo_taught : bool
        Whether the tempo head has learned anything; where it has not, no tempo is ever given.
    features : FeatureConfig
        The spectrogram the model was trained on.
    window_s : float
        Length of one window in seconds: at least one stretch of the texture.
    calibration : Calibration
        How logits become probabilities.
    architecture : dict
        Keyword arguments of the family's class, all numbers.
    metrics : tuple of dict
        What was measured, on what: each with the keys that `fluxbeat.models.metrics` names.

    Raises
    ------
    ConfigMismatchError
        If the settings contradict each other or leave nothing to be heard.
    """

    family: str
    labels: tuple[str, ...]
    thresholds: tuple[float, ...]
    tempo_grid: TempoGrid = field(default_factory=TempoGrid)
    tempo_threshold: float = 0.12
    tempo_taught: bool = True
    features: FeatureConfig = field(default_factory=FeatureConfig)
    window_s: float = 8.0
    calibration: Calibration = field(default_factory=Calibration)
    architecture: dict[str, Any] = field(default_factory=dict)
    metrics: tuple[dict[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if len(self.thresholds) != len(self.labels):
            raise ConfigMismatchError(f"{len(self.labels)} labels need as many thresholds, got {len(self.thresholds)}")
        if len(set(self.labels)) != len(self.labels) or not self.labels:
            raise ConfigMismatchError(f"labels must be different from each other and at least one: {self.labels}")
        for label, threshold in zip(self.labels, self.thresholds, strict=True):
            if not 0 < threshold < 1:
                raise ConfigMismatchError(f"thresholds must be above 0 and below 1, got {threshold:g} for {label}")
        self.require_frames(STRETCH_FRAMES, "a stretch of the texture has")

    def require_frames(self, least: int, why: str) -> None:
        """Refuse windows of fewer frames than `least`; `why` are the words before that number.

        Raises
        ------
        ConfigMismatchError
        """
        if self.window_frames < least:
            raise ConfigMismatchError(
                f"window_s must be at least {least / self.features.frame_rate_hz:.2f}, got {self.window_s:g}: "
                f"it gives {self.window_frames} frames, {why} {least}"
            )

    @property
    def window_frames(self) -> int:
        """Length of one window in frames."""
        return round(self.window_s * self.features.frame_rate_hz)


class GenreTempoModel(nn.Module):
    """Base of BaselineCNN, CRNN and AudioTransformer.

    A family sets `time_stride` and `time_context` and implements `timbre_frames` and `embed`: what its network hears
    in a window. The base adds the window's texture, and the heads.

    Parameters
    ----------
    config : ModelConfig
    timbre_size : int
        Size of what `embed` returns.
    texture_share : float
        Weight of the texture beside the network's own hearing, 0..1.

    Raises
    ------
    ValueError
        If `texture_share` is no share.
    """

    time_stride: int
    """Frames from one step of `timbre_frames` to the next."""
    time_context: int
    """Frames that one step of `timbre_frames` sees."""

    def __init__(self, config: ModelConfig, timbre_size: int, texture_share: float):
        super().__init__()
        if not 0 <= texture_share <= 1:
            raise ValueError(f"texture_share must be 0 to 1, got {texture_share}")
        self.config, self.texture_share = config, texture_share
        features = config.features
        self.texture = Texture(features.n_mels, features.frame_rate_hz)
        self.texture_embedding = TextureEmbedding(self.texture.size, TEXTURE_SIZE)
        self.embedding_size = timbre_size + TEXTURE_SIZE
        self.genre_head = nn.Linear(self.embedding_size, len(config.labels))
        self.tempo_head = TempoHead(features.n_mels, features.frame_rate_hz, config.tempo_grid, TEXTURE_SIZE)

    def timbre_frames(self, log_mel: Tensor) -> Tensor:
        """log_mel (batch, mels, frames) -> (batch, c, steps), without padding in time."""
        raise NotImplementedError

    def embed(self, timbre: Tensor) -> Tensor:
        """The steps of one window, (batch, c, steps) -> (batch, timbre_size)."""
        raise NotImplementedError

    def require_steps(self, least: int) -> None:
        """Refuse a window that gives `embed` fewer steps than it needs.

        Raises
        ------
        ConfigMismatchError
        """
        frames = self.time_context + (least - 1) * self.time_stride
        self.config.require_frames(frames, f"the network of {self.config.family} hears at least")

    @property
    def window_steps(self) -> int:
        """Steps of `timbre_frames` in one window."""
        return (self.config.window_frames - self.time_context) // self.time_stride + 1

    @property
    def window_novelty_frames(self) -> int:
        """Frames of the novelty curves in one window."""
        return self.config.window_frames - self.tempo_head.context_frames + 1

    @property
    def n_parameters(self) -> int:
        """Number of trained values."""
        return sum(parameter.numel() for parameter in self.parameters())

    def encode_frames(self, log_mel: Tensor) -> FrameFeatures:
        """The part that windows share: log_mel (batch, mels, frames) -> FrameFeatures."""
        texture = self.hear_stretches(self.texture.cut(log_mel))
        return FrameFeatures(self.timbre_frames(log_mel), self.tempo_head.frames(log_mel), texture)

    def hear_stretches(self, cut: Tensor) -> Tensor:
        """What each texture says: (batch, stretches, mels, STRETCH_FRAMES) -> (batch, stretches, TEXTURE_SIZE)."""
        return self.texture_embedding.of_stretches(self.texture.of_stretches(cut))

    def decide(self, features: FrameFeatures) -> ModelOutput:
        """The part that looks at one window: features of `window_frames` frames -> ModelOutput."""
        timbre, texture = self.embed(features.timbre), self.texture_embedding.together(features.texture)
        embedding = self.embedding(timbre, texture)
        tempo_logits = self.tempo_head(features.novelty, texture)
        return ModelOutput(self.genre_head(embedding), tempo_logits, embedding)

    def embedding(self, timbre: Tensor, texture: Tensor) -> Tensor:
        """What the genre head sees: (..., timbre_size), (..., TEXTURE_SIZE) -> (..., embedding_size)."""
        return torch.cat([(1 - self.texture_share) * timbre, self.texture_share * texture], -1)

    def halves(self, timbre: Tensor, texture: Tensor) -> tuple[Tensor, Tensor]:
        """What timbre (batch, timbre_size) and texture (batch, TEXTURE_SIZE) would say alone: (batch, labels) each.

        `genre_logits` is their mean, weighted by `texture_share`.
        """
        return (
            self.genre_head(torch.cat([timbre, torch.zeros_like(texture)], 1)),
            self.genre_head(torch.cat([torch.zeros_like(timbre), texture], 1)),
        )

    def forward(self, log_mel: Tensor) -> ModelOutput:
        """log_mel (batch, mels, window_frames), normalised as `LogMel` does -> ModelOutput."""
        return self.decide(self.encode_frames(log_mel))

    def probabilities(self, genre_logits: Tensor) -> Tensor:
        """Calibrated probability of every label: (batch, labels) -> (batch, labels) in 0..1."""
        calibration = self.config.calibration
        return torch.sigmoid(genre_logits * calibration.scale + calibration.bias)

    @property
    def thresholds(self) -> np.ndarray:
        """Probability from which each label counts as present, float64, shape (labels,)."""
        return np.asarray(self.config.thresholds)
