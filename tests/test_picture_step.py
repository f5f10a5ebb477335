"""What a picture changes in texture is measured on pairs; a window is moved towards the other side of its own pair."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fluxbeat.models.texture import Texture
from fluxbeat.training.items import Item
from fluxbeat.training.picture_step import picture_steps, step_of


@pytest.fixture(scope="module")
def texture() -> Texture:
    return Texture(80, 21.0).eval()


def music(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((80, 200)).astype(np.float32)


def blurred(log_mel: np.ndarray) -> np.ndarray:
    return (log_mel + np.roll(log_mel, 1, axis=1)) / 2


def archived(seeds: range) -> list[Item]:
    """Recordings, and their pictures as items of the same name."""
    recordings = [Item(f"clip {seed}", music(seed), ("rock",), None, source="recording") for seed in seeds]
    pictures = [Item(f"clip {seed}", blurred(music(seed)), ("rock",), None, source="picture") for seed in seeds]
    return recordings + pictures


def simulated(seeds: range) -> list[Item]:
    return [
        Item(f"song {seed}", music(seed), None, None, source="free", picture=blurred(music(seed))) for seed in seeds
    ]


def values(texture: Texture, log_mel: np.ndarray) -> torch.Tensor:
    return texture.values(texture.cut(torch.from_numpy(log_mel)[None])[0]).mean(0)


@pytest.mark.parametrize(("made", "kind"), [(archived, 0), (simulated, 1)])
def test_the_step_leads_from_unseen_pictures_to_their_recordings(texture: Texture, made, kind: int) -> None:
    steps = picture_steps(made(range(20)), texture)
    assert not steps[1 - kind].any()  # of the other kind there are no pairs
    recording, picture = values(texture, music(99)), values(texture, blurred(music(99)))
    assert (picture + steps[kind] - recording).norm() < 0.3 * (picture - recording).norm()


def test_music_without_pictures_is_not_moved(texture: Texture) -> None:
    alone = [Item("song", music(0), ("rock",), None)]
    assert not picture_steps(alone, texture).any()
    assert picture_steps([], texture).shape == (2, texture.size)


def test_a_window_is_moved_to_the_other_side() -> None:
    recording, picture = archived(range(1))
    song = simulated(range(1))[0]
    assert step_of(recording, False, 0.5).tolist() == [-0.5, 0]
    assert step_of(picture, False, 0.5).tolist() == [0.5, 0]
    assert step_of(song, True, 0.5).tolist() == [0, 0.5]
    assert step_of(song, False, 0.5).tolist() == [0, -0.5]
    assert step_of(Item("blend.0.1", music(0), None, None, source="blend"), False, 0.5).tolist() == [0, -0.5]
    assert not step_of(Item("groove", music(0), ("rock",), 120.0, source="groove"), False, 0.5).any()


def test_a_shift_moves_every_stretch_of_its_window(texture: Texture) -> None:
    windows = torch.from_numpy(np.stack([music(0), music(1)]))[..., :168]
    shift = torch.zeros(2, texture.size)
    shift[1, 3] = 0.25
    moved, as_it_is = texture(windows, shift), texture(windows)
    assert torch.equal(moved[0], as_it_is[0])
    torch.testing.assert_close((moved - as_it_is)[1, :, 3], torch.full((moved.shape[1],), 0.25), rtol=1e-3, atol=1e-3)
    assert torch.equal(moved[1, :, 4:], as_it_is[1, :, 4:])
