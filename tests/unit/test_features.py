"""The front end hears what librosa hears, in pieces as in one, at any level."""

from dataclasses import asdict, replace

import librosa
import numpy as np
import pytest

from fluxbeat.errors import ConfigMismatchError
from fluxbeat.features import log_mel
from fluxbeat.features.log_mel import FeatureConfig, LogMel

CONFIG = FeatureConfig()


def music(duration_s: float = 5.0, seed: int = 0) -> np.ndarray:
    """Chords that change, with noise bursts every half second."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(duration_s * CONFIG.sample_rate_hz)) / CONFIG.sample_rate_hz
    sound = sum(np.sin(2 * np.pi * hz * (1 + np.floor(t)) * t) / n for n, hz in enumerate((110, 220, 554), 1))
    sound += rng.standard_normal(len(t)) * np.exp(-8 * (t % 0.5))
    return (0.2 * sound).astype(np.float32)


def test_log_mel_equals_librosa():
    samples = music()
    expected = librosa.power_to_db(
        librosa.feature.melspectrogram(
            y=samples,
            sr=CONFIG.sample_rate_hz,
            n_fft=CONFIG.n_fft,
            win_length=CONFIG.window_samples,
            hop_length=CONFIG.hop_samples,
            n_mels=CONFIG.n_mels,
            fmin=CONFIG.f_min_hz,
            fmax=CONFIG.f_max_hz,
            pad_mode="constant",
        ),
        amin=1e-10,
        top_db=None,
    )
    ours = LogMel(CONFIG).from_blocks([samples])
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, atol=0.01)


def test_golden_values_of_a_tone_do_not_drift():
    t = np.arange(CONFIG.sample_rate_hz) / CONFIG.sample_rate_hz
    log_mel_db = LogMel(CONFIG).from_blocks([np.sin(2 * np.pi * 1000 * t).astype(np.float32)])
    middle = log_mel_db[:, log_mel_db.shape[1] // 2]
    band_hz = librosa.mel_frequencies(CONFIG.n_mels + 2, fmin=CONFIG.f_min_hz, fmax=CONFIG.f_max_hz)[1:-1]
    assert abs(band_hz[middle.argmax()] - 1000) < 50
    assert middle.max() - np.median(middle) > 60, "a tone stands far above the bands without it"


@pytest.mark.parametrize("block", [1, 999, 1000, 2048, 50_000])
def test_blocks_joined_equal_the_whole(block):
    samples = music(1.0 if block == 1 else 5.0)[: 5000 if block == 1 else None]
    front_end = LogMel(CONFIG)
    pieces = [samples[start : start + block] for start in range(0, len(samples), block)]
    whole = front_end.from_blocks([samples])
    np.testing.assert_allclose(front_end.from_blocks(pieces), whole, atol=1e-3)
    assert whole.shape[1] == 1 + len(samples) // CONFIG.hop_samples, "one frame at 0 s, then one every hop"


def test_loudness_does_not_count():
    samples = music(20.0)
    front_end = LogMel(CONFIG)
    np.testing.assert_allclose(front_end(samples), front_end(samples * 0.05), atol=0.02)


def test_normalised_music_is_centred_with_unit_deviation():
    normal = LogMel(CONFIG)(music(40.0))
    assert abs(normal.mean()) < 0.05
    assert abs(normal.std() - 1) < 0.05


@pytest.mark.parametrize("beside", ["silence", "something 40 dB louder"])
def test_features_depend_on_no_more_than_half_a_minute_around(beside):
    samples = music(60.0)
    front_end = LogMel(CONFIG)
    other = np.zeros_like(samples) if beside == "silence" else 100 * music(60.0, seed=1)
    alone = front_end(samples)
    joined = front_end(np.concatenate([other, samples, other]))[:, alone.shape[1] - 1 :]
    margin = round(15 * CONFIG.frame_rate_hz)
    inner = slice(margin, alone.shape[1] - margin)
    np.testing.assert_allclose(joined[:, inner], alone[:, inner], atol=1e-3)


def test_digital_silence_gives_zeros_and_no_active_frame():
    front_end = LogMel(CONFIG)
    log_mel_db = front_end.from_blocks([np.zeros(50_000, np.float32)])
    assert not front_end.active(log_mel_db).any()
    assert not front_end.normalise(log_mel_db).any()


def test_hash_changes_with_every_setting():
    settings = asdict(CONFIG)
    # whichever of the two leaves the settings in agreement with each other
    larger = {name: settings[name] * 2 for name in ("sample_rate_hz", "n_fft", "floor_db")}
    smaller = {name: type(value)(0.9 * value) for name, value in settings.items() if name not in larger}
    changed = {replace(CONFIG, **{name: value}).hash for name, value in {**larger, **smaller}.items()}
    assert len(changed | {CONFIG.hash}) == len(settings) + 1


def test_config_survives_being_stored():
    assert FeatureConfig.from_dict(CONFIG.to_dict()) == CONFIG


def test_other_features_are_refused_with_both_values():
    values = CONFIG.to_dict() | {"hop_samples": 512}
    with pytest.raises(ConfigMismatchError, match=CONFIG.hash) as refused:
        FeatureConfig.from_dict(values)
    assert replace(CONFIG, hop_samples=512).hash in str(refused.value)


def test_unknown_setting_is_refused():
    with pytest.raises(ConfigMismatchError, match="loudness"):
        FeatureConfig.from_dict(CONFIG.to_dict() | {"loudness": 3})


GOLDEN = {1: (0.8466, 0.9938, 0.7934)}
"""Three numbers of `music()` by the revision of the code that gives them."""


def test_the_revision_goes_up_when_the_numbers_change():
    """Whoever makes this fail has changed what models see: raise `log_mel.REVISION` and add the new numbers here."""
    normal = LogMel(CONFIG)(music())
    found = normal[10, 50], normal[40, 60], normal[70, 110]
    np.testing.assert_allclose(found, GOLDEN[log_mel.REVISION], atol=2e-3)


def test_the_hash_knows_the_revision_of_the_code(monkeypatch):
    before = CONFIG.hash
    monkeypatch.setattr(log_mel, "REVISION", log_mel.REVISION + 1)
    assert CONFIG.hash != before
    with pytest.raises(ConfigMismatchError, match="this program computes"):
        FeatureConfig.from_dict({**asdict(CONFIG), "hash": before})
