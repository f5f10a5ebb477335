"""From a recipe to a checkpoint that can be shipped: calibrated, measured on what it did not see, with its card."""

import csv
import json
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from fluxbeat.analysis.windows import slide
from fluxbeat.cli import main
from fluxbeat.models import ModelConfig, build_model
from fluxbeat.training.calibration import Heard, calibrated, calibration_of, excess, fit_thresholds, lower
from fluxbeat.training.explanation_card import explanation_section
from fluxbeat.training.teacher_labels import USUAL_SHARE
from fluxbeat.zoo import load

RATE_HZ = 22_050


def music(number: int, bright: bool) -> np.ndarray:
    """Fifteen seconds of noise through a resonance, dark or bright, with a beat at 120 BPM."""
    rng = np.random.default_rng(number)
    time_s = np.arange(15 * RATE_HZ) / RATE_HZ
    noise = rng.standard_normal(len(time_s))
    coloured = np.diff(noise, prepend=0.0) if bright else np.convolve(noise, np.ones(40) / 40, "same") * 5
    return (0.1 * coloured * (1 + np.exp(-(time_s % 0.5) * 20))).astype(np.float32)


@pytest.fixture
def data(tmp_path):
    """Twelve clips of two genres in two folds as pictures, eight of them as recordings too."""
    from fluxbeat.training.picture_simulation import simulate_picture

    ids, pictures = [], []
    (tmp_path / "audio").mkdir()
    for number in range(12):
        name = f"{('jazz', 'metal')[number % 2]}.{number // 2:05d}"
        samples = music(number, bright=bool(number % 2))
        ids.append(name)
        pictures.append(simulate_picture(np.tile(samples, 2)))
        if number < 8:
            soundfile.write(tmp_path / "audio" / f"{name}.wav", samples, RATE_HZ)
    np.savez(tmp_path / "small.npz", clip_id=np.array(ids), spectrogram=np.stack(pictures))
    with open(tmp_path / "small.csv", "w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["clip_id", "genre", "bpm", "artist_group", "fold"])
        writer.writerows([name, name.split(".")[0], 120, n // 2, 1 + n // 2 % 2] for n, name in enumerate(ids))
    (tmp_path / "small.yaml").write_text(
        "family: cnn\nlabels: [jazz, metal]\nepochs: 2\nbatch_size: 4\n"
        "architecture: {channels: [4], pools: [[8, 3]], frame_size: 4, timbre_size: 4}\n"
        "data: {gtzan_archive: small, gtzan_recordings: audio, synthetic: 4}\n"
    )
    return tmp_path


def test_a_release_is_measured_on_what_its_models_did_not_see_and_says_so(data, capsys, monkeypatch):
    from fluxbeat.training import release

    monkeypatch.setattr("fluxbeat.training.calibration.BEATLESS_CASES", 2)
    monkeypatch.setattr(release, "MIXES", 2)
    monkeypatch.setattr(release, "SPLICES", 2)
    command = ["train", data / "small.yaml", "--data-root", data, "--output", data / "work", "--release", data / "made"]
    assert main([*map(str, command), "--seeds", "2"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {run.parent.relative_to(data / "work").as_posix() for run in data.glob("work/**/model.safetensors")} == {
        "without-fold-1", "without-fold-2", "all", "seed-1/without-fold-1", "seed-1/without-fold-2",
    }  # fmt: skip
    assert report["pictures"]["accuracy"]["n"] == 12
    assert report["recordings"]["accuracy"]["n"] == report["gap"]["n"] == 8
    assert report["mixes"]["both_in_top3"]["n"] == 4
    assert len(report["pictures, over seeds"]["accuracy"]["values"]) == 2
    made = load(data / "made").network.config
    assert {"accuracy", "ece", "f1", "pictures_minus_recordings"} <= {entry["measure"] for entry in made.metrics}
    assert all(entry["split"] and "seed" in entry for entry in made.metrics)
    assert made.calibration.scale != 1.0
    card = (data / "made" / "README.md").read_text()
    assert "| jazz |" in card and "over 2 seeds" in card and "MusiCNN (Pons" not in card


def test_calibration_and_thresholds_rest_on_known_labels_only():
    rng = np.random.default_rng(0)
    tracks = []
    for number in range(60):
        truth = np.array([number % 2 == 0, number % 3 == 0])
        # the second label is known of every other track; where it is not, the logits say the opposite
        known = np.array([True, number % 2 == 0])
        logits = np.where(known, np.where(truth, 2.0, -2.0), np.where(truth, -9.0, 9.0)) + rng.normal(0, 0.1, (5, 2))
        tracks.append(Heard(logits, truth, known))
    calibration = calibration_of(tracks)
    probability = calibrated(tracks, calibration)
    truth, known = np.stack([t.truth for t in tracks]), np.stack([t.known for t in tracks])
    assert ((probability > 0.5) == truth)[known].all()
    assert calibration.scale > 1, "what is known is always right: the logits may be surer"
    for threshold, column in zip(fit_thresholds(probability, truth, known), range(2), strict=True):
        rows = known[:, column]
        assert ((probability[rows, column] >= threshold) == truth[rows, column]).all()


def test_a_label_that_is_expected_everywhere_is_lowered_to_how_usual_it_is():
    labels = ("jazz", "metal", "electronic", "ambient")
    model = build_model(ModelConfig("cnn", labels, (0.5,) * 4)).eval()
    with torch.no_grad():
        model.genre_head.bias.copy_(torch.tensor([2.0, -2.0, 2.0, -6.0]))
    music = [np.random.default_rng(seed).normal(0, 1, (80, 400)).astype(np.float32) for seed in range(3)]
    too_likely = excess(model, music, collected_for=("jazz", "metal"))
    assert too_likely[2] > 1
    assert np.delete(too_likely, 2).tolist() == [0, 0, 0], "jazz was collected, ambient is rare enough"
    before = slide(model, music[0]).genre_logits
    lower(model, too_likely)
    assert slide(model, music[0]).genre_logits == pytest.approx(before - too_likely, abs=1e-5)
    logits = np.concatenate([slide(model, log_mel, 4.0).genre_logits for log_mel in music])
    assert (1 / (1 + np.exp(-logits[:, 2]))).mean() == pytest.approx(USUAL_SHARE, abs=1e-4)
    assert excess(model, music, ("jazz", "metal")).max() < 1e-4, "what has been lowered is no more too likely"


def test_what_the_card_says_of_the_layers_follows_from_their_numbers():
    def layer(faithful: float, inside: float | None) -> dict[str, Any]:
        def entry(value: float | None) -> dict[str, Any]:
            return {"value": value, "n": 9, "interval_95": (None if value is None else [value - 0.02, value + 0.02])}

        return {
            "insertion_minus_deletion": dict.fromkeys(("map", "random", "energy"), entry(faithful)),
            **{"splice_mass": entry(inside), "splice_mass_where_noticed": entry(inside), "class_contrast": entry(0.0)},
            **{"beats_random": entry(0.1), "beats_energy": entry(0.1)},
            "randomisation": {"passes": True, "likeness": {}},
        }

    def said(other: dict[str, Any]) -> str:
        layers = {"stretches": layer(0.3, 0.7), "spectrogram": other}
        return " ".join(explanation_section({"windows": 9, "files": 9, "layers": layers}).split())

    assert "`spectrogram` is more faithful (0.40 beside 0.30), with less of its map inside a splice (0.20" in said(
        layer(0.4, 0.2)
    )
    assert "less faithful (0.10 beside 0.30), with about as much of its map inside" in said(layer(0.1, 0.71))
    assert "about as faithful (0.31 beside 0.30), with about as much of its map inside a splice (not measured" in said(
        layer(0.31, None)
    )
