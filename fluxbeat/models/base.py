"""What the three model families share: configuration, heads, and the two steps from spectrogram to answer.

A model works in two steps, so that overlapping windows share what they can:

1. `encode_frames`: the family's convolutions, without padding in time, and onset strength, once over a whole track;
2. `decide`: what looks at one window (pooling, LSTM, attention) and the heads.

`forward` on one window does both, and gives what the two steps give on the same frames of a track.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fluxbeat.errors import ConfigMismatchError
from fluxbeat.features.log_mel import FeatureConfig
from fluxbeat.models.tempo import TempoGrid, TempoHead

KINDS = ("music", "speech", "neither")
"""What the kind logits speak of, in order."""


class ModelOutput(NamedTuple):
    """What a model says of a batch of windows.

    Attributes
    ----------
    genre_logits : Tensor, shape (batch, labels)
        One logit per label; labels do not exclude each other.
    tempo_logits : Tensor, shape (batch, tempo_bins)
        Logits of a distribution over the tempo grid.
    embedding : Tensor, shape (batch, d)
        What the heads see.
    kind_logits : Tensor, shape (batch, 3)
        Logits of a distribution over `KINDS`.
    """

    genre_logits: Tensor
    tempo_logits: Tensor
    embedding: Tensor
    kind_logits: Tensor


class FrameFeatures(NamedTuple):
    """What `encode_frames` finds along a track.

    Attributes
    ----------
    encoding : Tensor, shape (batch, c, bands, steps)
        The output of the family's convolutions.
    onsets : Tensor, shape (batch, k, frames - a few)
        Onset strength curves for the tempo head.
    """

    encoding: Tensor
    onsets: Tensor


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
class Familiarity:
    """How a distance from what was learned becomes a share: sigmoid((distance - middle) / width).

    Attributes
    ----------
    middle : float
        Distance at which music is as likely unlike what was learned as like it.
    width : float
        Above 0: how fast that changes.
    """

    middle: float
    width: float


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
        `fluxbeat.analysis.tempo.beat_salience` from which a tempo counts as a beat that is there.
    tempo_taught : bool
        Whether the tempo head has learned anything; where it has not, no tempo is ever given.
    features : FeatureConfig
        The spectrogram the model was trained on.
    window_s : float
        Length of one window in seconds.
    kind_taught : bool
        Whether the kind head has learned to tell music from speech and noise; where not, all counts as music.
    familiarity : Familiarity, optional
        How far from what was learned is unfamiliar; None where that was not measured.
    calibration : Calibration
        How logits become probabilities.
    architecture : dict
        Keyword arguments of the family's class, all numbers.
    metrics : tuple of dict
        What was measured, on what: each as `fluxbeat.models.config_file.Metric`.

    Raises
    ------
    ConfigMismatchError
        If the settings contradict each other or leave nothing to be analysed.
    """

    family: str
    labels: tuple[str, ...]
    thresholds: tuple[float, ...]
    tempo_grid: TempoGrid = field(default_factory=TempoGrid)
    tempo_threshold: float = 0.12
    tempo_taught: bool = True
    features: FeatureConfig = field(default_factory=FeatureConfig)
    window_s: float = 10.0
    kind_taught: bool = False
    familiarity: Familiarity | None = None
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
        self.require_frames(TempoHead.context_frames, "the tempo head sees")

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


TAKES_SOUND = (
    "this model takes sound and not FluxBeat's spectrogram: it hears whole recordings, but what it listens to cannot "
    "be shown, nor can it listen live; choose one of FluxBeat's own models for that"
)
"""Why a model that `takes_sound` is refused where a spectrogram is asked about."""


class WindowModel(nn.Module):
    """Whatever answers for windows of a log-mel: `forward(log_mel: (batch, mels, window_frames)) -> ModelOutput`.

    Parameters
    ----------
    config : ModelConfig
        Labels, thresholds, tempo classes, features and length of the window.
    """

    time_stride: int
    """Windows can begin at every multiple of so many frames."""
    takes_sound = False
    """Whether `forward` takes mono sound, (batch, samples), in place of a log-mel."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config

    def probabilities(self, genre_logits: Tensor) -> Tensor:
        """Calibrated probability of every label: (batch, labels) -> (batch, labels) in 0..1."""
        return torch.sigmoid(self.calibrated(genre_logits))

    def calibrated(self, genre_logits: Tensor) -> Tensor:
        """Logits of those probabilities: (batch, labels) -> (batch, labels)."""
        calibration = self.config.calibration
        return genre_logits * calibration.scale + calibration.bias

    def kinds(self, kind_logits: Tensor) -> Tensor:
        """Probability of each of `KINDS`: (batch, 3) -> (batch, 3); all music where the kind was not taught."""
        if self.config.kind_taught:
            return torch.softmax(kind_logits, -1)
        return torch.tensor([1.0, 0.0, 0.0], device=kind_logits.device).expand_as(kind_logits)

    def unfamiliarity(self, embedding: Tensor) -> Tensor:
        """How far music is from what was learned: (batch, d) -> (batch,) in 0..1; 0 where that is not known."""
        return embedding.new_zeros(len(embedding))

    @property
    def n_parameters(self) -> int:
        """Number of trained values."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def thresholds(self) -> np.ndarray:
        """Probability from which each label counts as present, float64, shape (labels,)."""
        return np.asarray(self.config.thresholds)


class GenreTempoModel(WindowModel):
    """Base of BaselineCNN, CRNN and AudioTransformer: each a network of its own, with the same heads.

    A family sets `time_stride` and `time_context` and implements `encode`, without padding in time, and `embed`, with
    the shape beside each step. The heads come with this base. config.json names all arguments of its `__init__`.

    Parameters
    ----------
    config : ModelConfig
    embedding_size : int
        Size of what `embed` returns.
    """

    time_stride: int
    """Frames from one step of `encode` to the next."""
    time_context: int
    """Frames that one step of `encode` sees."""
    known_centres: Tensor
    """Embeddings around which the music that was learned lies, whitened, (centres, whitened size)."""
    whitening: Tensor
    """Embedding to whitened embedding, (embedding_size, whitened size)."""

    def __init__(self, config: ModelConfig, embedding_size: int):
        super().__init__(config)
        self.embedding_size = embedding_size
        features = config.features
        self.genre_head = nn.Linear(embedding_size, len(config.labels))
        self.kind_head = nn.Linear(embedding_size, len(KINDS))
        self.tempo_head = TempoHead(features.n_mels, features.frame_rate_hz, config.tempo_grid, embedding_size)
        self.register_buffer("known_centres", torch.zeros(len(config.labels), embedding_size))
        self.register_buffer("whitening", torch.eye(embedding_size))

    def encode(self, log_mel: Tensor) -> Tensor:
        """log_mel (batch, mels, frames) -> (batch, c, bands, steps), without padding in time."""
        raise NotImplementedError

    def embed(self, encoding: Tensor) -> Tensor:
        """The steps of one window, (batch, c, bands, steps) -> (batch, embedding_size)."""
        raise NotImplementedError

    def require_steps(self, least: int) -> None:
        """Refuse a window that gives `embed` fewer steps than it needs.

        Raises
        ------
        ConfigMismatchError
        """
        frames = self.time_context + (least - 1) * self.time_stride
        self.config.require_frames(frames, f"the network of {self.config.family} sees at least")

    @property
    def window_steps(self) -> int:
        """Steps of `encode` in one window."""
        return (self.config.window_frames - self.time_context) // self.time_stride + 1

    @property
    def window_onset_frames(self) -> int:
        """Frames of the onset curves in one window."""
        return self.config.window_frames - self.tempo_head.context_frames + 1

    def encode_frames(self, log_mel: Tensor) -> FrameFeatures:
        """The part that windows share: log_mel (batch, mels, frames) -> FrameFeatures."""
        return FrameFeatures(self.encode(log_mel), self.tempo_head.frames(log_mel))

    def decide(self, features: FrameFeatures) -> ModelOutput:
        """The part that looks at one window: features of `window_frames` frames -> ModelOutput."""
        embedding = self.embed(features.encoding)
        tempo_logits = self.tempo_head(features.onsets, embedding)
        return ModelOutput(self.genre_head(embedding), tempo_logits, embedding, self.kind_head(embedding))

    def forward(self, log_mel: Tensor) -> ModelOutput:
        """log_mel (batch, mels, window_frames), normalised as `LogMel` does -> ModelOutput."""
        return self.decide(self.encode_frames(log_mel))

    def unfamiliarity(self, embedding: Tensor) -> Tensor:
        """How far music is from what was learned: (batch, embedding_size) -> (batch,) in 0..1; 0 where not measured.

        The distance is Mahalanobis' to the nearest genre's centre (Lee et al., NeurIPS 2018).
        """
        familiarity = self.config.familiarity
        if familiarity is None:
            return super().unfamiliarity(embedding)
        return torch.sigmoid((self.distance(embedding) - familiarity.middle) / familiarity.width)

    def distance(self, embedding: Tensor) -> Tensor:
        """Distance to the nearest of `known_centres`, in standard deviations: (batch, embedding_size) -> (batch,)."""
        return torch.cdist(embedding @ self.whitening, self.known_centres).amin(1) / self.known_centres.shape[1] ** 0.5
