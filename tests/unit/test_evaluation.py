"""Evaluation: measures mean what they claim, test sound is what it says, and every split stays where it belongs."""

import csv
import itertools
import json

import mir_eval
import numpy as np
import pytest
import soundfile
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from fluxbeat.analysis.engine import analyze_track
from fluxbeat.analysis.track import read_track
from fluxbeat.analysis.windows import slide
from fluxbeat.audio.decoding import open_audio
from fluxbeat.cli.main import main
from fluxbeat.errors import FluxBeatError
from fluxbeat.features.log_mel import FeatureConfig
from fluxbeat.models.base import ModelConfig
from fluxbeat.models.checkpoint import build_model, save_checkpoint
from fluxbeat.models.registry import LoadedModel, ModelInfo
from fluxbeat.training.card import CardFacts, card_text
from fluxbeat.training.data.store import Excerpt
from fluxbeat.training.evaluation.answers import RecordingAnswers, ask
from fluxbeat.training.evaluation.catalogue import read_catalogue, spectrograms, tracks
from fluxbeat.training.evaluation.composed import crossfaded, mixes, pairs, splices
from fluxbeat.training.evaluation.intervals import estimate, resamples
from fluxbeat.training.evaluation.measures import (
    average_precision,
    border_hits,
    calibration_error,
)
from fluxbeat.training.evaluation.rankings import (
    Measure,
    all_among_first,
    among_first,
    border_measures,
    correlation,
    macro_average_precision,
    share_of,
)
from fluxbeat.training.evaluation.report import Material, Protocol, genre_measures, shown
from tools.release.choosing import roc_auc
from tools.release.shipped import counted_data
from tools.teachers.peers import Peers

FEATURES = FeatureConfig()
RATE_HZ = FEATURES.sample_rate_hz
SMALL = {
    "cnn": {"channels": [4, 6], "strides": [[4, 4]], "hidden": 8, "embedding_size": 8},
}


def tone(hz: float, seconds: float, level: float = 0.3) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def network(labels=("jazz", "metal"), seed=0):
    torch.manual_seed(seed)
    return build_model(ModelConfig("cnn", labels, (0.5,) * len(labels), architecture=SMALL["cnn"])).eval()


def catalogue(folder, rows):
    """Tones of some seconds as a folder of recordings; rows of (file, split, labels, artist, dataset, hz, seconds)."""
    folder.mkdir(exist_ok=True)
    with open(folder / "recordings.csv", "w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["file", "split", "labels", "artist", "dataset", "seconds", "licence"])
        for file, split, labels, artist, dataset, hz, seconds in rows:
            writer.writerow([file, split, labels, artist, dataset, seconds, "CC"])
            if hz:
                soundfile.write(folder / file, tone(hz, seconds), RATE_HZ)
    return folder


@pytest.fixture
def recordings(tmp_path):
    rows = [
        (f"{label}{number}.wav", "dev", label, f"{label} {number}", "own", hz + 40 * number, 11 + number)
        for label, hz in (("jazz", 300), ("metal", 2500))
        for number in range(3)
    ]
    rows += [
        ("voice.wav", "dev", "speech", "somebody", "speech", 150, 3),
        ("sealed.wav", "test", "jazz", "x", "own", 0, 9),
    ]
    return catalogue(tmp_path / "music", rows)


def test_a_bootstrap_draws_an_artists_tracks_together():
    weights = resamples(["a", "a", "b", "", ""], draws=200)
    assert weights[0].tolist() == [1, 1, 1, 1, 1]
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] != weights[:, 4]).any(), "tracks without an artist stand alone"
    assert weights[1:].min() == 0
    np.testing.assert_array_equal(weights[1:] @ [0.5, 0.5, 1, 1, 1], 4)
    np.testing.assert_array_equal(weights, resamples(["a", "a", "b", "", ""], draws=200))


def test_the_bootstrap_interval_of_a_mean_is_that_of_the_normal_distribution():
    values = np.random.default_rng(0).normal(0.5, 0.1, 400)
    weights = resamples([""] * 400)
    found = estimate(weights @ values / weights.sum(axis=1), 400)
    low, high = found["interval_95"]
    assert found["value"] == pytest.approx(values.mean(), abs=1e-4)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


@pytest.mark.parametrize(
    ("measure", "theirs"), [(average_precision, average_precision_score), (roc_auc, roc_auc_score)]
)
def test_rankings_are_scored_as_scikit_learn_does_also_where_scores_tie(measure, theirs):
    rng = np.random.default_rng(1)
    scores, truth = rng.integers(0, 12, 80) / 12, rng.random(80) < 0.3
    weights = resamples([""] * 80, draws=20)
    expected = [theirs(truth, scores, sample_weight=row) for row in weights]
    assert measure(scores, truth, weights) == pytest.approx(expected)


def test_a_ranking_without_positives_has_no_value():
    scores, weights = np.array([0.2, 0.1]), np.ones((1, 2))
    assert np.isnan(average_precision(scores, np.zeros(2, bool), weights)).all()
    assert np.isnan(roc_auc(scores, np.zeros(2, bool), weights)).all()
    assert estimate(np.full(5, np.nan), 2)["value"] is None


def test_calibration_error_is_the_distance_between_what_is_reported_and_what_is_so():
    truth = np.zeros((100, 2), bool)
    truth[:50, 0] = True  # said: 0.9; so: half of the time
    truth[:30, 1] = True  # said: 0.3; so: as often as said
    probability = np.tile([0.9, 0.3], (100, 1))
    assert calibration_error(probability, truth, np.ones((1, 100))) == pytest.approx((0.4 + 0.0) / 2)


def test_true_probabilities_have_hardly_any_calibration_error():
    rng = np.random.default_rng(2)
    probability = rng.random((20_000, 1))
    truth = rng.random((20_000, 1)) < probability
    error = calibration_error(probability, truth, np.ones((1, 20_000)))
    assert error < 0.015
    assert calibration_error(probability**3, truth, np.ones((1, 20_000))) > 0.1


def test_borders_are_matched_one_to_one_as_well_as_can_be():
    assert border_hits([10.0, 11.0], [10.5]) == 1
    assert border_hits([13.0, 20.1], [10.0, 17.0]) == 1
    rng = np.random.default_rng(3)
    for _ in range(60):
        answer, true = rng.uniform(0, 30, rng.integers(0, 5)), rng.uniform(0, 30, rng.integers(0, 5))
        few, many = sorted((answer, true), key=len)
        best = max(
            sum(abs(a - b) <= 3 for a, b in zip(few, chosen, strict=True))
            for chosen in itertools.permutations(many, len(few))
        )
        assert border_hits(answer, true) == best


def test_border_f1_is_pooled_over_tracks():
    f1, precision, recall = border_measures("m", "s", np.array([1, 2]), np.array([4, 2]), np.array([1, 3]))
    assert precision.value == pytest.approx(3 / 6)
    assert recall.value == pytest.approx(3 / 4)
    assert f1.value == pytest.approx(2 * 0.5 * 0.75 / 1.25)
    assert f1.n == 4
    low, high = f1.interval_95
    assert low <= f1.value <= high


def test_a_crossfade_keeps_the_power_and_its_middle_is_the_border():
    rng = np.random.default_rng(5)
    pieces = [rng.normal(0, 1, 40_000).astype(np.float32) for _ in range(3)]
    samples, borders = crossfaded(pieces, 8_000)
    assert len(samples) == 3 * 40_000 - 2 * 8_000
    assert borders == [36_000, 68_000]
    for border in borders:
        assert np.var(samples[border - 4000 : border + 4000]) == pytest.approx(1, abs=0.05)


def test_borders_are_scored_as_mir_eval_does():
    rng = np.random.default_rng(4)
    for _ in range(20):
        given, true = np.sort(rng.uniform(1, 59, rng.integers(1, 6))), np.sort(rng.uniform(1, 59, rng.integers(1, 6)))

        def intervals(borders):
            edges = np.concatenate([[0.0], borders, [60.0]])
            return np.stack([edges[:-1], edges[1:]], 1)

        expected = mir_eval.segment.detection(intervals(true), intervals(given), window=3.0, trim=True)
        hits = border_hits(given, true)
        counts = (np.array([count]) for count in (hits, len(given), len(true)))
        found = {one.measure: one.value for one in border_measures("m", "s", *counts)}
        assert [found[name] for name in ("precision", "recall", "f1")] == pytest.approx(expected, abs=1e-3)


def test_first_and_among_three_count_any_true_label():
    scores = np.array([[0.9, 0.5, 0.4, 0.3], [0.1, 0.2, 0.3, 0.4]])
    truth = np.array([[False, True, True, False], [True, False, False, False]])
    assert among_first(scores, truth, 1).tolist() == [False, False]
    assert among_first(scores, truth, 3).tolist() == [True, False]
    assert all_among_first(scores, truth, 3).tolist() == [True, False]
    assert all_among_first(scores, truth, 2).tolist() == [False, False]


def test_a_share_has_its_count_and_an_interval_over_artists():
    hits = np.array([True] * 30 + [False] * 10)
    alone = share_of("accuracy", "m", "s", hits, [f"{n}" for n in range(40)])
    assert (alone.value, alone.n, alone.hits) == (0.75, 40, 30)
    of_four = share_of("accuracy", "m", "s", hits, [f"{n // 10}" for n in range(40)])
    widths = [found.interval_95[1] - found.interval_95[0] for found in (alone, of_four)]
    assert widths[1] > 1.5 * widths[0], "ten tracks of one artist say less than ten strangers"
    none = share_of("accuracy", "m", "s", np.zeros(40, bool), [f"{n // 10}" for n in range(40)])
    assert none.value == 0 and none.interval_95[1] > 0.4, "none of four artists says little of others"
    assert share_of("accuracy", "m", "s", np.zeros(0, bool), []).value is None


def test_macro_average_precision_is_scikit_learns_mean_over_labels_with_enough_recordings():
    rng = np.random.default_rng(5)
    scores, truth = rng.random((60, 4)), rng.random((60, 4)) < 0.3
    truth[:, 3] = False
    truth[0, 3] = True
    found = macro_average_precision("m", "s", scores, truth, [""] * 60, 4)
    assert found.value == pytest.approx(average_precision_score(truth[:, :3], scores[:, :3], average="macro"), abs=1e-4)
    assert found.n == 3


def test_correlation_is_numpys():
    rng = np.random.default_rng(6)
    first = rng.normal(size=(50, 4))
    second = first + rng.normal(size=(50, 4))
    found = correlation("a and b", "s", first, second, [""] * 50)
    assert found.value == pytest.approx(np.corrcoef(first.ravel(), second.ravel())[0, 1], abs=1e-4)


def test_genres_are_judged_in_the_order_in_which_an_analysis_names_them():
    answer = RecordingAnswers("m", ("jazz", "metal"), np.array([[0.5, 0.4]]))
    assert shown(answer, {"m": np.array([0.6, 0.2])}).argmax() == 1, "0.4 is far above metal's threshold"
    assert shown(answer, {}).argmax() == 0, "a peer has no thresholds"


def test_a_closed_data_set_is_judged_among_its_own_labels_and_its_long_clips_apart(tmp_path):
    excerpts = [Excerpt(str(n), str(n), "dev", {label: 1.0}, "music", "gtzan", seconds) for n, (label, seconds) in
                enumerate([("jazz", 30.0), ("metal", 3.0)])]  # fmt: skip
    excerpts.append(Excerpt("2", "2", "dev", {"folk": 1.0}, "music", "popular", 30.0))
    material = Material(Protocol(tmp_path), excerpts, {})
    answer = RecordingAnswers("m", ("folk", "jazz", "metal"), np.array([[0.9, 0.5, 0.1]] * 3))
    found = {(one.measure, one.split): one for one in genre_measures([answer], material, {})}
    assert found["accuracy", "gtzan, dev"].value == 0.5, "folk is no answer there"
    assert found["accuracy", "gtzan of 10 s and more, dev"].value == 1.0
    assert found["accuracy", "popular, dev"].value == 1.0


def test_a_catalogue_gives_the_rows_of_one_split_only(recordings):
    found = read_catalogue(recordings, "dev")
    assert len(found) == 7 and all(excerpt.split == "dev" for excerpt in found)
    voice = next(excerpt for excerpt in found if excerpt.name == "voice.wav")
    assert voice.kind == "speech" and not voice.labels
    with pytest.raises(FluxBeatError, match="must be one of train, dev, test"):
        read_catalogue(recordings, "all")
    with pytest.raises(FluxBeatError, match="no recording of the split 'train'"):
        read_catalogue(recordings, "train")


def test_answers_over_a_recording_are_those_of_its_analysis(recordings, tmp_path):
    excerpts = read_catalogue(recordings, "dev")
    model = network()
    store = spectrograms(recordings, excerpts, FEATURES, tmp_path / "cache")
    answers = ask({"m": model}, tracks(store))["m"]
    for row in (0, 4, 6):
        track = read_track(recordings / excerpts[row].name, FEATURES)
        windows = slide(model, track.log_mel)
        assert answers.whole(answers.probability)[row] == pytest.approx(windows.probability.mean(axis=0), abs=2e-3)
        analysis = analyze_track(track, LoadedModel(ModelInfo("m", "", ""), model))
        order = [genre.label for genre in analysis.genres]
        assert order[0] == model.config.labels[answers.whole(answers.probability)[row].argmax()]


def test_recordings_are_decoded_once(recordings, tmp_path, monkeypatch):
    excerpts = read_catalogue(recordings, "dev")
    first = spectrograms(recordings, excerpts, FEATURES, tmp_path / "cache")
    monkeypatch.setattr("fluxbeat.training.evaluation.catalogue.open_audio", None)
    again = spectrograms(recordings, excerpts, FEATURES, tmp_path / "cache")
    np.testing.assert_array_equal(first.log_mel, again.log_mel)


@pytest.mark.parametrize("changes", ["code", "sound"])
def test_recordings_are_decoded_again_once_they_or_the_code_that_reads_them_has_changed(
    recordings, tmp_path, monkeypatch, changes
):
    excerpts = read_catalogue(recordings, "dev")
    before = np.array(spectrograms(recordings, excerpts, FEATURES, tmp_path / "cache").log_mel)
    opened = []
    monkeypatch.setattr(
        "fluxbeat.training.evaluation.catalogue.open_audio",
        lambda path, **given: opened.append(path) or open_audio(path, **given),
    )
    if changes == "code":
        monkeypatch.setattr("fluxbeat.training.evaluation.catalogue.code_digest", lambda rooms: "changed")
    else:
        soundfile.write(recordings / excerpts[0].name, tone(1000, 14), RATE_HZ)
    for _ in range(2):
        after = spectrograms(recordings, excerpts, FEATURES, tmp_path / "cache").log_mel
        assert len(opened) == len(excerpts), "once more, and once only"
    assert np.array_equal(before, after) == (changes == "code")


def test_mixes_pair_different_genres_and_artists_and_use_all_alike(recordings):
    music = [excerpt for excerpt in read_catalogue(recordings, "dev") if excerpt.labels]
    chosen = pairs(music, 6, seed=1)
    assert chosen == pairs(music, 6, seed=1) and len({frozenset((a.name, b.name)) for a, b in chosen}) == 6
    assert all(a.labels != b.labels and a.artist != b.artist for a, b in chosen)
    used = [name for pair in chosen for name in (pair[0].name, pair[1].name)]
    assert {used.count(excerpt.name) for excerpt in music} == {2}
    with pytest.raises(FluxBeatError, match="at least two genres"):
        pairs(music[:3], 4, seed=0)


def test_a_quiet_recording_is_as_loud_in_a_mix_as_a_loud_one(tmp_path):
    catalogue(
        tmp_path, [("a.wav", "dev", "jazz", "a", "own", 400, 12), ("b.wav", "dev", "metal", "b", "own", 3000, 15)]
    )
    soundfile.write(tmp_path / "b.wav", tone(3000, 15, 0.01), RATE_HZ, subtype="FLOAT")
    (mixed,) = mixes(tmp_path, read_catalogue(tmp_path, "dev"), RATE_HZ, 5)
    assert set(mixed.labels) == {"jazz", "metal"} and len(mixed.samples) == 12 * RATE_HZ
    spectrum = np.abs(np.fft.rfft(mixed.samples))
    assert spectrum[400 * 12] == pytest.approx(spectrum[3000 * 12], rel=0.02)


def test_spliced_recordings_change_where_their_borders_say(recordings):
    music = [excerpt for excerpt in read_catalogue(recordings, "dev") if excerpt.labels]
    for spliced in splices(recordings, music, RATE_HZ, 3, seed=2):
        (border_s,) = spliced.borders_s  # there are two genres only
        at = round(border_s * RATE_HZ)
        high = [
            np.abs(np.fft.rfft(part[:RATE_HZ]))[2000:].sum()
            for part in (spliced.samples[at - RATE_HZ - 4000 :], spliced.samples[at + 4000 :])
        ]
        assert max(high) > 20 * min(high)


def test_peers_of_which_nothing_is_known_are_left_out(recordings, tmp_path):
    peers = Peers(recordings, tmp_path / "cache", None, ("jazz", "metal"))
    assert peers.of_recordings(read_catalogue(recordings, "dev")) == []


def test_evaluate_prints_and_saves_every_measure(recordings, tmp_path, capsys):
    for seed, name in enumerate(("one", "two")):
        save_checkpoint(network(seed=seed), tmp_path / name)
    command = [
        "evaluate",
        tmp_path / "one",
        tmp_path / "two",
        "--recordings",
        recordings,
        "--cache",
        tmp_path / "cache",
    ]
    command += ["--mixes", "3", "--splices", "2", "--explained", "2", "--save", tmp_path / "found.json"]
    assert main([*map(str, command)]) == 0
    printed = capsys.readouterr().out
    found = [Measure(**row) for row in json.loads((tmp_path / "found.json").read_text())]
    assert {one.measure for one in found} >= {
        "accuracy", "top3", "macro_average_precision", "ece", "no_music_called_music", "music_called_none",
        "both_in_top3", "logit_correlation", "first_changes_without_network", "f1", "insertion_minus_deletion",
    }  # fmt: skip
    first = next(one for one in found if one.measure == "accuracy" and one.subject == "one")
    assert first.n == 6 and f"{first.hits}/6" in printed
    voices = [one for one in found if one.measure == "no_music_called_music"]
    assert {one.n for one in voices} == {1}


def test_a_card_shows_counts_intervals_peers_and_what_the_model_is_bad_at(recordings):
    measures = [
        Measure("accuracy", "m", "popular, test", 0.5, 44, 22, (0.4, 0.6)),
        Measure("accuracy", "MusiCNN", "popular, test", 0.4, 44, 18, (0.3, 0.5)),
        Measure("average_precision", "m", "jazz, test", 0.8, 9, None, (0.7, 0.9)),
        Measure("average_precision", "m", "metal, test", 0.2, 4, None, (0.1, 0.4)),
        Measure("logit_correlation", "m and n", "all, test", 0.9, 270, None, (0.88, 0.92)),
        Measure("logit_correlation", "n and o", "all, test", 0.8, 270, None, (0.78, 0.82)),
    ]
    facts = CardFacts("m", 391_000, counted_data(recordings), measures, sections={"Left out": "gospel"}, licence="mit")
    text = card_text(network().config, facts)
    assert "| Right genre first | popular, test | 22/44 = 0.50 (0.40 to 0.60) | 18/44 = 0.40 (0.30 to 0.50) |" in text
    assert "| m and n | all, test | 0.900 (0.880 to 0.920) |" in text and "n and o" not in text
    assert "Genres that it finds least well on test, by average precision: metal (0.20, 4 recordings)" in text
    assert "| own | Creative Commons | 0 | 6 | 1 |" in text
    assert "\n## Left out\n\ngospel\n\n## What it is bad at" in text and text.startswith("---\nlicense: mit\n")


def test_a_persons_own_table_is_judged_with_its_tempi(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FLUXBEAT_CACHE", str(tmp_path / "cache"))
    for name, hz in (("a", 300), ("b", 2500)):
        soundfile.write(tmp_path / f"{name}.wav", tone(hz, 11), RATE_HZ)
    (tmp_path / "music.csv").write_text("path,labels,bpm\na.wav,jazz,120\nb.wav,metal,\n")
    save_checkpoint(network(), tmp_path / "one")
    command = ["evaluate", tmp_path / "one", "--data", tmp_path / "music.csv", "--json"]
    assert main([*map(str, command), "--answers", str(tmp_path / "answers.csv")]) == 0
    found = {row["measure"]: row for row in json.loads(capsys.readouterr().out)}
    assert found["accuracy"]["n"] == 2 and found["tempo_accuracy1"]["n"] == 1
    assert "both_in_top3" not in found
    assert list((tmp_path / "cache").rglob("log_mel.npy")), "spectrograms lie where all is kept"
    rows = list(csv.DictReader((tmp_path / "answers.csv").open()))
    assert [row["labels"] for row in rows] == ["jazz", "metal"] and {row["first"] for row in rows} <= {"jazz", "metal"}
