"""What a model says without parts of a sound: the part that counts is found, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fluxbeat.errors import AnalysisCancelled
from fluxbeat.explanation.occlusion import TIMES, on_bands, register_of, sound_evidence
from fluxbeat.explanation.regions import REGISTERS

RATE_HZ, DURATION_S = 16_000, 6.0


def level_between(low_hz: float, high_hz: float, start_s: float, end_s: float):
    """A model whose answer is the level of one place of the sound, in bels."""

    def ask(sounds: Tensor) -> Tensor:
        part = sounds[:, round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
        power = torch.fft.rfft(part, dim=1).abs() ** 2
        hz = torch.fft.rfftfreq(part.shape[1], 1 / RATE_HZ)
        return torch.log10(power[:, (hz >= low_hz) & (hz < high_hz)].sum(1) + 1e-6)

    return ask


@pytest.mark.parametrize(
    ("place", "register", "column"),
    [((600.0, 1800.0, 2.2, 2.8), 2, 2), ((40.0, 120.0, 5.2, 5.8), 0, 5), ((5500.0, 7900.0, 0.2, 0.8), 4, 0)],
)
def test_the_part_that_the_answer_hangs_on_is_found(place, register, column):
    noise = np.random.default_rng(0).normal(0, 0.1, round(RATE_HZ * DURATION_S)).astype(np.float32)
    evidence, whole = sound_evidence(level_between(*place), noise, RATE_HZ)
    assert evidence.shape == (len(REGISTERS), TIMES)
    assert np.unravel_index(evidence.argmax(), evidence.shape) == (register, column)
    others = np.delete(evidence.ravel(), register * TIMES + column)
    assert evidence.max() > 1.0 > 20 * np.abs(others).max()
    assert whole == pytest.approx(float(level_between(*place)(torch.from_numpy(noise[None]))[0]))


def test_what_makes_no_difference_speaks_for_nothing():
    sound = np.random.default_rng(1).normal(0, 0.1, 40_000).astype(np.float32)
    evidence, whole = sound_evidence(lambda sounds: torch.full((len(sounds),), 0.7), sound, RATE_HZ)
    assert whole == pytest.approx(0.7) and not evidence.any()


def test_each_question_is_told_before_it_is_asked_and_who_has_enough_ends_it():
    sound, told, asked = np.zeros(20_000, np.float32), list[float](), list[int]()

    def ask(sounds: Tensor) -> Tensor:
        asked.append(len(sounds))
        return torch.zeros(len(sounds))

    sound_evidence(ask, sound, RATE_HZ, lambda share, doing: told.append(share))
    assert len(told) == len(asked) and told[0] == 0.0 and told == sorted(set(told)) and told[-1] < 1.0
    before = len(asked)

    def leave(share: float, doing: str) -> None:
        if share > 0.1:
            raise AnalysisCancelled("enough")

    with pytest.raises(AnalysisCancelled):
        sound_evidence(ask, sound, RATE_HZ, leave)
    assert len(asked) - before < before / 2


def test_parts_spread_over_bands_and_frames_keep_their_sum():
    band_hz = np.geomspace(50, 11_000, 80)
    evidence = np.arange(len(REGISTERS) * TIMES, dtype=np.float32).reshape(len(REGISTERS), TIMES)
    spread = on_bands(evidence, band_hz, 700)
    assert spread.shape == (80, 700)
    assert spread.sum() == pytest.approx(evidence.sum(), rel=1e-4)
    assert spread[register_of(band_hz) == 3, -1].sum() * 116 == pytest.approx(evidence[3, -1], rel=0.02)
    assert register_of(np.array([149.0, 150.0, 4999.0, 20_000.0])).tolist() == [0, 1, 3, 4]
