"""Recordings that share a passage are found wherever it lies in each; others are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from fluxbeat.features.log_mel import FeatureConfig
from fluxbeat.features.overlap import LONGEST_S, STEP_S, course, sharing

FEATURES = FeatureConfig()
RATE_HZ = FEATURES.frame_rate_hz


def music(seed: int, duration_s: float) -> np.ndarray:
    """Mel power in dB whose bands rise and fall by some 10 dB, each by itself, every second or so."""
    rng = np.random.default_rng(seed)
    moves = gaussian_filter1d(rng.standard_normal((FEATURES.n_mels, round(duration_s * RATE_HZ))), RATE_HZ / 3, axis=1)
    return (10 * moves / moves.std() - 30 - np.linspace(0, 20, FEATURES.n_mels)[:, None]).astype(np.float32)


def cut(
    log_mel_db: np.ndarray, start_s: float, end_s: float, gain_db: float = 0.0, noise_db: float = 2.0
) -> np.ndarray:
    """A passage at another level, with what a lossy format does to it."""
    part = log_mel_db[:, round(start_s * RATE_HZ) : round(end_s * RATE_HZ)] + gain_db
    return part + noise_db * np.random.default_rng(9).standard_normal(part.shape).astype(np.float32)


def found(*recordings: np.ndarray) -> list[tuple[int, int]]:
    return sharing([course(one, FEATURES) for one in recordings])


def test_two_excerpts_that_overlap_and_their_song_are_kept_together():
    song = music(0, 200.0)
    first, second = cut(song, 61.3, 91.3), cut(song, 68.8, 98.8, gain_db=-9.0)
    assert found(music(1, 200.0), first, second, music(2, 30.0)) == [(1, 2)]
    assert found(song, first, second) == [(0, 1), (0, 2), (1, 2)]


def test_pieces_without_a_common_passage_are_not_told_from_two_songs():
    song = music(3, 200.0)
    assert found(cut(song, 10.0, 40.0), cut(song, 120.0, 150.0)) == []


def test_many_songs_of_their_own_stay_apart():
    assert found(*(music(seed, 60.0) for seed in range(10, 40))) == []


@pytest.mark.parametrize("duration_s", [0.5, 3.0, 14.0])
def test_what_is_shorter_than_a_passage_shares_none(duration_s):
    short = cut(music(4, 60.0), 0.0, duration_s)
    assert found(short, short, music(4, 60.0)) == []
    assert sharing([]) == []
    assert sharing([np.zeros((0, 0), np.float32)] * 2) == []


def test_silence_and_a_steady_tone_share_nothing():
    silence = np.full((FEATURES.n_mels, round(60 * RATE_HZ)), FEATURES.floor_db, np.float32)
    tone = silence.copy()
    tone[20] = -10.0
    assert found(silence, silence, tone, tone) == []


def test_of_a_very_long_recording_the_beginning_is_looked_through():
    steps = course(music(5, 30.0).repeat(60, axis=1), FEATURES).shape[1]
    assert LONGEST_S - 5 <= steps * STEP_S <= LONGEST_S
