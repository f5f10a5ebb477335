"""Accompaniments rendered by MMA and FluidSynth have the tempo they were rendered at."""

import shutil

import numpy as np
import pytest

from fluxbeat.cli import main
from fluxbeat.features import FeatureConfig
from fluxbeat.training.corpus import read_corpus

CONFIG = FeatureConfig()


@pytest.fixture(scope="module")
def grooves(tmp_path_factory):
    assert shutil.which("mma") and shutil.which("fluidsynth"), "apt-get install mma fluidsynth timgm6mb-soundfont"
    folder = tmp_path_factory.mktemp("corpus")
    assert main(["corpus", "grooves", "--output", str(folder), "--count", "6", "--seed", "3"]) == 0
    return list(read_corpus(folder, CONFIG)) + list(read_corpus(folder, CONFIG, split="test"))


def test_grooves_teach_tempo_and_no_genre(grooves):
    assert len(grooves) == 6
    for item in grooves:
        assert item.source == "groove"
        assert item.labels is None
        assert 60 <= item.tempo_bpm <= 190
        assert item.log_mel.shape == (CONFIG.n_mels, pytest.approx(24 * CONFIG.frame_rate_hz, abs=2))


def test_grooves_repeat_at_their_beat(grooves):
    """The autocorrelation of the onsets at one, two or four beats stands out among all lags."""
    ranks = []
    for item in grooves:
        onsets = np.maximum(np.diff(item.log_mel.astype(np.float64), axis=1), 0).sum(axis=0)
        onsets -= onsets.mean()
        n = len(onsets)
        correlation = np.correlate(onsets, onsets, "full")[n - 1 :] / np.arange(n, 0, -1)
        beat = 60 / item.tempo_bpm * CONFIG.frame_rate_hz
        found = max(correlation[round(beat * k) - 1 : round(beat * k) + 2].max() for k in (1, 2, 4))
        ranks.append((correlation[4 : round(4.5 * beat)] <= found).mean())
    assert np.median(ranks) > 0.9
