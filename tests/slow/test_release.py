"""From finished runs to checkpoints: calibrated on `dev` alone, folded exactly, without what is not shown to work."""

import csv
import json
import runpy
import sys

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file
from scipy.special import expit

from fluxbeat.analysis.tempo import beat_salience, softmax
from fluxbeat.analysis.windows import slide
from fluxbeat.features.log_mel import FeatureConfig, LogMel
from fluxbeat.models.base import ModelConfig
from fluxbeat.models.checkpoint import build_model, load_checkpoint, save_checkpoint
from fluxbeat.models.label_calibration import LabelCalibration, LabelledWindows, fit_labels, fit_thresholds
from fluxbeat.models.registry import load
from fluxbeat.training.evaluation.answers import ask
from fluxbeat.training.evaluation.catalogue import read_catalogue, spectrograms, tracks
from fluxbeat.training.evaluation.measures import calibration_error
from tools.recordings.drawn import beatless as drawn_without_beat
from tools.release import beatless
from tools.release.choosing import crossed, fit_kind
from tools.release.familiarity import fit_familiarity, fit_known, left_out_distances
from tools.release.making import CONSENSUS, Plan, candidate, learned_music, release

FEATURES = FeatureConfig()
RATE_HZ = FEATURES.sample_rate_hz
LABELS = ("jazz", "metal", "gospel")
HZ = {"jazz": 250, "metal": 3500}
SMALL = {"channels": [4, 6], "strides": [[4, 4]], "hidden": 12, "embedding_size": 12}


def drawn(count: int, scale: float, bias: float, seed: int = 0) -> LabelledWindows:
    """Recordings of three windows whose true probabilities are sigmoid(scale * logit + bias)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, 4))
    truth = rng.random((count, 4)) < expit(scale * logits + bias)
    return LabelledWindows(np.repeat(np.arange(count), 3), np.repeat(logits, 3, axis=0), np.ones(3 * count), truth)


def error_of(probability: np.ndarray, truth: np.ndarray) -> float:
    return float(calibration_error(probability, truth, np.ones((1, len(truth))))[0])


def test_calibration_finds_the_scale_and_bias_that_probabilities_were_drawn_with():
    windows = drawn(1500, 0.4, -1.0)
    before = LabelCalibration(np.ones(4), np.zeros(4))
    after = fit_labels(windows)
    assert error_of(windows.probability(before), windows.truth) > 0.1
    unseen = drawn(1500, 0.4, -1.0, seed=1)
    assert error_of(unseen.probability(after), unseen.truth) < 0.02
    assert after.scale == pytest.approx(np.full(4, 0.4), rel=0.15)
    assert after.bias == pytest.approx(np.full(4, -1.0), abs=0.2)


def test_a_label_of_few_recordings_stays_near_the_common_calibration():
    windows = drawn(60, 1.0, 0.0)
    windows.truth[:, 3] = False
    free, drawn_to_common = (fit_labels(windows, bias_spread=spread).bias for spread in (1.0, 0.01))
    assert free[3] < free[:3].min() - 0.1, "what is never true is less probable"
    assert abs(drawn_to_common[3] - drawn_to_common[0]) < 0.1


def test_crossed_probabilities_come_from_other_artists():
    windows = drawn(200, 1.0, 0.0)
    artists = [str(number // 2) for number in range(200)]
    found = crossed(windows, artists)
    changed = windows.truth.copy()
    changed[:2] = ~changed[:2]
    other = crossed(LabelledWindows(windows.row, windows.logits, windows.share, changed), artists)
    np.testing.assert_array_equal(found[:2], other[:2])
    assert np.abs(found[2:] - other[2:]).max() > 0


def test_thresholds_have_the_best_f1_and_rare_labels_keep_to_the_common_one():
    rng = np.random.default_rng(0)
    truth = np.zeros((400, 2), bool)
    truth[:200, 0], truth[:2, 1] = True, True
    probability = np.where(truth, 0.45, 0.15) + rng.normal(0, 0.02, truth.shape)
    probability[:, 1] += 0.2
    common, rare = fit_thresholds(probability, truth)
    assert 0.2 < common < 0.4
    alone = fit_thresholds(probability[:, 1:], truth[:, 1:])[0]
    assert common < rare < alone


def test_music_is_told_apart_at_one_half_also_where_both_sides_lie_on_one_side_of_it():
    odds, is_music = np.array([-1.0, -0.9, -0.5, 0.2, -3.0, -3.5]), np.array([True] * 4 + [False] * 2)
    found = fit_kind(odds, is_music)
    assert ((expit(found.scale * odds + found.bias) >= 0.5) == is_music).all()
    assert fit_kind(odds[:4], is_music[:4]).scale == 1.0, "nothing to tell music from"


def test_distance_to_the_learned_music_is_mahalanobis():
    rng = np.random.default_rng(1)
    spread = np.array([5.0, 1.0, 0.2])
    shares = np.eye(2)[rng.integers(0, 2, 4000)]
    centres = np.array([[20.0, 0, 0], [0, 5.0, 0]])
    embedding = shares @ centres + rng.normal(0, spread, (4000, 3))
    known = fit_known(embedding, shares)
    one_off = centres[:1] + np.diag(spread)
    distance = known.distance(one_off) * np.sqrt(3)
    assert distance[:2] == pytest.approx([1, 1], rel=0.15)
    assert known.distance(np.array([[10.0, 40.0, 0.0]]))[0] > 10
    left_out = left_out_distances(embedding, shares)
    assert left_out.mean() > 2 * known.distance(embedding).mean()


def test_nine_in_ten_of_the_known_music_are_familiar_whatever_the_other_is():
    rng = np.random.default_rng(2)
    familiar = rng.normal(1.0, 0.2, 300)
    for other in (rng.normal(1.0, 0.2, 300), rng.normal(3.0, 0.5, 300)):
        found = fit_familiarity(familiar, other)
        unfamiliar = expit((familiar - found.middle) / found.width)
        assert (unfamiliar <= 0.2001).mean() == pytest.approx(0.9, abs=0.01)
        assert expit((4.0 - found.middle) / found.width) > 0.8


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two genres that a glance at the spectrum tells apart, speech, two runs; the test rows have no files."""
    folder = tmp_path_factory.mktemp("release")
    rng = np.random.default_rng(0)
    rows = []
    for split, artists in (("train", 6), ("dev", 6)):
        for label, hz in HZ.items():
            rows += [
                (f"{split}-{label}-{number}.wav", split, label, f"{split} {label} {number}", hz)
                for number in range(artists)
            ]
        rows += [(f"{split}-voice-{number}.wav", split, "speech", f"{split} voice {number}", 0) for number in range(2)]
    with open(folder / "recordings.csv", "w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["file", "split", "labels", "artist", "dataset", "seconds"])
        for file, split, label, artist, hz in rows:
            writer.writerow([file, split, label, artist, "own", 12])
            time_s = np.arange(12 * RATE_HZ) / RATE_HZ
            tone = np.sin(2 * np.pi * hz * rng.uniform(0.9, 1.1) * time_s) if hz else np.sign(np.sin(60 * time_s))
            sound = (0.2 * tone + 0.02 * rng.standard_normal(len(time_s))).astype(np.float32)
            soundfile.write(folder / file, sound, RATE_HZ)
        writer.writerow(["sealed.wav", "test", "jazz", "x", "own", 12])
    for seed, name in enumerate(("cnn", "other")):
        torch.manual_seed(seed)
        size = SMALL["embedding_size"]
        model = build_model(ModelConfig("cnn", LABELS, (0.5,) * 3, kind_taught=True, architecture=SMALL)).eval()
        save_checkpoint(_taught(model, folder), folder / "runs" / name)
        heads = {"heads.genre.weight": torch.randn(3, size) / 5, "heads.genre.bias": torch.randn(3)}
        heads |= {"scale_genre": torch.rand(3) + 0.5, "mean_genre": torch.randn(3)}
        save_file(heads, folder / "runs" / name / "teacher_heads.safetensors")
        (folder / "runs" / name / "run.json").write_text('{"seed": 3, "epochs": 2, "epoch_steps": 5, "batch_size": 4}')
    return folder


def _taught(model, folder):
    """Heads fitted by least squares on random convolutions: enough to tell two tones and a voice apart."""
    train = read_catalogue(folder, "train")
    store = spectrograms(folder, train, FEATURES, folder / "cache", "-taught")
    found = ask({"m": model}, tracks(store), 5.0)["m"]
    wanted = np.array(
        [[label in train[row].labels for label in LABELS] + [train[row].kind == "music"] for row in found.row]
    )
    inputs = np.concatenate([found.embedding, np.ones((len(found.row), 1))], axis=1)
    answer = np.linalg.lstsq(inputs, 6.0 * wanted - 3.0, rcond=1e-3)[0].T
    with torch.no_grad():
        model.genre_head.weight.copy_(torch.from_numpy(answer[:3, :-1]))
        model.genre_head.bias.copy_(torch.from_numpy(answer[:3, -1]))
        model.kind_head.weight.zero_()
        model.kind_head.bias.zero_()
        model.kind_head.weight[0].copy_(torch.from_numpy(answer[3, :-1]))
        model.kind_head.bias[0] = float(answer[3, -1])
    return model


@pytest.fixture(scope="module")
def released(data):
    runs = {name: data / "runs" / name for name in ("cnn", "other")}
    plan = Plan(runs, data, data / "made", data / "cache", {"cnn": 0.3})
    return plan, release(plan)


def test_a_release_reads_no_test_rows_and_leaves_out_what_has_no_proof(released, data):
    _, report = released
    assert not (data / "sealed.wav").exists(), "reading it would have failed"
    assert report["labels"] == ["jazz", "metal"]
    assert report["experimental"] == ["gospel"]
    config = load(data / "made" / "cnn").network.config
    assert config.labels == ("jazz", "metal") and config.tempo_threshold == 0.3
    assert config.familiarity is not None


def test_the_folded_head_gives_the_weighted_sum_of_both_heads(released, data):
    _, report = released
    blend = report["chosen"]["cnn"]["blend"]
    before, after = load_checkpoint(data / "runs" / "cnn")[0], load_checkpoint(data / "made" / "cnn")[0]
    embedding = torch.randn(40, SMALL["embedding_size"])
    taught = load_file(data / "runs" / "cnn" / "teacher_heads.safetensors")
    with torch.no_grad():
        people = before.genre_head(embedding)[:, :2]
        teachers = (embedding @ taught["heads.genre.weight"].T + taught["heads.genre.bias"]) * taught["scale_genre"]
        teachers = (teachers + taught["mean_genre"])[:, :2]
        shipped = after.genre_head(embedding).numpy()
    parts = np.stack([people.numpy(), teachers.numpy(), np.ones((40, 2))], axis=2)
    for column in range(2):
        weights = np.linalg.lstsq(parts[:, column], shipped[:, column], rcond=None)[0]
        assert np.allclose(parts[:, column] @ weights, shipped[:, column], atol=1e-3)
        assert weights[0] * blend * (1 - blend) >= 0
        assert (abs(weights[0]) < 1e-3) == (blend == 1) and (abs(weights[1]) < 1e-3) == (blend == 0)


def test_the_shipped_model_names_unseen_music_and_no_genre_in_a_voice(released, data):
    dev = read_catalogue(data, "dev")
    store = spectrograms(data, dev, FEATURES, data / "cache")
    for name in ("cnn", CONSENSUS):
        windows = ask({name: load(data / "made" / name).network}, tracks(store))[name]
        answer, music = windows.answer(name), windows.whole(windows.kind)[:, 0]
        for row, excerpt in enumerate(dev):
            first = answer.labels[answer.probability[row].argmax()]
            assert not excerpt.labels or first in excerpt.labels
            assert (music[row] >= 0.5) == (excerpt.kind == "music")
            assert excerpt.labels or answer.probability[row].max() < 0.3


def test_a_consensus_is_written_as_the_registry_reads_it(released, data):
    _, report = released
    config = json.loads((data / "made" / CONSENSUS / "config.json").read_text())
    assert config["members"] == report["chosen"][CONSENSUS]["weights"]
    assert sum(config["members"].values()) == pytest.approx(1)
    assert load(data / "made" / CONSENSUS).network.config.labels == ("jazz", "metal")


def test_the_same_runs_give_the_same_checkpoints(released, data):
    plan, report = released
    again = Plan(plan.runs, plan.recordings, data / "again", plan.cache, plan.tempo_thresholds)
    assert release(again) == report
    for path in (data / "made").rglob("*.*"):
        if path.name in ("config.json", "model.safetensors"):
            assert path.read_bytes() == (data / "again" / path.relative_to(data / "made")).read_bytes()


def test_learned_music_takes_every_artist_before_a_second_piece_of_one(data):
    train = read_catalogue(data, "train")
    assert {excerpt.name for excerpt in learned_music(train, LABELS)} == {e.name for e in train if e.labels}


def test_a_run_without_teachers_keeps_the_head_that_people_taught(data, tmp_path):
    model, _ = load_checkpoint(data / "runs" / "cnn")
    dev = read_catalogue(data, "dev")
    answers = ask({"m": model}, tracks(spectrograms(data, dev, FEATURES, data / "cache")))["m"]
    found = candidate("m", model, tmp_path, answers)
    np.testing.assert_array_equal(found.logits(0.0), found.logits(1.0))


def test_cards_and_metrics_are_made_of_the_measures(released, data, monkeypatch):
    row = {"measure": "accuracy", "subject": "cnn", "split": "own, test", "value": 0.5, "n": 4, "hits": 2,
           "interval_95": [0.1, 0.9]}  # fmt: skip
    rows = [row, row | {"subject": "mn04"}, row | {"measure": "f1", "value": None}]
    (data / "test.json").write_text(json.dumps(rows))
    (data / "made" / "release.json").write_text(
        json.dumps(released[1] | {"recipes": {"cnn": {"seed": 3, "epochs": 2, "epoch_steps": 5, "batch_size": 4}}})
    )
    right, half = ({"value": value, "n": 60, "interval_95": [0.1, 0.9]} for value in (0.9, 0.5))
    tempo = {"music": "grooves", "tempo": "exact", "split": "test", "runs/cnn": {"accuracy1": half, "accuracy2": right}}
    annotated = tempo | {"music": "gtzan", "tempo": "annotated", "split": "dev"}
    (data / "tempo.json").write_text(json.dumps(tempo) + "\n" + json.dumps(annotated))
    layer = {"insertion_minus_deletion": {"map": right, "random": half, "energy": half}, "beats_random": right,
             "beats_energy": right}  # fmt: skip
    (data / "explained.json").write_text(json.dumps({"windows": 60, "files": 20, "layers": {"conv2 gradcam": layer}}))
    arguments = ["cards", "--recordings", data, "--output", data / "made", "--measured", data / "test.json"]
    for seed, value in enumerate((0.7, 0.5)):
        (data / f"seed{seed}.json").write_text(json.dumps([row | {"subject": f"cnn-{seed}", "value": value}]))
    arguments += ["--seeds", *(f"cnn={data / f'seed{seed}.json'}" for seed in range(2))]
    (data / "notes.md").write_text("What was tried.\n\n| weights | right |\n|---|---|\n| other | 3 |\n")
    arguments += ["--notes", data / "notes.md"]
    arguments += ["--tempo", data / "tempo.json", "--explained", f"cnn={data / 'explained.json'}"]
    monkeypatch.setattr(sys, "argv", ["release.py", *map(str, arguments), "--date", "2026-01-01"])
    runpy.run_module("tools.release", run_name="__main__")
    card = (data / "made" / "cnn" / "README.md").read_text()
    assert "2/4 = 0.50 (0.10 to 0.90)" in card and "mn04" in card and "Seed 3" in card
    assert "| grooves, exact tempo, test | 54/60 = 0.90" in card
    assert "| gtzan, annotated tempo, dev | 54/60 = 0.90" in card
    assert "| conv2 gradcam | 0.90 (0.10 to 0.90; n 60)" in card
    metrics = load(data / "made" / "cnn").network.config.metrics
    first = {"measure": "accuracy", "value": 0.5, "n": 4, "split": "own, test", "interval_95": [0.1, 0.9], "seed": 3,
             "date": "2026-01-01", "sd": 0.1414, "seeds": 2}  # fmt: skip
    assert metrics[0] == first
    assert "What was tried.\n\n| weights | right |\n|---|---|\n| other | 3 |\n" in card
    assert "over 2 runs that differ in their seed alone: right genre first on own, test 0.600 ± 0.141" in " ".join(
        card.split()
    )
    measured = {row["measure"] for row in metrics}
    assert measured == {"accuracy", "insertion_minus_deletion", "tempo_accuracy1", "tempo_accuracy2"}
    assert "weighted mean of its members" in (data / "made" / CONSENSUS / "README.md").read_text()


def test_hardly_any_sound_without_a_beat_is_given_a_tempo(data, monkeypatch):
    monkeypatch.setattr(beatless, "CASES", 12)
    network = load_checkpoint(data / "runs" / "cnn")[0]
    found = beatless.fit_tempo_threshold(network)
    assert found == beatless.fit_tempo_threshold(network)
    saliences = []
    rng = np.random.default_rng(1000)
    for _ in range(12):
        log_mel = LogMel(FEATURES)(drawn_without_beat(beatless.SECONDS, rng, RATE_HZ))
        answer = softmax(slide(network, log_mel, 5.0).tempo_logits.astype(float)).mean(axis=0)
        saliences.append(beat_salience(answer, network.config.tempo_grid))
    assert sum(value > found for value in saliences) == 1, "one in a hundred, so the strongest of twelve"
