"""Explanations of the shipped models on real music: where the sound is, on an absolute scale, and honest."""

import json
import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from web_driving import EXAMPLES

import fluxbeat
from fluxbeat.analysis.engine import analyze_track
from fluxbeat.analysis.track import read_track
from fluxbeat.audio.decoding import load_audio, open_audio
from fluxbeat.cli.main import main
from fluxbeat.errors import FluxBeatError
from fluxbeat.explanation.attribution import Cam, attribute
from fluxbeat.explanation.explain import explain_tempo, explain_track
from fluxbeat.explanation.files import window_parts
from fluxbeat.explanation.sound_parts import split_sound
from fluxbeat.explanation.whole_track import explain_whole_track
from fluxbeat.explanation.windows import cut_window
from fluxbeat.models.checkpoint import load_checkpoint, save_checkpoint
from fluxbeat.models.registry import bundled_names, checkpoints_folder, load
from fluxbeat.training.evaluation.explanation_report import explanation_report, samples_of_files
from fluxbeat.training.evaluation.sanity import map_correlation, mass_inside, randomised, splice

METAL = EXAMPLES / "metal_muldjord_chaos_god.mp3"
CLASSICAL = EXAMPLES / "classical_john_michel_ave_maria.mp3"
TECHNO = EXAMPLES / "techno_george_ellinas_pulse.mp3"
RATE_HZ = 22_050


@pytest.fixture(params=bundled_names())
def model(request):
    return load(request.param)


def window_of(model, path, start_s):
    track = read_track(path, model.network.config.features)
    return cut_window(track, model.network, start_s).log_mel


def label_of(model, name):
    return model.network.config.labels.index(name)


def test_weak_evidence_stays_weak():
    present = fluxbeat.explain(METAL, "cnn", "metal", 5.0, measure=False)
    absent = fluxbeat.explain(METAL, "cnn", "classical", 5.0, measure=False)
    assert present.probability > 0.5 > absent.probability
    assert absent.map.max() < 0.5 * present.map.max()
    assert absent.evidence.sum() < present.evidence.sum()


def test_a_quarter_of_metal_in_classical_holds_the_map(model):
    host, guest = window_of(model, CLASSICAL, 4.0), window_of(model, METAL, 8.0)
    shares = []
    for seed in range(4):
        spliced, place = splice(host, guest, np.random.default_rng(seed))
        evidence = attribute(model.network, spliced[None], label_of(model, "metal"))[0]
        shares.append(mass_inside(evidence, place))
    assert np.nanmean(shares) > 0.6


def test_random_weights_give_another_map(model):
    log_mel, label = window_of(model, METAL, 5.0), label_of(model, "metal")
    true = attribute(model.network, log_mel[None], label)[0]
    parts = [
        (part, map_correlation(true, attribute(broken, log_mel[None], label)[0]))
        for part, broken in randomised(model.network)
    ]
    assert parts[0][0] in ("genre_head", "members")
    assert abs(parts[-1][1]) < 0.3
    again = attribute(model.network, log_mel[None], label)[0]
    assert torch.equal(true, again)


def test_a_sure_answer_falls_when_the_marked_places_go(model):
    found = fluxbeat.explain(METAL, model, "metal", 5.0).faithfulness
    assert found.map.deletion[0] == pytest.approx(found.map.insertion[-1], abs=1e-5)
    assert found.map.faithfulness > found.random.faithfulness
    assert found.score == pytest.approx(
        found.map.faithfulness - max(found.random.faithfulness, found.energy.faithfulness)
    )


def test_what_is_attended_and_the_rest_are_the_window():
    found = fluxbeat.explain(METAL, "cnn", "metal", 5.0, measure=False)
    parts = window_parts(found, METAL)
    samples = load_audio(METAL, sample_rate_hz=44_100).samples
    first = round(found.start_s * 44_100)
    window = samples[first : first + len(parts.attended)]
    assert np.abs(parts.attended + parts.rest - window).max() < 1e-5
    assert parts.attended.std() > 0.05 * window.std()
    assert parts.rest.std() > 0.05 * window.std()


def test_hearing_one_window_does_not_hold_the_whole_recording(tmp_path):
    path = tmp_path / "long.flac"
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 480 * 48_000).astype(np.float32)
    soundfile.write(path, noise, 48_000)
    del noise
    whole = load_audio(path, sample_rate_hz=44_100).samples
    found = fluxbeat.explain(METAL, "cnn", "metal", 5.0, measure=False)
    for start_s in (0.0, 16.37, 471.9):
        at_start = fluxbeat.Explanation(**{**vars(found), "start_s": start_s})
        tracemalloc.start()
        try:
            parts = window_parts(at_start, path)
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        first = round(start_s * 44_100)
        expected = split_sound(at_start, whole[first : first + round(found.window_s * 44_100)], 44_100)
        assert np.array_equal(parts.attended, expected.attended)
        assert np.array_equal(parts.rest, expected.rest)
        assert peak_bytes < whole.nbytes, f"{peak_bytes / 1e6:.0f} MB at {start_s} s"


def test_a_marked_band_is_what_is_played():
    time_s = np.arange(8 * RATE_HZ) / RATE_HZ
    low, high = np.sin(2 * np.pi * 220 * time_s), np.sin(2 * np.pi * 3520 * time_s)
    found = fluxbeat.explain(METAL, "cnn", "metal", 0.0, measure=False)
    evidence = np.zeros_like(found.evidence)
    evidence[found.band_hz < 700] = 1.0
    marked = fluxbeat.Explanation(**{**vars(found), "evidence": evidence})
    parts = split_sound(marked, (low + high).astype(np.float32), RATE_HZ)
    inside = slice(RATE_HZ, 7 * RATE_HZ)
    assert np.abs(parts.attended[inside] - low[inside]).max() < 0.1
    assert np.abs(parts.rest[inside] - high[inside]).max() < 0.1


def test_a_tempo_is_explained_by_its_clicks():
    samples = np.zeros(12 * RATE_HZ, np.float32)
    click = np.random.default_rng(0).standard_normal(600).astype(np.float32) * np.exp(-np.arange(600) / 120)
    beats_s = np.arange(0.5, 11.9, 0.5)
    for beat_s in beats_s:
        first = round(beat_s * RATE_HZ)
        samples[first : first + 600] += click[: len(samples) - first]
    samples += 0.001 * np.random.default_rng(1).standard_normal(len(samples)).astype(np.float32)
    found = explain_tempo((samples, RATE_HZ), "cnn", bpm=120.0, start_s=1.0)
    assert found.kind == "tempo" and found.about == "120.0 BPM"
    apart_s = np.abs(found.time_s[:, None] - beats_s).min(axis=1)
    near = apart_s < 0.1
    mean_near, mean_far = found.map[:, near].mean(), found.map[:, ~near].mean()
    assert mean_near > 1.5 * mean_far
    assert found.logit == pytest.approx(math.log(found.probability), abs=1e-4)


def test_tempo_and_genre_can_be_explained_after_an_analysis(model):
    fluxbeat.analyze(TECHNO, model)
    assert explain_tempo(TECHNO, model).map.max() > 0
    assert fluxbeat.explain(TECHNO, model, measure=False, cam=Cam("conv3", "grad-cam")).map.max() > 0


def test_by_default_the_strongest_window_of_the_strongest_label():
    metal, classical = (load_audio(path, sample_rate_hz=RATE_HZ).samples for path in (METAL, CLASSICAL))
    track = np.concatenate([classical[: 14 * RATE_HZ], metal[: 14 * RATE_HZ]])
    found = fluxbeat.explain((track, RATE_HZ), "cnn", "metal", measure=False)
    assert found.start_s > 12.0
    assert found.about == "metal"


def test_each_segment_of_a_whole_track_is_carried_by_its_own_music():
    metal, classical = (load_audio(path, sample_rate_hz=RATE_HZ).samples for path in (METAL, CLASSICAL))
    model = load("cnn")
    source = (np.concatenate([classical[: 20 * RATE_HZ], metal[: 20 * RATE_HZ]]), RATE_HZ)
    track = read_track(source, model.network.config.features)
    found = explain_whole_track(track, model, analyze_track(track, model))
    border = round(20 / found.column_s)
    carried = found.evidence["metal"]
    assert carried[:, border:].sum() > 4 * carried[:, :border].sum()
    for one in found.segments:
        assert all(
            one.segment.start_s - 0.1 <= region.start_s <= region.end_s <= one.segment.end_s + 0.1
            for region in one.regions
        )


def test_the_consensus_is_explained_by_its_members():
    if "all" not in bundled_names():
        pytest.skip("no consensus among the checkpoints")
    together = load("all")
    log_mel, label = window_of(together, METAL, 5.0)[None], label_of(together, "metal")
    count = len(together.network.thresholds)
    maps = [
        attribute(member, log_mel, label)
        * (member.calibrated(torch.ones(1, count)) - member.calibrated(torch.zeros(1, count)))[0, label]
        for member in together.network.members
    ]
    mixed = sum(weight * evidence for weight, evidence in zip(together.network.weights, maps, strict=True))
    assert torch.allclose(attribute(together.network, log_mel, label), mixed, atol=1e-6)
    assert fluxbeat.explain(METAL, together, "metal", 5.0).faithfulness.map.faithfulness > 0


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"label": "polka"}, "knows no genre 'polka'"),
        ({"label": "metal", "start_s": 500.0}, "no window begins at 500 s"),
        ({"label": "metal", "start_s": -3.0}, "no window begins at -3 s"),
        ({"label": "metal", "cam": Cam("middle", "grad-cam")}, "no layer 'middle'"),
    ],
)
def test_what_cannot_be_explained_is_reported(asked, says):
    with pytest.raises(FluxBeatError, match=says):
        fluxbeat.explain(METAL, "cnn", measure=False, **asked)


def test_a_tempo_off_the_grid_and_a_silent_window_are_reported():
    with pytest.raises(FluxBeatError, match="knows 30 to 300 BPM"):
        explain_tempo(METAL, "cnn", bpm=900.0)
    with pytest.raises(FluxBeatError, match="the window from 0.0 s is silent"):
        explain_tempo((np.zeros(10 * RATE_HZ, np.float32), RATE_HZ), "cnn", start_s=0.0)


def test_silence_is_not_explained_and_never_chosen():
    metal = load_audio(METAL, sample_rate_hz=RATE_HZ).samples[: 10 * RATE_HZ]
    source = (np.concatenate([np.zeros(20 * RATE_HZ, np.float32), metal]), RATE_HZ)
    assert fluxbeat.explain(source, "cnn", measure=False).start_s > 11.0
    # what a model names for silence is no reason to look for it there
    for label in load("cnn").network.config.labels[-3:]:
        assert fluxbeat.explain(source, "cnn", label, measure=False).start_s > 9.0
    with pytest.raises(FluxBeatError, match="the window from 4.0 s is silent: choose another moment"):
        fluxbeat.explain(source, "cnn", "metal", start_s=4.0, measure=False)


def test_the_report_measures_a_folder_and_names_what_it_could_not_read(tmp_path):
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(b"no music")
    model = load("cnn")
    samples, unread = samples_of_files(model, [METAL, CLASSICAL, TECHNO, broken], windows=2)
    report = explanation_report(model, samples)
    assert [one["file"] for one in unread] == ["broken.mp3"]
    assert report["windows"] == 6 and report["artists"] == 3
    (found,) = report["layers"].values()
    gains = found["insertion_minus_deletion"]
    assert gains["map"]["value"] > max(gains["random"]["value"], gains["energy"]["value"])
    assert gains["map"]["n"] == 6
    assert found["randomisation"]["passes"]
    json.dumps(report, allow_nan=False)


def test_a_report_on_nothing_readable_is_reported(tmp_path):
    broken, silent = tmp_path / "broken.mp3", tmp_path / "silent.wav"
    broken.write_bytes(b"no music")
    soundfile.write(silent, np.zeros(20 * RATE_HZ), RATE_HZ)
    with pytest.raises(FluxBeatError, match="none of the 2 files can be explained .*silent"):
        samples_of_files(load("cnn"), [broken, silent])


def test_the_report_command_fails_where_any_model_left_a_file_unread(tmp_path, capsys):
    music = tmp_path / "music"
    music.mkdir()
    samples = load_audio(METAL, sample_rate_hz=RATE_HZ).samples
    soundfile.write(music / "song.wav", samples[: 25 * RATE_HZ], RATE_HZ)
    assert main(["explain", "--report", str(music), "--model", "cnn", "--json"]) == 0
    assert capsys.readouterr().err == ""

    soundfile.write(music / "short.wav", samples[: 12 * RATE_HZ], RATE_HZ)
    (music / "broken.mp3").write_bytes(b"no music")
    network, _ = load_checkpoint(checkpoints_folder() / "cnn")
    network.config = replace(network.config, window_s=16.0)
    save_checkpoint(network, tmp_path / "patient")
    assert main(["explain", "--report", str(music), "--model", "cnn", str(tmp_path / "patient"), "--json"]) == 2
    printed = capsys.readouterr()
    assert [report["windows"] for report in json.loads(printed.out)] == [2, 1]
    broken, short = printed.err.strip().splitlines()
    assert broken.startswith("fluxbeat: broken.mp3: ")
    assert short == "fluxbeat: short.wav: shorter than one window of 16 s"

    (music / "song.wav").unlink()
    assert main(["explain", "--report", str(music), "--model", "cnn", str(tmp_path / "patient"), "--json"]) == 2
    printed = capsys.readouterr()
    assert [report["windows"] for report in json.loads(printed.out)] == [1], "what was measured is not lost"
    assert "patient: none of the 2 files can be explained" in printed.err


def test_a_report_leaves_out_windows_in_which_nothing_sounds(tmp_path):
    music = load_audio(METAL, sample_rate_hz=RATE_HZ).samples[: 20 * RATE_HZ]
    half = tmp_path / "half.wav"
    soundfile.write(half, np.concatenate([music, np.zeros_like(music)]), RATE_HZ)
    samples, _ = samples_of_files(load("cnn"), [half, CLASSICAL], windows=2)
    assert len(samples) == 3


def test_the_command_writes_image_arrays_sound_and_json(tmp_path, capsys):
    options = ["--png", str(tmp_path / "why.png"), "--npz", str(tmp_path / "why.npz"), "--sound", str(tmp_path)]
    assert main(["explain", str(METAL), "--model", "cnn", "--label", "metal", "--window", "5", "--json", *options]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["about"], answer["start_s"]) == ("metal", 5.0)
    assert answer["layer"].startswith("conv") and answer["method"]
    assert answer["faithfulness"]["words"]
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")
    with np.load(tmp_path / "why.npz") as arrays:
        assert arrays["evidence"].shape == arrays["log_mel"].shape == (80, 240)
        assert arrays["evidence"].clip(min=0).sum() == pytest.approx(answer["evidence"]["for"], abs=1e-3)
        assert json.loads(str(arrays["about"])) == answer
    attended, rate_hz = soundfile.read(tmp_path / "attended.wav")
    assert len(attended) == 10 * rate_hz


def test_the_command_explains_several_models_the_tempo_and_the_track(capsys):
    assert main(["explain", str(TECHNO), "--model", "cnn", "vit", "--window", "2", "--json"]) == 0
    assert [one["model"]["name"] for one in json.loads(capsys.readouterr().out)] == ["cnn", "vit"]
    assert main(["explain", str(TECHNO), "--model", "cnn", "--tempo", "--window", "2"]) == 0
    assert "BPM" in capsys.readouterr().out
    assert main(["explain", str(TECHNO), "--model", "cnn", "--track"]) == 0
    assert "Hz" in capsys.readouterr().out


def test_a_whole_track_is_decoded_once_for_all_models(capsys, monkeypatch):
    opened = []
    monkeypatch.setattr(
        "fluxbeat.analysis.track.open_audio", lambda *args, **given: opened.append(args) or open_audio(*args, **given)
    )
    assert main(["explain", str(METAL), "--model", "cnn", "vit", "--track", "--json"]) == 0
    assert [one["model"] for one in json.loads(capsys.readouterr().out)] == ["cnn", "vit"]
    assert len(opened) == 1


def test_the_command_says_what_is_wrong(capsys):
    assert main(["explain"]) == 2
    assert "FILE or --report" in capsys.readouterr().err
    assert main(["explain", str(METAL), "--label", "polka"]) == 2
    assert "knows no genre 'polka'" in capsys.readouterr().err


def test_explain_track_needs_the_models_own_features():
    model = load("cnn")
    track = read_track(METAL, model.network.config.features)
    assert explain_track(track, model, "metal", 5.0, measure=False).file == METAL.name
