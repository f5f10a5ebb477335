"""What texture hears in patterns of which the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fluxbeat.models.texture import RIPPLE_RATES, RIPPLE_SCALES, STRETCH_FRAMES, Texture

N_MELS, FRAME_RATE_HZ = 80, 21.0
TURN = 2 * np.pi


@pytest.fixture(scope="module")
def texture() -> Texture:
    return Texture(N_MELS, FRAME_RATE_HZ).eval()


def ripple(rate: float, scale: float) -> Tensor:
    """(1, mels, frames): `rate` cycles per stretch, `scale` cycles over all bands; it rises where both are positive."""
    frames, bands = np.arange(STRETCH_FRAMES), np.arange(N_MELS)[:, None]
    pattern = np.cos(TURN * (rate * frames / STRETCH_FRAMES - scale * bands / N_MELS))
    return torch.tensor(pattern[None], dtype=torch.float32)


def ripple_power(texture: Texture, log_mel: Tensor) -> tuple[Tensor, Tensor]:
    """Power of falling and of rising ripples, (zones and scales, rates) each."""
    frames, ranges = log_mel.shape[-1], len(texture.modulations)
    _, cosine, sine = (log_mel @ texture.filters).split([frames, ranges, ranges], -1)
    falling, rising = texture._ripple_power(cosine, sine)
    return falling[0], rising[0]


@pytest.mark.parametrize("rate", [2, 5, 10])
@pytest.mark.parametrize("scale", [4, 10])
def test_ripples_that_rise_are_told_from_those_that_fall(texture: Texture, rate: int, scale: int) -> None:
    falling, rising = ripple_power(texture, ripple(rate, scale))
    assert rising.max() > 100 * falling.max()
    falling, rising = ripple_power(texture, ripple(rate, -scale))
    assert falling.max() > 100 * rising.max()


def test_a_ripple_is_found_at_its_rate_and_scale(texture: Texture) -> None:
    """Of the zones the last is all bands, of which scales come in order."""
    _, rising = ripple_power(texture, ripple(5, 10))
    of_all_bands = rising[-(len(RIPPLE_SCALES) - 2) :]  # without 0 cycles, which do not rise
    scale, rate = np.unravel_index(int(of_all_bands.argmax()), of_all_bands.shape)
    assert RIPPLE_SCALES[scale + 1] <= 10 < RIPPLE_SCALES[scale + 2]
    assert RIPPLE_RATES[rate] <= 5 < RIPPLE_RATES[rate + 1]


def test_what_does_not_move_has_no_ripples(texture: Texture) -> None:
    steady = torch.linspace(-1, 1, N_MELS)[None, :, None].expand(1, N_MELS, STRETCH_FRAMES)
    falling, rising = ripple_power(texture, steady)
    assert max(falling.max(), rising.max()) < 1e-6


def test_a_ripple_says_the_same_wherever_its_crests_are(texture: Texture) -> None:
    """Power has no phase."""
    here, there = (
        torch.cat(ripple_power(texture, pattern)) for pattern in (ripple(4, 10), ripple(4, 10).roll(4, dims=-1))
    )
    torch.testing.assert_close(here, there, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("n_mels", "frame_rate_hz"), [(80, 21.0), (64, 42.0), (20, 21.0), (13, 10.0)])
def test_every_front_end_has_its_texture(n_mels: int, frame_rate_hz: float) -> None:
    own = Texture(n_mels, frame_rate_hz).eval()
    values = own(torch.randn(2, n_mels, 3 * STRETCH_FRAMES))
    assert values.shape[-1] == own.size
    assert torch.isfinite(values).all()
