"""Windows cover a whole track, and sharing their convolutions changes nothing."""

import numpy as np
import pytest
import torch

from fluxbeat.analysis.windows import slide, window_starts
from fluxbeat.errors import AnalysisCancelled
from fluxbeat.models import FAMILIES, ModelConfig, build_model


def fresh(family: str):
    torch.manual_seed(3)
    return build_model(ModelConfig(family, ("a", "b"), (0.5, 0.5))).eval()


def spectrogram(frames: int, mels: int = 80) -> np.ndarray:
    return np.random.default_rng(frames).standard_normal((mels, frames)).astype(np.float32)


@pytest.mark.parametrize("family", FAMILIES)
def test_fast_path_equals_window_by_window(family):
    model = fresh(family)
    rate_hz, window = model.config.features.frame_rate_hz, model.config.window_frames
    # longer than one chunk of shared convolutions, so that their seams are crossed
    log_mel = spectrogram(model.time_stride * 600 + window + 1)
    found = slide(model, log_mel, hop_s=2.0)
    padded = np.pad(log_mel, ((0, 0), (0, model.time_stride)), mode="edge")
    starts = np.round(found.start_s * rate_hz).astype(int)
    one_by_one = torch.stack([torch.from_numpy(padded[:, start : start + window]) for start in starts])
    with torch.inference_mode():
        expected = model(one_by_one)
    np.testing.assert_allclose(found.genre_logits, expected.genre_logits, atol=2e-4)
    np.testing.assert_allclose(found.tempo_logits, expected.tempo_logits, atol=2e-4)
    np.testing.assert_allclose(found.embedding, expected.embedding, atol=2e-4)


@pytest.mark.parametrize("n_frames", [168, 169, 170, 171, 400, 1000, 12_345])
@pytest.mark.parametrize("hop", [1, 7.5, 21, 50])
def test_windows_cover_every_frame(n_frames, hop):
    starts = window_starts(n_frames, 168, hop, 3)
    covered = np.zeros(n_frames + 3, bool)
    for start in starts:
        covered[start : start + 168] = True
    assert covered[:n_frames].all()
    assert starts[-1] + 168 - n_frames < 3
    assert (starts % 3 == 0).all()
    assert (np.diff(starts) > 0).all()


def test_hop_of_one_second_is_one_second():
    found = slide(fresh("cnn"), spectrogram(21 * 60), hop_s=1.0)
    np.testing.assert_allclose(np.diff(found.start_s[:-1]), 1.0)


def test_short_track_is_repeated_to_fill_a_window():
    found = slide(fresh("cnn"), spectrogram(30))
    assert found.padded
    assert len(found.start_s) == 1
    assert np.isfinite(found.genre_logits).all()


def test_later_music_moves_with_its_time():
    """A track with 10 s cut off its front gives the same windows, 10 s earlier."""
    model, log_mel = fresh("cnn"), spectrogram(21 * 40)
    whole, later = slide(model, log_mel), slide(model, log_mel[:, 210:])
    np.testing.assert_allclose(whole.genre_logits[10:], later.genre_logits, atol=2e-4)


def test_progress_rises_to_one_and_cancels():
    shares = []
    slide(fresh("cnn"), spectrogram(3000), progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0

    def stop(share):
        raise AnalysisCancelled("no longer wanted")

    with pytest.raises(AnalysisCancelled):
        slide(fresh("cnn"), spectrogram(3000), progress=stop)


def test_hop_must_be_positive():
    with pytest.raises(ValueError, match="hop_s"):
        slide(fresh("cnn"), spectrogram(300), hop_s=0)
