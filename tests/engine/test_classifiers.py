"""Classifiers of transformers take a model's place: their answers are transformers' own, nothing of theirs is run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from api_asking import ask, send
from local_hub import NOBODY, LocalHub, Repository, speak_to
from rich.console import Console
from safetensors.torch import load_file, save_file
from tiny_classifiers import GENRES, MAKERS, save_clap, save_classifier
from web_driving import TECHNO

import fluxbeat
from fluxbeat.analysis.disagreement import disagreement
from fluxbeat.analysis.live import LiveAnalysis
from fluxbeat.analysis.result import TrackAnalysis
from fluxbeat.analysis.track import read_track
from fluxbeat.cli.main import main
from fluxbeat.cli.terminal import draw_found_labels
from fluxbeat.errors import AnalysisCancelled, ConfigMismatchError, ExplanationError, FluxBeatError, ModelLoadError
from fluxbeat.explanation.explain import explain_track
from fluxbeat.explanation.occlusion import asker, sound_evidence
from fluxbeat.library.stored_analysis import pack, unpack
from fluxbeat.models import registry
from fluxbeat.models.hub import fetching
from fluxbeat.models.hub.model_card import facts_of
from fluxbeat.models.speed import milliseconds_per_window
from fluxbeat.web.api import build_api_alone
from fluxbeat.web.api.contract import AnalysisDocument
from fluxbeat.web.settings import WebSettings
from fluxbeat.web.ui.live_tab import live_view
from fluxbeat.web.ui.model_facts import model_facts

RATE_HZ = 16_000
WINDOW_S = 10.0


def two_halves(rate_hz: int = RATE_HZ, duration_s: float = 26.0) -> np.ndarray:
    """A gliding tone that pulses, then noise."""
    t = np.arange(round(rate_hz * duration_s / 2)) / rate_hz
    tone = 0.3 * np.sin(2 * np.pi * 220 * t * (1 + t / 40)) * (t % 0.5 < 0.25)
    return np.concatenate([tone, np.random.default_rng(0).normal(0, 0.2, len(t))]).astype(np.float32)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each kind of classifier."""
    root = tmp_path_factory.mktemp("classifiers")
    folders = {kind: save_classifier(root / kind, kind) for kind in MAKERS}
    return {**folders, "clap": save_clap(root / "clap"), "fused": save_clap(root / "fused", fusion=True)}


def copied(folder: Path, to: Path, **changes: dict | None) -> Path:
    """A copy in which these settings of JSON files are others; None leaves a file away."""
    to.mkdir()
    for path in folder.iterdir():
        name = path.name.partition(".")[0]
        if path.is_file() and changes.get(name, {}) is not None:
            content = path.read_bytes()
            if name in changes:
                content = json.dumps(json.loads(content) | changes[name]).encode()
            (to / path.name).write_bytes(content)
    return to


def farthest(analysis: TrackAnalysis, sound: np.ndarray, pipeline: object, rate_hz: int = RATE_HZ) -> float:
    """Largest difference between the timeline and what a pipeline of transformers says of the same windows."""
    timeline, most = analysis.timeline, 0.0
    for start_s, row in zip(timeline.start_s, timeline.probability, strict=True):
        begin = round(start_s * rate_hz)
        scores = {one["label"]: one["score"] for one in pipeline(sound[begin : begin + round(WINDOW_S * rate_hz)])}
        most = max(most, *(abs(scores[label] - value) for label, value in zip(timeline.labels, row, strict=True)))
    return most


# What they answer


@pytest.mark.parametrize("kind", MAKERS)
def test_windows_are_answered_as_transformers_own_pipeline_answers_them(hub: LocalHub, made, kind):
    commit = hub.publish("ann/sounds", made[kind])
    model = registry.load("hf://ann/sounds")
    assert model.info.source == f"hf://ann/sounds@{commit}"
    sound = two_halves()
    analysis = fluxbeat.analyze((sound, RATE_HZ), model)
    pipeline = transformers.pipeline("audio-classification", model=str(made[kind]), top_k=None)
    assert farthest(analysis, sound, pipeline) < 1e-5
    assert np.ptp(analysis.timeline.probability, axis=0).max() > 1e-3, "the windows must differ"
    assert analysis.timeline.labels == GENRES
    np.testing.assert_allclose(analysis.timeline.start_s, np.arange(17.0), atol=1e-9)


def test_nothing_is_claimed_that_is_not_known_of_a_classifier(made):
    analysis = fluxbeat.analyze((two_halves(), RATE_HZ), made["hubert"])
    assert analysis.tempo.bpm is None
    assert analysis.warned("tempo_not_taught")
    assert not analysis.warned("no_music")
    assert (analysis.kind.music, analysis.kind.unfamiliar) == (1.0, 0.0)
    assert analysis.segments[-1].end_s == pytest.approx(26.0)
    assert analysis.elapsed_s > 0


@pytest.mark.parametrize("kind", ["clap", "fused"])
def test_clap_listens_for_the_genres_that_are_named(hub: LocalHub, made, kind):
    hub.publish("ann/words", made[kind])
    model = registry.load("hf://ann/words?genres=dub,deep house, dub")
    assert model.network.config.labels == ("dub", "deep house")
    assert model.network.rate_hz == 48_000
    sound = two_halves(48_000, 24.0)
    pipeline = transformers.pipeline("zero-shot-audio-classification", model=str(made[kind]))
    analysis = fluxbeat.analyze((sound, 48_000), model, hop_s=7)

    def asked(window: np.ndarray) -> list[dict]:
        return pipeline(window, candidate_labels=["dub", "deep house"])

    assert farthest(analysis, sound, asked, 48_000) < 1e-5
    other = registry.load("hf://ann/words?genres=dub,techno")
    assert other.info.revision != model.info.revision
    assert other.info.name != model.info.name
    assert registry.load(model.info.source) is model
    with pytest.raises(ModelLoadError, match=r"listens for what you name: add \?genres="):
        registry.load("hf://ann/words")


def test_scores_follow_the_problem_type_and_can_be_named(made, tmp_path):
    sound = two_halves()
    several = save_classifier(tmp_path / "several", "wav2vec2", problem="multi_label_classification")
    pipeline = transformers.pipeline("audio-classification", model=str(several), top_k=None)
    assert farthest(fluxbeat.analyze((sound, RATE_HZ), several), sound, pipeline) < 1e-5
    named = registry.load(f"{made['wav2vec2']}?scores=sigmoid")
    pipeline = transformers.pipeline(
        "audio-classification", model=str(made["wav2vec2"]), top_k=None, function_to_apply="sigmoid"
    )
    assert farthest(fluxbeat.analyze((sound, RATE_HZ), named), sound, pipeline) < 1e-5
    shown = [facts_of(model)["family"] for model in (registry.load(several), named, registry.load(made["wav2vec2"]))]
    assert shown == [f"wav2vec2 of transformers, {scores}" for scores in ("sigmoid", "sigmoid", "softmax")]


def test_of_hundreds_of_labels_the_strongest_of_a_passage_are_given(tmp_path):
    labels = tuple(f"sound {number}" for number in range(300))
    folder = save_classifier(tmp_path / "many", "ast", labels, "multi_label_classification")
    sound = two_halves()
    analysis = fluxbeat.analyze((sound, RATE_HZ), folder, hop_s=4)
    assert len(analysis.genres) == len(analysis.timeline.labels) == 20
    assert analysis.warned("only_strongest")
    with torch.inference_mode():
        network = registry.load(folder).network
        window = torch.from_numpy(sound[: round(WINDOW_S * RATE_HZ)])[None]
        first = network.probabilities(network(window).genre_logits)[0]
    assert labels[int(first.argmax())] in analysis.timeline.labels
    others = {one.label: one for one in analysis.others}
    assert {*others, *analysis.timeline.labels} == {*labels}, "nothing is kept from a person who looks for it"
    weakest = min(analysis.timeline.probability.max(axis=0))
    assert all(one.most <= weakest + 1e-9 for one in analysis.others)
    assert AnalysisDocument.model_validate(analysis.to_dict()).others[0].label == analysis.others[0].label
    assert unpack(pack(analysis), analysis.file).to_dict() == analysis.to_dict()
    name = analysis.others[-1].label
    shown = Console(width=100)
    with shown.capture() as printed:
        shown.print(draw_found_labels(analysis, name.upper()))
    assert f"{name}  at most" in printed.get()


@pytest.mark.parametrize("duration_s", [0.3, 4.0, 9.999, 10.0])
def test_a_recording_as_short_as_a_window_or_shorter_fills_one(made, duration_s):
    sound = two_halves()[: round(duration_s * RATE_HZ)]
    analysis = fluxbeat.analyze((sound, RATE_HZ), made["ast"])
    assert len(analysis.timeline.start_s) == 1
    if duration_s in (4.0, 10.0):
        filled = np.resize(sound, round(WINDOW_S * RATE_HZ))
        pipeline = transformers.pipeline("audio-classification", model=str(made["ast"]), top_k=None)
        assert farthest(analysis, filled, pipeline) < 1e-5
        assert analysis.warned("padded") == (duration_s < WINDOW_S)


def test_a_file_of_another_rate_is_analysed_whole_to_its_end(made):
    analysis = fluxbeat.analyze(TECHNO, made["wav2vec2"])
    alone = fluxbeat.analyze(TECHNO, "cnn")
    np.testing.assert_allclose(analysis.timeline.start_s, alone.timeline.start_s)
    assert analysis.title == alone.title
    np.testing.assert_array_equal(analysis.envelope.peak, alone.envelope.peak)


# Beside other models


def test_classifiers_stand_in_compare_and_genres_of_other_names_are_laid_side_by_side(made):
    compared = fluxbeat.compare(TECHNO, ["cnn", made["ast"], "crnn"])
    assert [one.model.name for one in compared] == ["cnn", "ast", "crnn"]
    assert compared[0].to_dict() == fluxbeat.analyze(TECHNO, "cnn").to_dict()
    assert compared[1].to_dict() == fluxbeat.analyze(TECHNO, made["ast"]).to_dict()
    apart = disagreement(compared[:2])
    columns = [("rock", "rock"), ("hiphop", "Hip hop music"), ("jazz", "jazz"), ("electronic", "techno")]
    pairs = [
        (compared[0].timeline.probability[:, compared[0].timeline.labels.index(mine)],
         compared[1].timeline.probability[:, compared[1].timeline.labels.index(theirs)])
        for mine, theirs in columns
    ]  # fmt: skip
    np.testing.assert_allclose(apart, sum(abs(a - b) for a, b in pairs).clip(max=2) / 2, atol=1e-9)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_window_is_explained_by_the_answers_without_parts_of_its_sound(made, kind):
    sound, model = two_halves(), registry.load(made[kind])
    found = fluxbeat.explain((sound, RATE_HZ), model, GENRES[2], start_s=8.0)
    assert (found.layer, found.method, found.faithfulness) == ("sound", "occlusion", None)
    analysis = fluxbeat.analyze((sound, RATE_HZ), model)
    row = analysis.timeline.start_s.tolist().index(8.0)
    told = analysis.timeline.probability[row, GENRES.index(GENRES[2])]
    assert found.probability == pytest.approx(told, abs=1e-6)
    assert found.logit == pytest.approx(np.log(told / (1 - told)), abs=1e-4)
    parts, whole = sound_evidence(asker(model.network, 2), sound[8 * RATE_HZ :][: 10 * RATE_HZ], RATE_HZ)
    assert whole == pytest.approx(found.logit, abs=1e-4)
    assert np.ptp(parts) > 0
    assert found.evidence.sum() == pytest.approx(parts.sum(), abs=1e-4)


def test_the_strongest_window_is_explained_where_none_is_named(made):
    source = (two_halves(), RATE_HZ)
    found = fluxbeat.explain(source, made["hubert"])
    assert found.about == fluxbeat.analyze(source, made["hubert"]).genres[0].label
    with pytest.raises(ExplanationError, match="knows no genre 'polka'"):
        fluxbeat.explain(source, made["hubert"], "polka")
    short = fluxbeat.explain((two_halves()[: 4 * RATE_HZ], RATE_HZ), made["ast"])
    assert short.start_s == 0.0 and short.logit == pytest.approx(
        np.log(short.probability / (1 - short.probability)), abs=1e-4
    )


def test_command_line_service_and_report_explain_a_classifier(hub: LocalHub, made, choose, capsys, tmp_path):
    commit = hub.publish("ann/sounds", made["wav2vec2"])
    asked = ["explain", str(TECHNO), "--label", GENRES[0], "--window", "3", "--json"]
    assert main([*asked, "--model", f"hf://ann/sounds@{commit}"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["method"] == "occlusion"
    choose(f"ann/sounds@{commit}")
    app = build_api_alone(WebSettings())
    answered = send(f"/explain?model=sounds&about={GENRES[0]}&start_s=3", TECHNO.read_bytes(), TECHNO.name, app).json()
    assert answered == printed | {"model": printed["model"] | {"name": "sounds"}}
    page = tmp_path / "a.html"
    assert (
        main(["export", str(TECHNO), "--model", "sounds", "--format", "html", "--explain", "--output", str(page)]) == 0
    )
    assert "What speaks for" in page.read_text(encoding="utf-8")


def test_what_cannot_be_shown_of_it_is_told(made, capsys):
    model = registry.load(made["ast"])
    for arguments in (["--track"], ["--layer", "conv1"]):
        assert main(["explain", str(TECHNO), "--model", str(made["ast"]), *arguments]) == 2
        assert "FluxBeat's" in capsys.readouterr().err
    with pytest.raises(ExplanationError, match="a single window can be explained"):
        explain_track(read_track(TECHNO, model.network.config.features), model, start_s=0.0)
    assert main(["explain", str(TECHNO), "--tempo", "--model", str(made["ast"])]) == 2
    assert "was not taught tempo" in capsys.readouterr().err
    with pytest.raises(FluxBeatError, match="nor can it listen live"):
        LiveAnalysis(model, sample_rate_hz=RATE_HZ).push(two_halves())
    assert list(live_view([registry.load("cnn"), model], "cnn")["models"]) == ["cnn"]


def test_whoever_does_not_wait_any_more_ends_it(made):
    def leave(share: float, doing: str) -> None:
        if share > 0.2:
            raise AnalysisCancelled("the page was closed")

    with pytest.raises(AnalysisCancelled):
        fluxbeat.analyze(TECHNO, made["ast"], progress=leave)


def test_an_explanation_is_told_step_by_step_and_ends_for_who_leaves(made):
    told: list[float] = []
    source = (two_halves(), RATE_HZ)
    fluxbeat.explain(source, made["ast"], progress=lambda share, doing: told.append(share))
    assert told == sorted(told) and len(told) > 8 and 0.9 < told[-1] < 1.0

    def leave(share: float, doing: str) -> None:
        if doing == "listening without parts of the sound":
            raise AnalysisCancelled("the page was closed")

    with pytest.raises(AnalysisCancelled):
        fluxbeat.explain(source, made["ast"], start_s=3.0, progress=leave)


def test_the_models_tab_says_what_it_is_and_how_fast(made):
    model = registry.load(made["whisper"])
    facts = model_facts(model)
    assert dict(facts["facts"])["Licence"] == "APACHE-2.0"
    assert facts["family"] == "whisper of transformers, softmax"
    assert milliseconds_per_window(model.network) > 0


# From the Hub


def test_command_line_and_service_answer_with_a_classifier_alike(hub: LocalHub, made, choose, capsys, tmp_path):
    commit = hub.publish("ann/sounds", made["hubert"])
    name = f"hf://ann/sounds@{commit}"
    assert main(["analyze", str(TECHNO), "--model", name, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["model"]["source"] == name
    choose(f"ann/sounds@{commit}")
    app = build_api_alone(WebSettings())
    answered = send("/analyze?model=sounds", TECHNO.read_bytes(), TECHNO.name, app).json()
    assert answered == printed | {"model": printed["model"] | {"name": "sounds"}}
    listed = {one["name"]: one for one in ask("GET", "/models", app).json()}
    assert listed["sounds"]["labels"] == list(GENRES)
    assert listed["sounds"]["family"] == "hubert of transformers, softmax"
    assert main(["compare", str(TECHNO), "--models", name, "cnn"]) == 0
    assert main(["models", name]) == 0
    assert main(["export", str(TECHNO), "--model", name, "--format", "csv", "--output", str(tmp_path / "a.csv")]) == 0
    assert GENRES[1] in (tmp_path / "a.csv").read_text()


def test_what_was_fetched_once_loads_offline_and_its_size_is_told_before(hub: LocalHub, made, monkeypatch, caplog):
    commit = hub.publish("ann/sounds", made["wav2vec2"])
    with caplog.at_level("WARNING", "fluxbeat"):
        first = registry.load("hf://ann/sounds")
    assert f"hf://ann/sounds@{commit}: 0.0 MB to fetch, once" in caplog.text
    caplog.clear()
    monkeypatch.setattr(registry, "_loaded", {})
    speak_to(monkeypatch, NOBODY)
    for name in ("hf://ann/sounds", f"hf://ann/sounds@{commit}"):
        assert registry.load(name).info == first.info
    assert "to fetch" not in caplog.text


def test_a_classifier_that_is_too_large_is_refused_before_it_is_fetched(hub: LocalHub, made, monkeypatch):
    commit = hub.publish("ann/sounds", made["wav2vec2"])
    monkeypatch.setattr(fetching, "MOST_CLASSIFIER_BYTES", 1000)
    with pytest.raises(ModelLoadError, match="no more than 0.001 MB are fetched"):
        registry.load(f"hf://ann/sounds@{commit}")
    assert not [asked for asked in hub.asked if "/resolve/" in asked]


def test_weights_that_can_run_code_are_refused_before_anything_is_fetched(hub: LocalHub, made):
    files = {path.name: path.read_bytes() for path in made["ast"].iterdir()}
    files["pytorch_model.bin"] = files.pop("model.safetensors")
    hub.repositories["ann/old"] = Repository()
    hub.repositories["ann/old"].commit(files)
    with pytest.raises(ModelLoadError, match=r"hf://ann/old@\w{40}: .* only as pytorch_model.bin, .* can run code"):
        registry.load("hf://ann/old")
    assert not [asked for asked in hub.asked if "/resolve/" in asked]


@pytest.mark.parametrize("file", ["config", "preprocessor_config"])
def test_a_model_that_needs_code_of_its_repository_is_refused(hub: LocalHub, made, tmp_path, file):
    odd = copied(made["ast"], tmp_path / "odd", **{file: {"auto_map": {"AutoFeatureExtractor": "own.Extractor"}}})
    (odd / "own.py").write_text("raise SystemExit('this was executed')")
    hub.publish("ann/own", odd)
    with pytest.raises(ModelLoadError, match=f"needs program code of its repository .{file}.json names it"):
        registry.load("hf://ann/own")
    assert not [asked for asked in hub.asked if asked.endswith(".py")]


def unfinished(folder: Path) -> None:
    weights = {
        name: value for name, value in load_file(folder / "model.safetensors").items() if "classifier" not in name
    }
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def not_finite(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: value * float("nan") for name, value in weights.items()}, folder / "model.safetensors", {"format": "pt"}
    )


def cut(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])


@pytest.mark.parametrize(
    ("changes", "damage", "message"),
    [
        ({}, unfinished, "no finished classifier: its weights lack classifier"),
        ({}, not_finite, "not finite"),
        ({}, cut, "cut short"),
        ({"config": {"num_hidden_layers": 10**9}}, None, r"asks for num_hidden_layers of 1e\+09: at most 200"),
        ({"config": {"own": {"depths": [1, 2, 10**9]}}}, None, r"asks for depths of 1e\+09"),
        ({"preprocessor_config": {"sampling_rate": 10**9}}, None, "asks for sampling_rate of"),
        ({"preprocessor_config": {"sampling_rate": 100}}, None, "at 100 Hz, which makes no sense"),
        (
            {"preprocessor_config": {"feature_extractor_type": "WhisperFeatureExtractor"}},
            None,
            "cannot read this model",
        ),
        ({"config": {"hidden_size": 2**16}}, None, "asks for .* values, and model.safetensors holds"),
        ({"config": {"problem_type": "regression"}}, None, "gives numbers"),
        ({"config": {"model_type": "bert"}}, None, "type bert, which is no audio classifier"),
        ({"config": {"model_type": "nobody's"}}, None, "cannot read this model"),
        ({"config": {"id2label": {"0": "a\nb", "1": "c", "2": "d", "3": "e"}}}, None, "such as 'a.*cannot be shown"),
        ({"config": {"id2label": {"0": "a", "1": "a", "2": "d", "3": "e"}}}, None, "must be different"),
        ({"config": {"id2label": {"0": "a", "1": "b"}}}, None, "does not fit its config.json: classifier.bias"),
        ({"preprocessor_config": {"feature_extractor_type": "Nothing"}}, None, "cannot read this model"),
    ],
)
def test_what_does_not_fit_is_one_sentence(made, tmp_path, changes, damage, message):
    odd = copied(made["hubert"], tmp_path / "odd", **changes)
    if damage:
        damage(odd)
    with pytest.raises((ModelLoadError, ConfigMismatchError), match=message) as failure:
        registry.load(odd)
    assert "\n" not in str(failure.value)


def test_without_the_extra_it_is_reported_what_to_install_before_anything_is_fetched(
    hub: LocalHub, made, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setattr(registry, "_loaded", {})
    hub.publish("ann/sounds", made["ast"])
    for name in (str(made["ast"]), "hf://ann/sounds"):
        assert main(["analyze", str(TECHNO), "--model", name]) == 2
        assert "pip install 'fluxbeat[transformers]'" in capsys.readouterr().err
    assert not [asked for asked in hub.asked if "/resolve/" in asked]


def test_loading_is_quiet_and_leaves_transformers_as_talkative_as_it_was(made, tmp_path, capsys):
    logging = transformers.utils.logging
    before = logging.get_verbosity()
    logging.set_verbosity_info()
    logging.enable_progress_bar()
    try:
        registry.load(copied(made["ast"], tmp_path / "good"))
        with pytest.raises(ModelLoadError):
            registry.load(copied(made["ast"], tmp_path / "odd", config={"model_type": "nobody's"}))
        assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (logging.INFO, True)
    finally:
        logging.set_verbosity(before)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("asked", ["colour=red", "scores=loud", "genres=" + ",".join(map(str, range(200)))])
def test_ways_to_ask_that_there_are_not_are_named(made, asked):
    with pytest.raises(ModelLoadError, match="expected genres=dub,techno .100 at most., scores=softmax"):
        registry.load(f"{made['clap']}?{asked}")


def test_genres_are_for_models_that_are_asked_in_words_only(made):
    with pytest.raises(ModelLoadError, match="labels of its own"):
        registry.load(f"{made['ast']}?genres=dub")
    with pytest.raises(ModelLoadError, match="model of FluxBeat, which takes no"):
        registry.load(f"{registry.checkpoints_folder() / 'cnn'}?genres=dub")
