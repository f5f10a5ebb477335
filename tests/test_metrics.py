"""What a checkpoint says was measured: one shape, vetted when it is loaded, that everybody who shows it can rely on."""

import json
import shutil

import pytest
from api_asking import ask

from fluxbeat import zoo
from fluxbeat.api import ApiSettings, build_api_alone
from fluxbeat.cli import main
from fluxbeat.errors import ModelLoadError
from fluxbeat.hub.model_card import card_to_publish, parse_card
from fluxbeat.models.metrics import fault_of
from fluxbeat.training.release import flat_metrics
from fluxbeat.ui.model_facts import model_facts

BARE = {"measure": "accuracy", "value": 0.5, "n": 40, "split": "my own"}
EMPTY = {"interval_95": None, "sd": None, "seeds": None, "seed": None, "date": None}
WHOLE = {"interval_95": [0.3, 0.7], "sd": 0.01, "seeds": 3, "seed": 0, "date": "2026-11-23"}


@pytest.fixture
def offered(tmp_path, monkeypatch):
    """Makes a checkpoint with the given metrics the only one that the program has."""

    def offer(*metrics):
        shutil.copytree(zoo.checkpoints_folder() / "cnn", tmp_path / "own", dirs_exist_ok=True)
        path = tmp_path / "own" / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"metrics": metrics}))
        monkeypatch.setenv(zoo.CHECKPOINTS_VARIABLE, str(tmp_path))

    return offer


@pytest.mark.parametrize("more", [{}, EMPTY, WHOLE], ids=["bare", "empty", "whole"])
def test_whoever_shows_a_metric_needs_only_what_is_required(offered, capsys, more):
    offered(BARE | more, BARE | more | {"measure": "tempo_accuracy1", "value": 1})
    (told,) = ask("GET", "/models", build_api_alone(ApiSettings())).json()
    kept = ("interval_95", "seed", "date")
    assert told["accuracy"] == BARE | {name: more.get(name) for name in kept}
    assert told["tempo_accuracy"]["value"] == 1
    assert main(["models", "own", "--markdown"]) == 0
    between = "30% to 70%; " if more is WHOLE else ""
    assert f"| 50.0% of 40 ({between}my own) |" in capsys.readouterr().out
    model = zoo.load("own")
    page = model_facts(model)
    assert page["headlines"]["rows"][0] == {
        "share": "50", "words": "names the right genre first", "range": "30 to 70" if more is WHOLE else "",
    }  # fmt: skip
    assert page["numbers"][0]["rows"][1][-1] == "40"
    (index,) = parse_card(card_to_publish(model.network.config, None, "own")).metadata["model-index"]
    metric = index["results"][0]["metrics"][0]
    assert metric["value"] == 0.5
    assert metric["args"] == {"n": 40} | ({name: WHOLE[name] for name in kept} if more is WHOLE else {})


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("good", "a metric must be an object, got 'good'"),
        ({"value": 1, "n": 2, "split": "x"}, "a metric needs measure, value, n, split; this one has no measure"),
        ({"measure": "accuracy", "value": 0.5, "split": "x"}, "this one has no n"),
        ({"measure": "accuracy", "value": 0.5, "n": 3}, "this one has no split"),
        (BARE | {"measure": 7}, "a metric's measure must be 1 to 200 printable characters, got '7'"),
        (BARE | {"value": None}, "a metric's value must be a number, got 'None'"),
        (BARE | {"value": True}, "a metric's value must be a number"),
        (BARE | {"value": float("nan")}, "a metric's value must be a number"),
        (BARE | {"n": "many"}, "a metric's n must be a whole number above 0, got 'many'"),
        (BARE | {"n": 0}, "a metric's n must be a whole number above 0, got '0'"),
        (BARE | {"n": 4.5}, "a metric's n must be a whole number above 0"),
        (BARE | {"split": ""}, "a metric's split must be 1 to 200 printable characters"),
        (BARE | {"split": "a\nb"}, "a metric's split must be 1 to 200 printable characters"),
        (BARE | {"interval_95": 0.3}, "a metric's interval_95 must be two numbers, got '0.3'"),
        (BARE | {"interval_95": [0.3]}, "a metric's interval_95 must be two numbers"),
        (BARE | {"interval_95": [0.3, "0.7"]}, "a metric's interval_95 must be two numbers"),
        (BARE | {"seed": "zero"}, "a metric's seed must be a whole number, got 'zero'"),
        (BARE | {"seeds": 0}, "a metric's seeds must be a whole number above 0"),
        (BARE | {"sd": "small"}, "a metric's sd must be a number"),
        (BARE | {"date": 2026}, "a metric's date must be 1 to 200 printable characters"),
    ],
)
def test_a_metric_that_nobody_could_show_is_refused_when_it_is_loaded(offered, metric, message):
    offered(BARE, metric)
    with pytest.raises(ModelLoadError) as refusal:
        zoo.load("own")
    assert "config.json is incomplete or damaged: " in str(refusal.value)
    assert message in str(refusal.value)


def test_what_could_not_be_measured_is_no_metric():
    nothing = {"value": None, "n": 4, "interval_95": None}
    report = {
        "recordings": {"accuracy": {"value": 0.5, "n": 8, "interval_95": None}, "top3": {"value": 0.0, "n": 0}},
        "gap": nothing | {"n": 0},
        "splices": {"precision": {"value": 0.0, "n": 4, "interval_95": [0, 0]}, "recall": nothing},
    }
    made = flat_metrics(report, seed=1)
    assert [row["measure"] for row in made] == ["accuracy", "precision"]
    assert not any(fault_of(row) for row in made)
