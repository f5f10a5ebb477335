"""Evaluation: measures mean what they claim, test music is what it says, and what is not known does not count."""

import csv
import itertools
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from sklearn.metrics import average_precision_score, roc_auc_score

from fluxbeat.analysis import Genre, Segment, Tempo, Timeline, TrackAnalysis
from fluxbeat.cli import main
from fluxbeat.errors import FluxBeatError
from fluxbeat.features import FeatureConfig
from fluxbeat.training.corpus.packages import PACKAGES
from fluxbeat.training.corpus.shards import IndexRow, Shard, write_index, write_shard
from fluxbeat.training.corpus.teacher import TAGS
from fluxbeat.training.evaluation.answers import Answer, GenreScores
from fluxbeat.training.evaluation.cases import Case, recording_cases, track_of
from fluxbeat.training.evaluation.measures import (
    average_precision,
    border_hits,
    border_measures,
    calibration_error,
    estimate,
    reliability,
    resamples,
    roc_auc,
)
from fluxbeat.training.evaluation.mixtures import mix_cases, mix_items, pairs
from fluxbeat.training.evaluation.peers import ask_peers
from fluxbeat.training.evaluation.protocol import Protocol
from fluxbeat.training.evaluation.splices import crossfaded, splice_cases, splice_items
from fluxbeat.training.evaluation.summary import (
    over_seeds,
    paired_gap,
    summarise,
    summarise_borders,
    summarise_mixes,
)
from fluxbeat.training.items import Item
from fluxbeat.training.recordings import Recording
from fluxbeat.training.teacher_labels import tag_probabilities
from fluxbeat.zoo import ModelInfo

FEATURES = FeatureConfig()
RATE_HZ = FEATURES.sample_rate_hz
LABELS = ("jazz", "metal", "rock")
TONES_HZ = (300, 1200, 4000)


def item(name: str, *labels: str, band: int = 10, frames: int = 640, **more) -> Item:
    """Music that sounds in one band."""
    log_mel = np.random.default_rng(band).normal(-0.3, 0.3, (FEATURES.n_mels, frames)).astype(np.float32)
    log_mel[band] += 4
    return Item(name, log_mel, labels or None, None, **more)


def tone(hz: float, seconds: float, level: float = 0.3) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def recording(folder, name: str, samples: np.ndarray, *labels: str, tempo_bpm: float | None = None) -> Recording:
    soundfile.write(folder / f"{name}.wav", samples, RATE_HZ, subtype="FLOAT")
    return Recording(folder / f"{name}.wav", labels or None, tempo_bpm, name, 0)


def answer(case: Case, *probabilities: float, bpm: float | None = None, borders_s: tuple[float, ...] = ()) -> Answer:
    """What a model would answer that is this sure of jazz, metal and rock."""
    genres = sorted(
        (Genre(label, p, p > 0.5) for label, p in zip(LABELS, probabilities, strict=True)), key=lambda g: -g.probability
    )
    edges = [0.0, *borders_s, case.track.duration_s]
    nothing = np.zeros(0)
    return Answer(
        case,
        TrackAnalysis(
            file=case.track.file,
            duration_s=case.track.duration_s,
            model=ModelInfo("made up", "", ""),
            genres=tuple(genres),
            tempo=Tempo(bpm, 1.0, (), nothing, nothing),
            timeline=Timeline(8.0, 1.0, np.zeros(1), LABELS, np.array([probabilities]), nothing),
            segments=tuple(Segment(a, b, ()) for a, b in itertools.pairwise(edges)),
            warnings=(),
            envelope=case.track.envelope,
            elapsed_s=0.0,
        ),
    )


def case(*labels: str, name: str = "x", frames: int = 20, **more) -> Case:
    return Case(track_of(item(name, frames=frames), FEATURES), labels or None, more.pop("tempo_bpm", None), **more)


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


def test_calibration_error_is_the_distance_between_what_is_said_and_what_is_so():
    truth = np.zeros((100, 2), bool)
    truth[:50, 0] = True  # said: 0.9; so: half of the time
    truth[:30, 1] = True  # said: 0.3; so: as often as said
    probability = np.tile([0.9, 0.3], (100, 1))
    everything = np.ones_like(truth)
    weights = np.ones((1, 100))
    assert calibration_error(probability, truth, everything, weights) == pytest.approx((0.4 + 0.0) / 2)
    only_second = everything & [False, True]
    assert calibration_error(probability, truth, only_second, weights) == pytest.approx(0.0)
    rows = reliability(probability, truth, everything)
    assert [(row["n"], row["said"], row["true"]) for row in rows] == [(100, 0.3, 0.3), (100, 0.9, 0.5)]


def test_true_probabilities_have_hardly_any_calibration_error():
    rng = np.random.default_rng(2)
    probability = rng.random((20_000, 1))
    truth = rng.random((20_000, 1)) < probability
    error = calibration_error(probability, truth, np.ones_like(truth), np.ones((1, 20_000)))
    assert error < 0.015
    assert calibration_error(probability**3, truth, np.ones_like(truth), np.ones((1, 20_000))) > 0.1


def test_borders_are_matched_one_to_one_as_well_as_can_be():
    assert border_hits([10.0, 11.0], [10.5]) == 1
    assert border_hits([13.0, 20.1], [10.0, 17.0]) == 1
    rng = np.random.default_rng(3)
    for _ in range(60):
        said, true = rng.uniform(0, 30, rng.integers(0, 5)), rng.uniform(0, 30, rng.integers(0, 5))
        few, many = sorted((said, true), key=len)
        best = max(
            sum(abs(a - b) <= 3 for a, b in zip(few, chosen, strict=True))
            for chosen in itertools.permutations(many, len(few))
        )
        assert border_hits(said, true) == best


def test_border_f1_is_pooled_over_tracks():
    found = border_measures(np.array([1, 2]), np.array([4, 2]), np.array([1, 3]), ["", ""])
    assert found["precision"]["value"] == pytest.approx(3 / 6)
    assert found["recall"]["value"] == pytest.approx(3 / 4)
    assert found["f1"]["value"] == pytest.approx(2 * 0.5 * 0.75 / 1.25)
    assert found["borders"] == 4
    low, high = found["f1"]["interval_95"]
    assert low <= found["f1"]["value"] <= high


def test_segments_at_the_true_borders_have_f1_of_one_and_none_at_all_have_zero():
    spliced = case("jazz", "metal", frames=2000, borders_s=(20.0, 50.0))
    right, none = answer(spliced, 0, 0, 0, borders_s=(21.0, 47.5)), answer(spliced, 0, 0, 0)
    assert summarise_borders([right])["f1"]["value"] == 1
    assert summarise_borders([none])["f1"]["value"] == 0
    assert summarise_borders([right, none])["recall"]["value"] == 0.5
    assert summarise_borders([right, none])["precision"]["value"] == 1


def test_a_quiet_clip_is_heard_in_a_mix_as_well_as_a_loud_one(tmp_path):
    import librosa

    loud = recording(tmp_path, "loud", tone(400, 12, 0.8), "jazz")
    quiet = recording(tmp_path, "quiet", tone(3000, 15, 0.01), "metal")
    (mixed,) = mix_cases([loud, quiet], FEATURES, 5)
    assert set(mixed.labels) == {"jazz", "metal"}
    assert mixed.track.duration_s == pytest.approx(12)
    band_hz = librosa.mel_frequencies(FEATURES.n_mels + 2, fmin=FEATURES.f_min_hz, fmax=FEATURES.f_max_hz)[1:-1]
    level = mixed.track.log_mel.mean(axis=1)
    low, high = (level[np.abs(band_hz - hz).argmin()] for hz in (400, 3000))
    assert low - np.median(level) == pytest.approx(high - np.median(level), rel=0.15)


def test_a_mix_of_spectrograms_holds_both():
    (mixed,) = mix_items([item("a", "jazz", band=10), item("b", "metal", band=60, frames=400)], FEATURES, 1)
    level = mixed.track.log_mel.mean(axis=1)
    assert set(np.argsort(-level)[:2]) == {10, 60}
    assert set(mixed.labels) == {"jazz", "metal"}
    assert mixed.track.log_mel.shape[1] == 400


def test_mixes_never_pair_a_genre_with_itself_and_use_all_clips_alike():
    music = [item(f"{label}{n}", label) for label in LABELS for n in range(6)]
    chosen = pairs(music, 45, seed=4)
    assert len({frozenset((a.item_id, b.item_id)) for a, b in chosen}) == 45
    assert all(a.labels != b.labels for a, b in chosen)
    used = [sum(entry.item_id in (a.item_id, b.item_id) for a, b in chosen) for entry in music]
    assert max(used) - min(used) <= 2
    assert pairs(music, 45, seed=4) == chosen
    assert pairs(music, 45, seed=5) != chosen


def test_music_that_may_be_metal_is_not_mixed_with_metal():
    rock = item("rock", "rock", known=("jazz", "rock"))
    with pytest.raises(FluxBeatError, match="two genres"):
        pairs([rock, item("metal", "metal")], 1, seed=0)
    assert len(pairs([rock, item("metal", "metal"), item("jazz", "jazz")], 10, seed=0)) == 2


def test_both_genres_of_a_mix_must_be_among_the_first_three():
    four = case("jazz", "rock")
    found = summarise_mixes([answer(four, 0.9, 0.2, 0.3), answer(case("jazz", "polka"), 0.9, 0.2, 0.1)])
    assert found["both_in_top3"] == {"value": 1.0, "n": 1, "interval_95": found["both_in_top3"]["interval_95"]}


def test_a_crossfade_keeps_the_power_and_its_middle_is_the_border():
    rng = np.random.default_rng(5)
    pieces = [rng.normal(0, 1, 40_000).astype(np.float32) for _ in range(3)]
    samples, borders = crossfaded(pieces, 8_000)
    assert len(samples) == 3 * 40_000 - 2 * 8_000
    assert borders == [36_000, 68_000]
    for border in borders:
        assert np.var(samples[border - 4000 : border + 4000]) == pytest.approx(1, abs=0.05)


def test_spliced_recordings_change_where_their_borders_say(tmp_path):
    recordings = [recording(tmp_path, str(hz), tone(hz, 28), label) for hz, label in zip(TONES_HZ, LABELS, strict=True)]
    for spliced in splice_cases(recordings, FEATURES, 3, seed=1):
        assert 1 <= len(spliced.borders_s) <= 2
        loudest = spliced.track.log_mel.argmax(axis=0)
        edges_s = [0.0, *spliced.borders_s, spliced.track.duration_s]
        bands = []
        for start_s, end_s in itertools.pairwise(edges_s):
            assert 11 <= end_s - start_s <= 26
            inside = loudest[round((start_s + 0.4) * 21) : round((end_s - 0.4) * 21)]
            assert np.ptp(inside) <= 1, "one recording between two borders"
            bands.append(int(np.median(inside)))
        assert len(set(bands)) == len(bands) == len(spliced.labels)


def test_spliced_spectrograms_change_where_their_borders_say():
    music = [item(label, label, band=band) for label, band in zip(LABELS, (10, 40, 70), strict=True)]
    for spliced in splice_items(music, FEATURES, 4, seed=2):
        loudest = spliced.track.log_mel.argmax(axis=0)
        changes = np.flatnonzero(np.diff(loudest)) + 1
        assert changes / FEATURES.frame_rate_hz == pytest.approx(spliced.borders_s)


def test_a_genre_that_the_source_leaves_open_is_no_wrong_answer():
    rock = case("rock", known=("jazz", "rock"))
    report = summarise([answer(rock, 0.1, 0.9, 0.6), answer(case("metal"), 0.3, 0.8, 0.2)])
    assert report["accuracy"]["value"] == 1
    assert report["average_precision"]["metal"] | {"interval_95": None} == {
        "value": 1.0, "n": 1, "positives": 1, "interval_95": None,
    }  # fmt: skip
    assert summarise([answer(replace(rock, known=None), 0.1, 0.9, 0.6)])["accuracy"]["value"] == 0
    assert report["accuracy_all_labels"]["value"] == 0.5, "metal is more probable than rock, whoever knows about metal"
    assert "accuracy_all_labels" not in summarise([answer(replace(rock, known=None), 0.1, 0.9, 0.6)])


def test_a_genre_that_the_model_lacks_is_named_and_not_counted():
    report = summarise([answer(case("polka"), 0.1, 0.9, 0.6), answer(case("metal"), 0.3, 0.8, 0.2)])
    assert report["labels_the_model_lacks"] == ["polka"]
    assert report["accuracy"]["n"] == 1
    assert report["tracks"] == 2


def test_a_summary_of_rankings_counts_its_positives():
    truth = ["jazz"] * 20 + ["metal"] * 10
    rng = np.random.default_rng(6)
    report = summarise([answer(case(label), *rng.random(3)) for label in truth])
    assert [report["average_precision"][label]["positives"] for label in LABELS] == [20, 10, 0]
    scored = [report["average_precision"][label]["value"] for label in LABELS[:2]]
    assert report["macro_average_precision"]["value"] == pytest.approx(np.mean(scored), abs=1e-4)
    assert report["macro_average_precision"]["n"] == 2
    low, high = report["average_precision"]["jazz"]["interval_95"]
    assert 0 < low < report["average_precision"]["jazz"]["value"] < high <= 1
    assert report["calibration"]["ece"]["n"] == 30


def test_a_label_with_few_positives_has_no_part_in_the_mean():
    rng = np.random.default_rng(6)
    report = summarise([answer(case(label), *rng.random(3)) for label in ["jazz"] * 20 + ["metal"] * 9])
    assert report["average_precision"]["metal"]["positives"] == 9
    assert report["macro_average_precision"]["n"] == 1
    assert report["macro_average_precision"]["value"] == report["average_precision"]["jazz"]["value"]


def test_musicnn_is_compared_on_the_labels_it_has_and_on_the_same_tracks():
    rng = np.random.default_rng(7)
    worse, better = [], []
    for label in ("jazz", "metal") * 20:
        said = [float(label == own) + rng.normal(0, 0.2) for own in LABELS]
        noise = {own: rng.random() for own in ("jazz", "metal")}
        worse.append(answer(case(label, peer_genres=noise), *np.clip(said, 0, 1)))
        better.append(answer(case(label, peer_genres=dict(zip(LABELS, said, strict=True))), *rng.random(3)))
    found = summarise(worse)["musicnn"]
    assert found["difference"]["value"] == pytest.approx(
        found["own_macro"]["value"] - found["macro"]["value"], abs=2e-4
    )
    assert found["difference"]["interval_95"][0] > 0
    assert found["macro"]["n"] == 2, "rock has no positive track"
    assert summarise(better)["musicnn"]["difference"]["interval_95"][1] < 0


def test_musicnns_answer_in_our_labels_is_its_loudest_tag():
    logits = np.full((2, 100), -4.0, np.float16)
    logits[:, TAGS["MSD"].index("heavy metal")] = [0.0, 2.0]
    logits[:, 50 + TAGS["MTT"].index("classical")] = 3.0
    genres = tag_probabilities(logits)
    assert genres["metal"] == pytest.approx((0.5 + 1 / (1 + np.exp(-2))) / 2, abs=1e-3)
    assert max(genres, key=genres.get) == "classical"
    assert not {"reggae", "disco"} & set(genres)


def test_the_gap_between_two_forms_rests_on_clips_that_are_right_in_one_only():
    heard, seen = [], []
    for number in range(20):
        clip = case("jazz", name=f"jazz.{number}")
        track = replace(clip.track, file=f"jazz.{number}.wav")
        heard.append(answer(replace(clip, track=track, sound=lambda rate_hz: tone(100, 1)), 0.2, 0.6, 0.1))
        seen.append(answer(clip, *((0.8, 0.1, 0.1) if number < 5 else (0.2, 0.6, 0.1))))
    found = paired_gap(heard, [*seen, answer(case("rock", name="another"), 0, 0, 1)])
    assert (found["value"], found["n"], found["only_first"], found["only_second"]) == (0.25, 20, 0, 5)
    assert 0 < found["interval_95"][0] < 0.25 < found["interval_95"][1] < 0.5
    assert paired_gap(seen, seen)["interval_95"] == [0, 0]


def test_seeds_give_a_mean_and_a_spread():
    def run(value):
        return {
            "tracks": 9,
            "model": {"name": "x"},
            "tempo": {"accuracy1": {"value": value, "n": 9, "interval_95": [0, 1]}},
        }

    found = over_seeds([run(0.5), run(0.6), run(0.7)])
    entry = found["tempo"]["accuracy1"]
    assert (entry["value"], entry["sd"], entry["seeds"], entry["n"]) == (0.6, 0.1, 3, 9)
    assert found["tracks"] == 9


def clicks(tempo_bpm: float, seconds: float) -> np.ndarray:
    samples = np.zeros(round(seconds * RATE_HZ), np.float32)
    hit = np.random.default_rng(8).normal(0, 0.4, 600) * np.linspace(1, 0, 600)
    for start in np.arange(0, len(samples) - 600, 60 / tempo_bpm * RATE_HZ).astype(int):
        samples[start : start + 600] += hit
    return samples


def test_tempo_peers_hear_the_same_file(tmp_path, monkeypatch):
    heard = []

    def extractor(method):
        def extract(samples):
            heard.append((method, len(samples), samples.dtype))
            return (61.0, "beats", 0.5)

        return extract

    essentia = SimpleNamespace(log=SimpleNamespace(infoActive=True))
    monkeypatch.setitem(sys.modules, "essentia", essentia)
    monkeypatch.setitem(sys.modules, "essentia.standard", SimpleNamespace(RhythmExtractor2013=extractor))
    recordings = [recording(tmp_path, "clicks", clicks(120, 10), "rock", tempo_bpm=120)]
    (asked,) = ask_peers(recording_cases(recordings, FEATURES), ["librosa", "essentia"])
    assert asked.peer_bpm["librosa"] == pytest.approx(120, rel=0.04)
    assert asked.peer_bpm["essentia"] == 61
    assert heard == [("multifeature", pytest.approx(441_000, abs=2), np.float32)]
    report = summarise([answer(asked, 0, 0, 1, bpm=119)])
    assert report["tempo"]["accuracy1"]["value"] == report["librosa_tempo"]["accuracy1"]["value"] == 1
    assert report["essentia_tempo"]["accuracy1"]["value"] == 0
    assert report["essentia_tempo"]["accuracy2"]["value"] == 1


def test_a_peer_that_is_not_there_is_named_with_its_cure(tmp_path, monkeypatch):
    cases = list(recording_cases([recording(tmp_path, "clicks", clicks(120, 4), tempo_bpm=120)], FEATURES))
    with pytest.raises(FluxBeatError, match="librosa or essentia"):
        list(ask_peers(cases, ["metronome"]))
    monkeypatch.setitem(sys.modules, "essentia", None)
    with pytest.raises(FluxBeatError, match="pip install essentia"):
        list(ask_peers(cases, ["essentia"]))


def test_musicnn_hears_recordings_of_which_the_genre_is_known(tmp_path):
    heard = []

    def listen(samples, sample_rate_hz):
        heard.append(len(samples) / sample_rate_hz)
        return np.full((2, 100), 0.0), np.zeros((2, 400))

    recordings = [recording(tmp_path, "a", tone(300, 7), "jazz"), recording(tmp_path, "b", tone(300, 8))]
    known, unknown = ask_peers(recording_cases(recordings, FEATURES), [], SimpleNamespace(listen=listen))
    assert heard == [pytest.approx(7)]
    assert set(known.peer_genres.values()) == {0.5}
    assert not unknown.peer_genres


def test_answers_as_arrays_keep_what_is_not_known_apart():
    nothing, jazz = answer(case(), 0.1, 0.2, 0.3), answer(case("jazz", known=("rock",)), 0.4, 0.9, 0.6)
    scores = GenreScores.of([nothing, jazz])
    assert scores.known.tolist() == [[False, False, False], [True, False, True]]
    assert scores.first(1).tolist() == [[False, False, False], [False, False, True]]


def archive(folder) -> str:
    """Four clips as pictures and as recordings, of tones: the bookkeeping counts here, not the answers."""
    rng = np.random.default_rng(9)
    ids = [f"{genre}.0000{n}" for genre in ("jazz", "metal") for n in (0, 1)]
    np.savez(folder / "four.npz", clip_id=np.array(ids), spectrogram=rng.integers(0, 255, (4, 129, 496), np.uint8))
    with open(folder / "four.csv", "w", newline="") as handle:
        rows = [[name, name.split(".")[0], 120, n, 1] for n, name in enumerate(ids)]
        csv.writer(handle).writerows([["clip_id", "genre", "bpm", "artist_group", "fold"], *rows])
    for number, name in enumerate(ids):
        recording(folder, name, clicks(120, 14) + tone(200 * (number + 1), 14), name.split(".")[0])
    return str(folder / "four")


def test_evaluate_prints_the_whole_table_for_several_seeds(tmp_path, capsys):
    stem = archive(tmp_path)
    more = ["--gtzan-archive", stem, "--recordings", str(tmp_path), "--mixes", "2", "--splices", "1"]
    assert main(["evaluate", "cnn", "cnn", *more, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["split"] == "recordings of four"
    assert len(report["models"]) == 2
    one, together = report["models"][0], report["over_seeds"]
    assert one["tracks"] == one["gap"]["n"] == one["librosa_tempo"]["accuracy1"]["n"] == 4
    assert one["mixes"]["both_in_top3"]["n"] == 2
    assert one["splices"]["borders"] == 1, "two genres, one border"
    assert together["accuracy"]["value"] == one["accuracy"]["value"]
    assert together["splices"]["f1"]["sd"] == 0
    assert main(["evaluate", "cnn", *more, "--peers"]) == 0
    shown = capsys.readouterr().out
    for words in ("recordings of four", "genre accuracy", "calibration error", "both genres", "F1", "pictures minus"):
        assert words in shown
    assert "librosa" not in shown


def test_evaluate_judges_the_test_music_of_a_corpus_beside_its_teacher(tmp_path, capsys):
    package = tmp_path / PACKAGES / "some-music"
    package.mkdir(parents=True)
    soundfile.write(package / "song.wav", np.concatenate([tone(50, 5), clicks(150, 12)]), RATE_HZ)
    arrays, rows = {}, []
    for name, label, tempo_bpm, split in (("a", "metal", 150.0, "test"), ("b", "classical", None, "test"),
                                          ("c", "metal", None, "train")):  # fmt: skip
        arrays[f"log_mel/{name}"] = item(name, frames=252).log_mel.astype(np.float16)
        rows.append(
            IndexRow(name, "some-music", "some-music/song.wav", "", "", "", (label,), ("metal", "classical"), "guess",
                     tempo_bpm, 5.0, 12.0, split, "free-0000")
        )  # fmt: skip
    logits = np.full((2, 100), -3.0, np.float32)
    logits[:, TAGS["MSD"].index("metal")] = 2.0
    write_shard(tmp_path / "free-0000.npz", Shard("", FEATURES.hash, {}, arrays))
    write_shard(tmp_path / "teacher-free-0000.npz", Shard("", "", {}, {"logits/a": logits, "logits/b": logits - 9}))
    write_index(tmp_path, "free", rows)
    assert main(["evaluate", "cnn", "--corpus", str(tmp_path), "--mixes", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tracks"] == 2
    assert report["average_precision"]["metal"]["positives"] == 1
    assert report["average_precision"]["jazz"]["n"] == 0, "the corpus says nothing about jazz"
    assert report["librosa_tempo"]["accuracy1"] | {"interval_95": None} == {"value": 1.0, "n": 1, "interval_95": None}
    assert report["musicnn"]["average_precision"]["metal"]["value"] == 1
    assert report["mixes"]["both_in_top3"]["value"] == 1, "of the two labels that are known, both are among three"


def test_a_protocol_has_one_kind_of_test_music():
    with pytest.raises(FluxBeatError, match="one kind"):
        Protocol(archive="a", table="b")
    with pytest.raises(FluxBeatError, match="go with"):
        Protocol(table="b", fold=1)
    assert Protocol(archive="data/gtzan", fold=2).split == "pictures of gtzan, fold 2"
