"""The step from a picture of music to its recording, as texture hears it: what no genre should depend on.

Pictures blur and coarsen what ripples are made of. The mean difference over music of which both are there, measured
without labels, is added to windows in training, by a random share of it: a model then hears the same in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from fluxbeat.models.texture import STRETCH_FRAMES, Texture
from fluxbeat.training.items import BLEND, PICTURE, RECORDING, Item

KINDS = 2
"""Pictures of an archive, and those that are simulated from recordings of the corpus."""
MOST_PAIRS = 200


@torch.no_grad()
def picture_steps(items: Sequence[Item], texture: Texture) -> Tensor:
    """Texture's values of recordings minus those of their pictures, mean over pairs, (KINDS, texture.size).

    0 where there are no pairs.
    """
    found = [
        [_mean(recording, texture) - _mean(picture, texture) for recording, picture in pairs]
        for pairs in (list(_archived(items)), list(_simulated(items)))
    ]
    return torch.stack([torch.stack(steps).mean(0) if steps else torch.zeros(texture.size) for steps in found])


def step_of(item: Item, is_picture: bool, share: float) -> np.ndarray:
    """How much of each step, float32 (KINDS,), takes a window by `share` of the way to the other side."""
    steps = np.zeros(KINDS, np.float32)
    if item.source in (PICTURE, RECORDING):
        steps[0] = share if item.source == PICTURE else -share
    elif item.picture is not None or item.source == BLEND:
        steps[1] = share if is_picture else -share
    return steps


def _archived(items: Sequence[Item]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    pictures = {item.item_id: item.log_mel for item in items if item.source == PICTURE}
    for item in items:
        if item.source == RECORDING and item.item_id in pictures:
            yield item.log_mel, pictures[item.item_id]


def _simulated(items: Sequence[Item]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    both = [(item.log_mel, item.picture) for item in items if item.picture is not None]
    yield from both[:: -(-len(both) // MOST_PAIRS) or 1]


def _mean(log_mel: np.ndarray, texture: Texture) -> Tensor:
    """(texture.size,), mean over stretches."""
    frames = torch.from_numpy(np.asarray(log_mel, dtype=np.float32))
    if frames.shape[1] < STRETCH_FRAMES:
        frames = frames.repeat(1, -(-STRETCH_FRAMES // frames.shape[1]))
    return texture.values(texture.cut(frames[None])[0]).mean(0)
