"""Losses are what they claim: each against a derivation of its own, and silent where nothing is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fluxbeat.errors import FluxBeatError
from fluxbeat.models.tempo import TempoGrid
from fluxbeat.training.losses import tempo_loss, tempo_targets
from fluxbeat.training.tasks.simclr import nt_xent, recognised
from fluxbeat.training.tasks.supervised import genre_loss
from fluxbeat.training.tasks.teaching import TeacherHeads, as_logit

GRID = TempoGrid()


def test_genre_loss_is_what_softmax_and_sigmoid_say_by_hand():
    logits, shares = [[2.0, 0.0, -1.0], [0.5, 1.5, 0.0]], [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]
    by_hand = 0.0
    for row, share in zip(logits, shares, strict=True):
        total = sum(math.exp(value) for value in row)
        by_hand -= sum(part * math.log(math.exp(value) / total) for part, value in zip(share, row, strict=True))
        for part, value in zip(share, row, strict=True):
            present, chance = min(2 * part, 1.0), 1 / (1 + math.exp(-value))
            by_hand -= 0.3 * (present * math.log(chance) + (1 - present) * math.log(1 - chance))
    found = genre_loss(torch.tensor(logits), torch.tensor(shares), torch.ones(2))
    assert found.item() == pytest.approx(by_hand / 2, rel=1e-5)


def test_what_nobody_knows_costs_nothing_and_silence_of_genre_is_known_of_speech():
    logits = torch.tensor([[50.0, -50.0]])
    assert genre_loss(logits, torch.zeros(1, 2), torch.zeros(1)).item() == 0
    assert genre_loss(logits, torch.zeros(1, 2), torch.ones(1)).item() == pytest.approx(0.3 * 50, rel=1e-4)


def test_tempo_targets_are_distributions_around_the_truth():
    targets = tempo_targets(np.array([120.0, 240.0, np.nan, 20.0, np.nan]), np.array([1, 1, 1, 1, 0], bool), GRID)
    assert targets.sum(axis=1) == pytest.approx([1, 1, 0, 0, 1])
    assert GRID.bpm[targets[0].argmax()] == pytest.approx(120, rel=0.01)
    assert targets[1].argmax() - targets[0].argmax() == pytest.approx(GRID.bins_per_octave, abs=1)
    assert targets[4] == pytest.approx(1 / GRID.bins)


def test_tempo_loss_is_cross_entropy_over_known_rows_only():
    targets = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    logits = torch.tensor([[0.0, math.log(2), 0.0], [9.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    by_hand = (math.log(4) - math.log(2) + math.log(3)) / 2
    assert tempo_loss(logits, targets).item() == pytest.approx(by_hand, abs=1e-6)
    assert tempo_loss(logits, torch.zeros(3, 3)).item() == 0


def test_teachers_are_matched_as_standardised_log_odds():
    """A head that says the mean misses a class by as many deviations as the teacher is away from it."""
    heads = TeacherHeads(4, {"msd": torch.tensor([-2.0, 1.0])}, {"msd": torch.tensor([1.0, 0.5])})
    torch.nn.init.zeros_(heads.heads["msd"].weight)
    torch.nn.init.zeros_(heads.heads["msd"].bias)
    answer = torch.sigmoid(torch.tensor([[0.0, 2.0]]))
    by_hand = ((2.0 / 1.0) ** 2 + (1.0 / 0.5) ** 2) / 2
    assert heads(torch.zeros(1, 4), {"msd": answer})["msd"].item() == pytest.approx(by_hand, rel=1e-5)
    assert as_logit(torch.tensor(0.0)).item() == pytest.approx(-math.log(9999), rel=1e-4), "bounded"


def by_the_paper(first: np.ndarray, second: np.ndarray, temperature: float) -> float:
    """Algorithm 1 of Chen et al. 2020, pair by pair."""
    n = len(first)
    z = [view for pair in zip(first, second, strict=True) for view in pair]  # z[2k - 1], z[2k] there
    s = [[float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))) for b in z] for a in z]

    def pair_loss(i: int, j: int) -> float:
        others = sum(math.exp(s[i][k] / temperature) for k in range(2 * n) if k != i)
        return -math.log(math.exp(s[i][j] / temperature) / others)

    return sum(pair_loss(2 * k, 2 * k + 1) + pair_loss(2 * k + 1, 2 * k) for k in range(n)) / (2 * n)


@pytest.fixture
def views():
    rng = np.random.default_rng(0)
    return rng.standard_normal((7, 5)), rng.standard_normal((7, 5))


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_the_contrastive_loss_is_the_papers(views, temperature):
    first, second = views
    found = nt_xent(torch.from_numpy(first), torch.from_numpy(second), temperature)
    assert found.item() == pytest.approx(by_the_paper(first, second, temperature), rel=1e-5)


def test_the_contrastive_loss_does_not_ask_which_view_is_first_nor_how_long_it_is(views):
    first, second = map(torch.from_numpy, views)
    one = nt_xent(first, second, 0.2)
    torch.testing.assert_close(nt_xent(second, first, 0.2), one)
    lengths = torch.linspace(0.1, 50, 7)[:, None]
    torch.testing.assert_close(nt_xent(first * lengths, second * 3, 0.2), one)


@pytest.mark.parametrize("n", [2, 16])
def test_views_that_all_look_the_same_cost_the_logarithm_of_the_others(n):
    same = torch.ones(n, 3)
    assert nt_xent(same, same, 0.1).item() == pytest.approx(math.log(2 * n - 1), rel=1e-5)


def test_the_contrastive_loss_is_lower_where_views_of_the_same_music_agree(views):
    first, second = map(torch.from_numpy, views)
    agreeing = [nt_xent(first, first + noise * second, 0.2).item() for noise in (0.0, 0.3, 1.0, 3.0)]
    assert agreeing == sorted(agreeing)
    assert agreeing[0] < nt_xent(first, first.roll(1, 0), 0.2).item()
    assert recognised(first, first) == 1
    assert recognised(first, first.roll(1, 0)) == 0


def test_what_cannot_be_compared_is_refused(views):
    first, second = map(torch.from_numpy, views)
    with pytest.raises(FluxBeatError, match="same shape"):
        nt_xent(first, second[:3], 0.2)
    with pytest.raises(FluxBeatError, match="temperature must be above 0"):
        nt_xent(first, second, 0.0)
