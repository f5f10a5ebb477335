"""Windows cover a whole track, and sharing their convolutions changes nothing."""

import threading

import numpy as np
import pytest
import torch
from tiny_models import tiny

from fluxbeat.analysis.windows import slide, window_starts
from fluxbeat.errors import AnalysisCancelled, FluxBeatError
from fluxbeat.features.log_mel import FeatureConfig, fill_window
from fluxbeat.models.checkpoint import FAMILIES
from fluxbeat.training.evaluation.timings import threads


def spectrogram(frames: int, mels: int = 80) -> np.ndarray:
    return np.random.default_rng(frames).standard_normal((mels, frames)).astype(np.float32)


@pytest.mark.parametrize("family", FAMILIES)
def test_shared_convolutions_equal_window_by_window(family):
    model = tiny(family)
    rate_hz, window = model.config.features.frame_rate_hz, model.config.window_frames
    # longer than one chunk of shared convolutions, so that their seams are crossed; the last window is off the grid
    log_mel = spectrogram(48 * 66 + window + 5)
    found = slide(model, log_mel, hop_s=2.0)
    starts = np.round(found.start_s * rate_hz).astype(int)
    assert starts[-1] + window == log_mel.shape[1], "the last window ends with the track"
    one_by_one = torch.stack([torch.from_numpy(log_mel[:, start : start + window]) for start in starts])
    with torch.inference_mode():
        expected = model(one_by_one)
    np.testing.assert_allclose(found.genre_logits, expected.genre_logits, atol=2e-4)
    np.testing.assert_allclose(found.tempo_logits, expected.tempo_logits, atol=2e-4)
    np.testing.assert_allclose(found.embedding, expected.embedding, atol=2e-4)


@pytest.mark.parametrize("n_frames", [168, 169, 175, 400, 1000, 12_345])
@pytest.mark.parametrize("hop", [1, 8, 24, 50])
def test_windows_cover_every_frame_and_end_with_the_track(n_frames, hop):
    starts = window_starts(n_frames, 168, hop)
    covered = np.zeros(n_frames, bool)
    for start in starts:
        covered[start : start + 168] = True
    assert covered.all()
    assert starts[0] == 0
    assert starts[-1] + 168 == n_frames
    assert (np.diff(starts)[:-1] == hop).all()


@pytest.mark.parametrize(("asked_s", "done_s"), [(1.0, 1.0), (0.4, 1 / 3), (0.6, 2 / 3), (0.05, 1 / 3), (2.1, 2.0)])
def test_the_hop_that_is_told_is_the_hop_that_was_done(asked_s, done_s):
    found = slide(tiny("cnn"), spectrogram(24 * 60), hop_s=asked_s)
    assert found.hop_s == pytest.approx(done_s)
    np.testing.assert_allclose(np.diff(found.start_s[:-1]), done_s)


def test_short_track_is_repeated_to_fill_a_window():
    found = slide(tiny("cnn"), spectrogram(30))
    assert found.padded
    assert len(found.start_s) == 1
    assert np.isfinite(found.genre_logits).all()


@pytest.mark.parametrize("quiet_frames", [0, 1, 7, 50])
def test_what_is_repeated_holds_no_silence_and_keeps_its_time(quiet_frames):
    sounding = spectrogram(30)
    assert (sounding.max(axis=0) > 0).all()
    log_mel = np.concatenate([np.full((len(sounding), quiet_frames), -4, np.float32), sounding], axis=1)
    found, full = fill_window(log_mel, 240, FeatureConfig()), quiet_frames + 2  # frames of 85 ms every 42 ms
    assert found.shape == (len(sounding), 240)
    np.testing.assert_array_equal(found[:, full : len(log_mel[0])], log_mel[:, full:])
    np.testing.assert_array_equal(found[:, 28:], found[:, :-28])  # one length over and over


def test_silence_fills_a_window_with_silence():
    assert not fill_window(np.zeros((80, 5), np.float32), 240, FeatureConfig()).any()


def test_later_music_moves_with_its_time():
    """A track with 10 s cut off its front gives the same windows, 10 s earlier."""
    model, log_mel = tiny("cnn"), spectrogram(24 * 40)
    whole, later = slide(model, log_mel), slide(model, log_mel[:, 240:])
    np.testing.assert_allclose(whole.genre_logits[10:], later.genre_logits, atol=2e-4)


def test_threads_share_the_windows_of_a_track_and_change_nothing():
    model, log_mel, names = tiny("cnn"), spectrogram(24 * 60 + 5), []
    model.stack.register_forward_hook(lambda *_: names.append(threading.current_thread().name))
    with threads(1):
        alone = slide(model, log_mel)
    assert set(names) == {threading.current_thread().name}
    names.clear()
    with threads(3):
        shared = slide(model, log_mel)
    assert len(names) > 3
    assert threading.current_thread().name not in names
    np.testing.assert_allclose(shared.genre_logits, alone.genre_logits, atol=2e-4)
    np.testing.assert_allclose(shared.tempo_logits, alone.tempo_logits, atol=2e-4)


def test_progress_rises_to_one_and_cancels():
    shares = []
    slide(tiny("cnn"), spectrogram(3000), progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0

    def stop(share):
        raise AnalysisCancelled("no longer wanted")

    with pytest.raises(AnalysisCancelled):
        slide(tiny("cnn"), spectrogram(3000), progress=stop)


def test_hop_must_be_positive():
    with pytest.raises(FluxBeatError, match="hop_s must be above 0, got 0"):
        slide(tiny("cnn"), spectrogram(300), hop_s=0)
