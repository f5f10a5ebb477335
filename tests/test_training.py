"""Training: labels stay true, losses are what they claim, a run resumes, and evaluation counts right."""

import csv
import math

import numpy as np
import pytest
import torch

from fluxbeat.errors import FluxBeatError
from fluxbeat.features import FeatureConfig, LogMel
from fluxbeat.models import TempoGrid, load_checkpoint
from fluxbeat.training.augment import AugmentConfig, blend, colour, crop_and_stretch, mask_stripes, mix
from fluxbeat.training.calibration import fit_calibration, fit_thresholds
from fluxbeat.training.evaluate import TEMPO_FACTORS, interval, share, tempo_hit
from fluxbeat.training.items import Item, label_targets
from fluxbeat.training.losses import genre_loss, tempo_loss, tempo_targets
from fluxbeat.training.pictures import picture_to_log_mel, read_archive
from fluxbeat.training.recipe import read_recipe
from fluxbeat.training.run import train
from fluxbeat.training.synthetic import PATTERNS, beatless, rhythm

GRID = TempoGrid()


def beat_frames(tempo_bpm: float, frames: int = 630, rate_hz: float = 21.0) -> np.ndarray:
    """A spectrogram that swells once a beat."""
    wave = np.cos(2 * np.pi * tempo_bpm / 60 * np.arange(frames) / rate_hz)
    return np.tile(wave, (80, 1)).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_stretching_moves_the_tempo_label_along(seed):
    rng = np.random.default_rng(seed)
    window, rate = crop_and_stretch(beat_frames(100), 252, 0.3, rng)
    spectrum = np.abs(np.fft.rfft(window[0] * np.hanning(252), 8192))
    heard_bpm = 60 * np.fft.rfftfreq(8192, 1 / 21)[spectrum.argmax()]
    assert heard_bpm == pytest.approx(100 * rate, rel=0.02)


def test_mix_holds_both_and_its_share_follows_the_gain():
    rng = np.random.default_rng(0)
    low, high = rng.standard_normal((80, 168)), rng.standard_normal((80, 168))
    low[40:] -= 4
    high[:40] -= 4
    for gain_db, expected in ((0, 0.5), (10, 10 / 11), (-10, 1 / 11)):
        together, part = mix(low, high, gain_db)
        assert part == pytest.approx(expected)
        assert np.corrcoef(together[:40].ravel(), low[:40].ravel())[0, 1] > 0.9
        assert np.corrcoef(together[40:].ravel(), high[40:].ravel())[0, 1] > 0.9


def test_blend_blends_labels_as_it_blends_music():
    torch.manual_seed(0)
    log_mel, targets = torch.eye(6).reshape(6, 2, 3), torch.eye(6)
    blended, labels, known = blend(log_mel, targets, torch.ones(6, 6), 0.4)
    torch.testing.assert_close(blended.flatten(1), labels)
    torch.testing.assert_close(labels.sum(1), torch.ones(6))
    assert (labels.diagonal() >= 0.5).all()
    assert known.all()


def test_masks_hide_no_more_than_they_may():
    torch.manual_seed(0)
    masked = mask_stripes(torch.ones(16, 80, 168), 0.1)
    assert (masked == 0).any()
    assert ((masked == 0).float().mean((1, 2)) <= 1 - 0.8 * 0.8 + 0.03).all()


def test_augmentation_off_changes_nothing():
    off = AugmentConfig(**dict.fromkeys(AugmentConfig.__dataclass_fields__, 0.0))
    window = beat_frames(120)[:, :168]
    np.testing.assert_allclose(colour(window, off, np.random.default_rng(0)), window, atol=1e-6)


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


def test_genre_loss_ignores_what_is_not_known():
    targets, known = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    assert genre_loss(torch.tensor([[0.0, 50.0]]), targets, known).item() == pytest.approx(math.log(2))


def item(source: str, *labels: str) -> Item:
    return Item("x", np.zeros((80, 200), np.float32), labels or None, None, source=source)


def test_a_source_that_lacks_a_genre_teaches_none():
    items = [item("picture", "jazz"), item("picture", "rock"), item("recording", "jazz"), item("synthetic")]
    targets, known = label_targets(items, ("jazz", "rock"))
    assert known.tolist() == [[1, 1], [1, 1], [0, 0], [0, 0]]
    assert targets[:2].tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_drawn_rhythms_have_their_tempo(pattern):
    *_, slowest, fastest = PATTERNS[pattern]
    tempo_bpm = (slowest * fastest) ** 0.5
    samples = rhythm(tempo_bpm, pattern, 20.0, np.random.default_rng(3), 22_050)
    onset = np.maximum(np.diff(LogMel(FeatureConfig())(samples).mean(axis=0)), 0)
    strength = np.abs(np.fft.rfft(onset - onset.mean(), 2**14))
    at = np.fft.rfftfreq(2**14, 1 / 21) * 60
    multiples = [strength[np.abs(at - tempo_bpm * k).argmin()] for k in (0.25, 0.5, 1, 2, 3)]
    assert max(multiples) > 4 * np.median(strength), "the rhythm's spectrum has no line at the tempo or its multiples"


def test_beatless_sounds_are_audible_and_not_clipped():
    rng = np.random.default_rng(0)
    for _ in range(8):
        samples = beatless(5.0, rng, 22_050)
        assert len(samples) == 5 * 22_050
        assert 0.9 < np.abs(samples).max() <= 1.0


def picture(tone_bin: int) -> np.ndarray:
    spectrogram = np.full((129, 496), 60, np.uint8)
    spectrogram[tone_bin] = 250
    return spectrogram


def test_picture_keeps_pitch_and_length():
    config = FeatureConfig()
    import librosa

    band_hz = librosa.mel_frequencies(config.n_mels + 2, fmin=config.f_min_hz, fmax=config.f_max_hz)[1:-1]
    log_mel = picture_to_log_mel(picture(24), config)  # bin 24 of 129 is 2,067 Hz
    assert log_mel.shape == (config.n_mels, pytest.approx(30 * config.frame_rate_hz, abs=2))
    assert band_hz[log_mel.mean(axis=1).argmax()] == pytest.approx(2067, rel=0.05)


@pytest.fixture
def small_archive(tmp_path):
    rng = np.random.default_rng(1)
    genres = ("jazz", "metal")
    ids = [f"{genre}.{n:05d}" for genre in genres for n in range(6)]
    pictures = []
    for name in ids:
        level = 90 if name.startswith("jazz") else 170
        spectrogram = rng.integers(0, 60, (129, 496)) + np.linspace(level, 255 - level, 129)[:, None]
        pictures.append(spectrogram.clip(0, 255).astype(np.uint8))
    np.savez(tmp_path / "small.npz", clip_id=np.array(ids), spectrogram=np.stack(pictures))
    with open(tmp_path / "small.csv", "w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["clip_id", "genre", "bpm", "artist_group", "fold"])
        writer.writerows([name, name.split(".")[0], 100, n, 1 + n % 2] for n, name in enumerate(ids))
    recipe = tmp_path / "small.yaml"
    recipe.write_text(
        "family: cnn\nlabels: [jazz, metal]\nepochs: 3\nbatch_size: 4\n"
        "architecture: {channels: [4], pools: [[8, 3]], frame_size: 4, timbre_size: 4}\n"
        "data: {gtzan_archive: small, synthetic: 5}\n"
    )
    return tmp_path


def test_archive_items_know_genre_tempo_artist_and_fold(small_archive):
    items = list(read_archive(small_archive / "small", FeatureConfig()))
    assert len(items) == 12
    assert items[0].labels == ("jazz",)
    assert items[0].tempo_bpm == 100
    assert items[0].artist == "jazz/0"
    assert {entry.fold for entry in items} == {1, 2}


def test_a_trained_model_is_a_checkpoint_with_its_own_labels(small_archive):
    train(read_recipe(small_archive / "small.yaml"), small_archive, small_archive / "run", progress=False)
    model, _ = load_checkpoint(small_archive / "run")
    assert model.config.labels == ("jazz", "metal")


def test_a_run_that_was_cut_off_goes_on_and_ends_the_same(small_archive, monkeypatch):
    recipe = read_recipe(small_archive / "small.yaml")
    from fluxbeat.training.supervised import SupervisedTask

    seen = []
    step = SupervisedTask.training_step

    def interrupted(self, batch, index):
        seen.append(self.current_epoch)
        if self.current_epoch == 2 and len(seen) < 100:
            raise ConnectionAbortedError("power cut")
        return step(self, batch, index)

    monkeypatch.setattr(SupervisedTask, "training_step", interrupted)
    with pytest.raises(ConnectionAbortedError):
        train(recipe, small_archive, small_archive / "cut", progress=False)
    assert sorted(set(seen)) == [0, 1, 2]
    seen.clear()
    seen.extend([-1] * 100)  # no power cut this time
    monkeypatch.setattr(SupervisedTask, "training_step", interrupted)
    train(recipe, small_archive, small_archive / "cut", progress=False)
    assert set(seen) == {-1, 2}, "only the epoch that was cut off is done again"
    assert (small_archive / "cut" / "model.safetensors").is_file()


def test_recipe_changes_and_mistakes(small_archive):
    path = small_archive / "small.yaml"
    assert read_recipe(path, ["epochs=7", "features.n_mels=64"]).features.n_mels == 64
    with pytest.raises(FluxBeatError, match="wings"):
        read_recipe(path, ["wings=2"])
    with pytest.raises(FluxBeatError, match="name=value"):
        read_recipe(path, ["epochs"])
    with pytest.raises(FluxBeatError, match="no such recipe"):
        read_recipe(small_archive / "other.yaml")


@pytest.mark.parametrize(
    ("text", "changes", "wanted"),
    [
        ("", [], "damaged.yaml.*mapping"),
        ("- cnn\n- crnn", [], "damaged.yaml.*mapping"),
        ("family: [cnn", [], "damaged.yaml: not YAML"),
        (b"family: \xff\xfe", [], "damaged.yaml: not YAML"),
        ("family: cnn", [], "damaged.yaml: the setting 'labels' is missing"),
        ("labels: [a, b]", [], "damaged.yaml: the setting 'family' is missing"),
        ("{family: cnn, labels: [a, b], 7: 8}", [], "damaged.yaml: unknown setting '7'"),
        ("{family: cnn, labels: a}", [], "damaged.yaml: labels must be a list, got 'a'"),
        ("{family: cnn, labels: [a, b], epochs: many}", [], "damaged.yaml: epochs must be a whole number, got 'many'"),
        ("{family: cnn, labels: [a, b], epochs: 1.5}", [], "damaged.yaml: epochs must be a whole number, got 1.5"),
        ("{family: cnn, labels: [a, b], data: music}", [], "damaged.yaml: data must be a mapping.*'music'"),
        ("{family: cnn, labels: [a, b], simclr: {wings: 2}}", [], "unknown setting 'simclr.wings'.*temperature"),
        (
            "{family: cnn, labels: [a, b], simclr: {overlay_db: [1, 2, 3]}}",
            [],
            "simclr.overlay_db must be a shorter list",
        ),
        ("{family: cnn, labels: [a, b]}", ["epochs=["], r"--set epochs=\[: not YAML"),
        ("{family: cnn, labels: [a, b]}", ["epochs.x=1"], "epochs must be a whole number"),
        ("{family: cnn, labels: [a, b], epochs: 3}", ["epochs.x=1"], "--set epochs.x=1: epochs is one value"),
        ("{family: cnn, labels: [a, b]}", ["learning_rate=fast"], "learning_rate must be a number, got 'fast'"),
    ],
)
def test_a_damaged_recipe_is_one_sentence_that_names_the_setting(tmp_path, text, changes, wanted):
    path = tmp_path / "damaged.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FluxBeatError, match=wanted) as found:
        read_recipe(path, changes)
    assert "\n" not in str(found.value)


def test_values_of_a_recipe_have_the_types_of_its_settings(tmp_path):
    path = tmp_path / "terse.yaml"
    path.write_text(
        "{family: cnn, labels: [a, b], data: , learning_rate: 1e-3, window_s: 6, architecture: {widths: [8]}}"
    )
    recipe = read_recipe(path, ["simclr.overlay_db=[3, 9]", "data.synthetic=5"])
    assert recipe.labels == ("a", "b")
    assert (recipe.learning_rate, recipe.data.synthetic, recipe.architecture) == (1e-3, 5, {"widths": [8]})
    assert repr(recipe.window_s) == "6.0", "a whole number and its decimal are one run"
    assert repr(recipe.simclr.overlay_db) == "(3.0, 9.0)"


def test_tempo_accuracy_one_and_two():
    assert tempo_hit(123, 120)
    assert not tempo_hit(125, 120)
    assert not tempo_hit(60, 120)
    assert all(tempo_hit(120 * factor, 120, TEMPO_FACTORS) for factor in (1, 2, 3, 1 / 2, 1 / 3))
    assert not tempo_hit(180, 120, TEMPO_FACTORS)
    assert not tempo_hit(None, 120, TEMPO_FACTORS)


def test_interval_of_a_share():
    low, high = interval(81, 263)  # Newcombe, Statistics in Medicine 1998: 0.2553 to 0.3662
    assert (low, high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert interval(0, 0) == (0.0, 1.0)
    assert share([True, False])["value"] == 0.5


def test_calibration_recovers_a_known_distortion():
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 2, (4000, 3))
    targets = (rng.random(truth.shape) < 1 / (1 + np.exp(-truth))).astype(float)
    found = fit_calibration(truth / 0.5 + 2.0, targets)
    assert found.scale == pytest.approx(0.5, abs=0.05)
    assert found.bias == pytest.approx(-1.0, abs=0.1)


def test_thresholds_separate_what_can_be_separated():
    probability = np.array([[0.9, 0.2], [0.8, 0.1], [0.1, 0.5], [0.2, 0.4]])
    thresholds = np.array(fit_thresholds(probability, np.array([[1, 0], [1, 0], [0, 1], [0, 1]])))
    assert ((probability >= thresholds) == np.array([[1, 0], [1, 0], [0, 1], [0, 1]], bool)).all()
