"""Explanations: equal to the reference's, on an absolute scale, where the sound is, and honest about themselves."""

import json
import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from captum.attr import LayerGradCam, LayerGradientXActivation
from torch import nn

import fluxbeat
from fluxbeat.cli import main
from fluxbeat.errors import FluxBeatError
from fluxbeat.explanation import LAYERS, explain_tempo, explain_track, explain_whole_track, listen_to
from fluxbeat.explanation.attribution import attribute, spread, threshold_logit, usual_spectrum
from fluxbeat.explanation.files import heard_parts
from fluxbeat.explanation.regions import strongest_regions
from fluxbeat.explanation.report import explanation_report
from fluxbeat.explanation.sanity import likeness, mass_inside, randomised, splice
from fluxbeat.explanation.windows import band_edges_hz, cut_window
from fluxbeat.models import GenreTempoModel, ModelConfig, build_model, load_checkpoint, save_checkpoint
from fluxbeat.zoo import ModelInfo, ZooModel, bundled_names, checkpoints_folder, load
from tests.web_driving import EXAMPLES

METAL = EXAMPLES / "metal_muldjord_chaos_god.mp3"
CLASSICAL = EXAMPLES / "classical_john_michel_ave_maria.mp3"
TECHNO = EXAMPLES / "techno_george_ellinas_pulse.mp3"
RATE_HZ = 22_050


@pytest.fixture(params=bundled_names())
def model(request):
    return load(request.param)


def window_of(model, path, start_s):
    track = fluxbeat.analysis.read_track(path, model.network.config.features)
    return cut_window(track, model.network, start_s).log_mel


def label_of(model, name):
    return model.network.config.labels.index(name)


class GenreLogits(nn.Module):
    """What captum asks: a module whose output has one column per label."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, log_mel):
        return self.network(log_mel).genre_logits


class TokensAsGrid(nn.Module):
    """Tokens laid out on their grid and back, so that captum sees places; changes nothing."""

    def __init__(self, norm, grid):
        super().__init__()
        self.norm, self.grid, self.places = norm, grid, nn.Identity()
        # what the transformer's layer looks at before it calls its norm
        self.eps, self.weight, self.bias = norm.eps, norm.weight, norm.bias

    def forward(self, tokens):
        laid = self.norm(tokens).transpose(1, 2).unflatten(2, self.grid)
        return self.places(laid).flatten(2).transpose(1, 2)


def test_grad_cam_at_the_convolutions_is_captums(model):
    network, log_mel = model.network, window_of(model, METAL, 5.0)[None]
    label = label_of(model, "metal")
    ours = attribute(network, log_mel, label, "convolutions").evidence
    if network.config.family == "vit":
        layer = network.transformer.layers[-1]
        before = layer.norm1
        layer.norm1 = TokensAsGrid(before, network.token_grid)
        try:
            theirs = LayerGradCam(GenreLogits(network), layer.norm1.places).attribute(log_mel, target=label)
        finally:
            layer.norm1 = before
    else:
        theirs = LayerGradCam(GenreLogits(network), network.stack).attribute(log_mel, target=label)
    theirs = spread(theirs[:, 0], *log_mel.shape[1:])
    largest = float(theirs.detach().abs().max())
    assert largest > 0
    assert torch.allclose(ours, theirs.detach(), atol=1e-4 * largest)


def test_the_map_at_the_spectrogram_is_captums(model):
    network, log_mel = model.network, window_of(model, CLASSICAL, 5.0)[None]
    label, usual = label_of(model, "classical"), usual_spectrum(network)

    class FromUsual(nn.Module):
        def __init__(self):
            super().__init__()
            self.distance = nn.Identity()

        def forward(self, log_mel):
            return network(self.distance(log_mel - usual) + usual).genre_logits

    asked = FromUsual()
    theirs = LayerGradientXActivation(asked, asked.distance).attribute(log_mel, target=label)
    ours = attribute(network, log_mel, label, "spectrogram").evidence
    assert torch.allclose(ours, theirs.detach(), atol=1e-4)


def test_the_stretches_map_adds_up_to_the_distance_from_the_threshold(model):
    network = model.network
    windows = torch.stack([window_of(model, path, 6.0) for path in (METAL, CLASSICAL, TECHNO)])
    for label in range(len(network.config.labels)):
        found = attribute(network, windows, label, "stretches")
        with torch.no_grad():
            logit = network(windows).genre_logits[:, label]
        assert torch.allclose(found.logit, logit, atol=1e-4)
        assert torch.allclose(found.evidence.sum((1, 2)), logit - threshold_logit(network, label), atol=2e-3)


def test_a_threshold_logit_is_where_the_probability_is_the_threshold(model):
    network = model.network
    for label, threshold in enumerate(network.thresholds):
        logit = torch.full((1, len(network.thresholds)), threshold_logit(network, label))
        assert math.isclose(float(network.probabilities(logit)[0, label]), threshold, abs_tol=1e-5)


def test_weak_evidence_stays_weak():
    present = fluxbeat.explain(METAL, "cnn", "metal", 5.0, measure=False)
    absent = fluxbeat.explain(METAL, "cnn", "classical", 5.0, measure=False)
    assert present.probability > 0.5 > absent.probability
    assert absent.map.max() < 0.5 * present.map.max()
    assert absent.evidence.sum() < 0 < present.evidence.sum()


def test_explaining_leaves_the_weights_alone(model):
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    for layer in LAYERS:
        fluxbeat.explain(METAL, model, "metal", 3.0, layer=layer, measure=False)
    after = model.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.grad is None for parameter in model.network.parameters())
    assert not model.network.training


def test_a_quarter_of_metal_in_classical_holds_the_map(model):
    host, guest = window_of(model, CLASSICAL, 4.0), window_of(model, METAL, 8.0)
    shares = []
    for seed in range(4):
        spliced, place = splice(host, guest, np.random.default_rng(seed))
        found = attribute(model.network, spliced[None], label_of(model, "metal"))
        shares.append(mass_inside(found.evidence[0], place))
    assert np.nanmean(shares) > 0.6


def test_a_splice_is_a_quarter_and_changes_nothing_else():
    host, guest = torch.zeros(80, 168), torch.ones(80, 168)
    spliced, place = splice(host, guest, np.random.default_rng(0))
    assert float(spliced.mean()) == 0.25
    assert float(spliced[:, place].mean()) == 1.0
    assert float(host.sum()) == 0.0


def test_mass_inside_is_read_off_a_map_that_is_known():
    evidence = torch.zeros(80, 168)
    evidence[10, 20:30], evidence[10, 100], evidence[3, 3] = 1.0, 10.0, -50.0
    assert mass_inside(evidence, slice(20, 30)) == pytest.approx(0.5)
    assert math.isnan(mass_inside(-evidence.abs(), slice(20, 30)))


def test_random_weights_give_another_map(model):
    log_mel, label = window_of(model, METAL, 5.0), label_of(model, "metal")
    true = attribute(model.network, log_mel[None], label).evidence[0]
    parts = [
        (part, likeness(true, attribute(broken, log_mel[None], label).evidence[0]))
        for part, broken in randomised(model.network)
    ]
    assert parts[0][0] == "genre_head"
    assert abs(parts[-1][1]) < 0.2
    again = attribute(model.network, log_mel[None], label).evidence[0]
    assert torch.equal(true, again)


def test_a_sure_answer_falls_when_the_marked_places_go(model):
    found = fluxbeat.explain(METAL, model, "metal", 5.0).faithfulness
    assert found.map.deletion[0] == pytest.approx(found.map.insertion[-1], abs=1e-5)
    assert found.map.faithfulness > found.random.faithfulness
    assert found.score == pytest.approx(
        found.map.faithfulness - max(found.random.faithfulness, found.energy.faithfulness)
    )


def test_the_strongest_place_is_said_in_seconds_and_hertz():
    features = load("cnn").network.config.features
    edges_hz = band_edges_hz(features)
    positive = np.zeros((80, 168))
    positive[0:4, 42:84] = 1.0
    positive[40:44, 120:126] = 0.2
    (region, *others) = strongest_regions(positive, 30.0, features.frame_rate_hz, edges_hz)
    assert region.start_s == pytest.approx(32.0, abs=0.4)
    assert region.end_s == pytest.approx(34.0, abs=0.4)
    assert region.low_hz == pytest.approx(edges_hz[0])
    assert edges_hz[3] < region.high_hz < edges_hz[8]
    assert region.share > 0.8
    assert all(other.share < region.share for other in others)
    assert strongest_regions(np.zeros((80, 168)), 0.0, 21.0, edges_hz) == ()


def test_what_is_attended_and_the_rest_are_the_window():
    found = fluxbeat.explain(METAL, "cnn", "metal", 5.0, measure=False)
    parts = heard_parts(found, METAL)
    samples = fluxbeat.audio.load_audio(METAL, sample_rate_hz=44_100).samples
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
    whole = fluxbeat.audio.load_audio(path, sample_rate_hz=44_100).samples
    found = fluxbeat.explain(METAL, "cnn", "metal", 5.0, measure=False)
    for start_s in (0.0, 16.37, 471.9):
        at_start = fluxbeat.Explanation(**{**vars(found), "start_s": start_s})
        tracemalloc.start()
        try:
            parts = heard_parts(at_start, path)
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        first = round(start_s * 44_100)
        expected = listen_to(at_start, whole[first : first + 8 * 44_100], 44_100)
        assert np.array_equal(parts.attended, expected.attended)
        assert np.array_equal(parts.rest, expected.rest)
        assert peak_bytes < whole.nbytes, f"{peak_bytes / 1e6:.0f} MB at {start_s} s"


def test_a_marked_band_is_what_is_heard():
    time_s = np.arange(8 * RATE_HZ) / RATE_HZ
    low, high = np.sin(2 * np.pi * 220 * time_s), np.sin(2 * np.pi * 3520 * time_s)
    found = fluxbeat.explain(METAL, "cnn", "metal", 0.0, measure=False)
    evidence = np.zeros_like(found.evidence)
    evidence[found.band_hz < 700] = 1.0
    marked = fluxbeat.Explanation(**{**vars(found), "evidence": evidence})
    parts = listen_to(marked, (low + high).astype(np.float32), RATE_HZ)
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
    assert fluxbeat.explain(TECHNO, model, measure=False, layer="spectrogram").map.max() > 0


def test_by_default_the_strongest_window_of_the_strongest_label():
    metal, classical = (fluxbeat.audio.load_audio(path, sample_rate_hz=RATE_HZ).samples for path in (METAL, CLASSICAL))
    track = np.concatenate([classical[: 14 * RATE_HZ], metal[: 14 * RATE_HZ]])
    found = fluxbeat.explain((track, RATE_HZ), "cnn", "metal", measure=False)
    assert found.start_s > 12.0
    assert found.about == "metal"


def test_each_segment_of_a_whole_track_is_carried_by_its_own_music():
    metal, classical = (fluxbeat.audio.load_audio(path, sample_rate_hz=RATE_HZ).samples for path in (METAL, CLASSICAL))
    model = load("cnn")
    source = (np.concatenate([classical[: 20 * RATE_HZ], metal[: 20 * RATE_HZ]]), RATE_HZ)
    track = fluxbeat.analysis.read_track(source, model.network.config.features)
    analysis = fluxbeat.analysis.analyze_track(track, model)
    found = explain_whole_track(track, model, analysis)
    assert found.evidence["metal"].shape == track.log_mel.shape
    border = round(20 * found.frame_rate_hz)
    carried = found.evidence["metal"].clip(min=0)
    assert carried[:, border:].sum() > 4 * carried[:, :border].sum()
    for one in found.segments:
        assert all(
            one.segment.start_s - 0.1 <= region.start_s <= region.end_s <= one.segment.end_s + 0.1
            for region in one.regions
        )


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"label": "polka"}, "knows no genre 'polka'"),
        ({"label": "metal", "start_s": 500.0}, "no window begins at 500 s"),
        ({"label": "metal", "start_s": -3.0}, "no window begins at -3 s"),
        ({"label": "metal", "layer": "middle"}, "no layer 'middle'"),
    ],
)
def test_what_cannot_be_explained_is_said(asked, says):
    with pytest.raises(FluxBeatError, match=says):
        fluxbeat.explain(METAL, "cnn", measure=False, **asked)


def test_a_tempo_off_the_grid_and_a_silent_window_are_said():
    with pytest.raises(FluxBeatError, match="knows 30 to 300 BPM"):
        explain_tempo(METAL, "cnn", bpm=900.0)
    with pytest.raises(FluxBeatError, match="the window from 0.0 s is silent"):
        explain_tempo((np.zeros(10 * RATE_HZ, np.float32), RATE_HZ), "cnn", start_s=0.0)


def test_silence_is_not_explained_and_never_chosen():
    metal = fluxbeat.audio.load_audio(METAL, sample_rate_hz=RATE_HZ).samples[: 10 * RATE_HZ]
    source = (np.concatenate([np.zeros(20 * RATE_HZ, np.float32), metal]), RATE_HZ)
    assert fluxbeat.explain(source, "cnn", measure=False).start_s > 11.0
    # what a model names for silence is no reason to look for it there
    assert fluxbeat.explain(source, "cnn", "ambient", measure=False).start_s > 11.0
    with pytest.raises(FluxBeatError, match="the window from 4.0 s is silent: choose another moment"):
        fluxbeat.explain(source, "cnn", "metal", start_s=4.0, measure=False)


def test_a_model_without_places_is_said():
    class Placeless(GenreTempoModel):
        time_stride, time_context = 1, 1

        def __init__(self, config):
            super().__init__(config, 4, texture_share=0.9)

        def timbre_frames(self, log_mel):
            return log_mel[:, :4]

        def embed(self, timbre):
            return timbre.mean(-1)

    config = ModelConfig("cnn", ("a", "b"), (0.5, 0.5))
    model = ZooModel(ModelInfo("odd", "", ""), Placeless(config).eval())
    with pytest.raises(FluxBeatError, match="no spatial layer"):
        fluxbeat.explain(METAL, model, "a", 0.0, layer="convolutions")


def test_maps_of_the_transformer_come_from_its_own_grid():
    config = ModelConfig("vit", ("a", "b"), (0.5, 0.5), architecture={"depth": 2, "width": 48, "heads": 2})
    small = build_model(config).eval()
    assert small.token_grid[0] != small.token_grid[1]
    found = attribute(small, torch.randn(2, 80, 168), 1, "convolutions")
    assert found.evidence.shape == (2, 80, 168)


def test_the_report_measures_a_folder_and_names_what_it_could_not_read(tmp_path):
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(b"no music")
    report = explanation_report(load("cnn"), [METAL, CLASSICAL, TECHNO, broken], layers=["stretches"], windows=2)
    assert [one["file"] for one in report["unread"]] == ["broken.mp3"]
    assert report["windows"] == 6 and report["splices"] == 6
    found = report["layers"]["stretches"]
    gains = found["insertion_minus_deletion"]
    assert gains["map"]["value"] > max(gains["random"]["value"], gains["energy"]["value"])
    assert gains["map"]["n"] == 6
    assert found["randomisation"]["passes"]
    json.dumps(report, allow_nan=False)


def test_a_report_on_nothing_readable_is_said(tmp_path):
    broken, silent = tmp_path / "broken.mp3", tmp_path / "silent.wav"
    broken.write_bytes(b"no music")
    soundfile.write(silent, np.zeros(20 * RATE_HZ), RATE_HZ)
    with pytest.raises(FluxBeatError, match="none of the 2 files can be explained .*silent"):
        explanation_report(load("cnn"), [broken, silent])


def test_the_report_command_fails_where_any_model_left_a_file_unread(tmp_path, capsys):
    music = tmp_path / "music"
    music.mkdir()
    samples = fluxbeat.audio.load_audio(METAL, sample_rate_hz=RATE_HZ).samples
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
    music = fluxbeat.audio.load_audio(METAL, sample_rate_hz=RATE_HZ).samples[: 20 * RATE_HZ]
    half = tmp_path / "half.wav"
    soundfile.write(half, np.concatenate([music, np.zeros_like(music)]), RATE_HZ)
    report = explanation_report(load("cnn"), [half, CLASSICAL], layers=["stretches"], windows=2)
    assert report["windows"] == 3


def test_the_command_writes_picture_arrays_sound_and_json(tmp_path, capsys):
    options = ["--png", str(tmp_path / "why.png"), "--npz", str(tmp_path / "why.npz"), "--sound", str(tmp_path)]
    assert main(["explain", str(METAL), "--model", "cnn", "--label", "metal", "--window", "5", "--json", *options]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["about"] == "metal" and said["start_s"] == 5.0 and said["layer"] == "stretches"
    assert said["faithfulness"]["words"]
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")
    with np.load(tmp_path / "why.npz") as arrays:
        assert arrays["evidence"].shape == arrays["log_mel"].shape == (80, 168)
        assert arrays["evidence"].clip(min=0).sum() == pytest.approx(said["evidence"]["for"], abs=1e-3)
        assert json.loads(str(arrays["about"])) == said
    attended, rate_hz = soundfile.read(tmp_path / "attended.wav")
    assert len(attended) == 8 * rate_hz


def test_the_command_explains_several_models_the_tempo_and_the_track(capsys):
    assert main(["explain", str(TECHNO), "--model", "cnn", "vit", "--window", "2", "--json"]) == 0
    assert [one["model"]["name"] for one in json.loads(capsys.readouterr().out)] == ["cnn", "vit"]
    assert main(["explain", str(TECHNO), "--model", "cnn", "--tempo", "--window", "2"]) == 0
    assert "BPM" in capsys.readouterr().out
    assert main(["explain", str(TECHNO), "--model", "cnn", "--track"]) == 0
    assert "Hz" in capsys.readouterr().out


def test_the_command_says_what_is_wrong(capsys):
    assert main(["explain"]) == 2
    assert "FILE or --report" in capsys.readouterr().err
    assert main(["explain", str(METAL), "--label", "polka"]) == 2
    assert "knows no genre 'polka'" in capsys.readouterr().err


def test_explain_track_needs_the_models_own_features():
    model = load("cnn")
    track = fluxbeat.analysis.read_track(METAL, model.network.config.features)
    assert explain_track(track, model, "metal", 5.0, measure=False).file == METAL.name
