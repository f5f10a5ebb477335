"""Two views of the same music: what SimCLR learns to recognise as the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from fluxbeat.errors import FluxBeatError
from fluxbeat.training.augment import (
    AugmentConfig,
    colour,
    crop_and_stretch,
    generator_from_torch,
    mix,
    shift_pitch,
)
from fluxbeat.training.items import Item
from fluxbeat.training.sampling import Draw


@dataclass(frozen=True)
class SimclrConfig:
    """How views are made and compared.

    Attributes
    ----------
    temperature : float
        What cosine similarities are divided by, above 0; small ones make the most similar strangers count most.
    projection_size : int
        Size of the space in which views are compared; it is thrown away after training.
    max_distance_s : float
        Largest distance between the starts of two views of the same music.
    picture_probability : float
        How often one of the views is the item's picture, where it has one.
    overlay_probability : float
        How often another clip sounds under a view.
    overlay_db : tuple of (float, float)
        By how much that clip is softer: least and most.
    """

    temperature: float = 0.2
    projection_size: int = 64
    max_distance_s: float = 16.0
    picture_probability: float = 0.5
    overlay_probability: float = 0.3
    overlay_db: tuple[float, float] = (6.0, 20.0)

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise FluxBeatError(f"simclr.temperature must be above 0, got {self.temperature}: 0.1 to 0.5 are usual")
        if self.max_distance_s < 0:
            raise FluxBeatError(f"simclr.max_distance_s must be 0 or more, got {self.max_distance_s}")


class ViewDataset(Dataset[tuple[Tensor, Tensor]]):
    """Two windows of the same music, each changed in its own way.

    A place gives two tensors of shape (mels, window_frames). A `Draw` decides its randomness itself; for a plain index
    torch does.

    Parameters
    ----------
    items : sequence of Item
        Labels play no part.
    augment : AugmentConfig
        How strongly each view is changed; its stripes and blends are not made here.
    config : SimclrConfig
    window_frames : int
        Length of a view.
    frame_rate_hz : float
        Frames per second of the items.
    """

    def __init__(
        self,
        items: Sequence[Item],
        augment: AugmentConfig,
        config: SimclrConfig,
        window_frames: int,
        frame_rate_hz: float,
    ):
        self.items, self.augment, self.config, self.window_frames = items, augment, config, window_frames
        longest = window_frames * 2.0**augment.stretch_octaves
        self.excerpt_frames = round(longest + config.max_distance_s * frame_rate_hz)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, draw: int | Draw) -> tuple[Tensor, Tensor]:
        index, rng = (draw.item, draw.generator()) if isinstance(draw, Draw) else (draw, generator_from_torch())
        item = self.items[index]
        start = int(rng.integers(max(item.log_mel.shape[1] - self.excerpt_frames, 0) + 1))
        # the loss is symmetric: which of the two is the picture makes no difference
        as_picture = item.picture is not None and rng.random() < self.config.picture_probability
        first = self._excerpt(item.log_mel, start)
        second = self._excerpt(item.picture, start) if as_picture and item.picture is not None else first
        return self._view(first, index, rng), self._view(second, index, rng)

    def _excerpt(self, log_mel: np.ndarray, start: int) -> np.ndarray:
        return log_mel[:, start : start + self.excerpt_frames].astype(np.float32)

    def _view(self, excerpt: np.ndarray, index: int, rng: np.random.Generator) -> Tensor:
        window = self._window(excerpt, rng)
        if len(self.items) > 1 and rng.random() < self.config.overlay_probability:
            other = self.items[(index + int(rng.integers(1, len(self.items)))) % len(self.items)].log_mel
            start = int(rng.integers(max(other.shape[1] - self.excerpt_frames, 0) + 1))
            window, _ = mix(
                window, self._window(self._excerpt(other, start), rng), rng.uniform(*self.config.overlay_db)
            )
        return torch.from_numpy(colour(window, self.augment, rng))

    def _window(self, excerpt: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        window, _ = crop_and_stretch(excerpt, self.window_frames, self.augment.stretch_octaves, rng)
        return shift_pitch(window, rng.uniform(-self.augment.shift_bands, self.augment.shift_bands))
