"""What a checkpoint says was measured: one shape, vetted when it is loaded, that everybody who shows it can rely on."""

import json
import shutil

import pytest
from api_asking import ask

from fluxbeat.cli.main import main
from fluxbeat.models import registry
from fluxbeat.models.hub.model_card import card_to_publish, parse_card
from fluxbeat.web.api import build_api_alone
from fluxbeat.web.settings import WebSettings
from fluxbeat.web.ui.model_facts import model_facts

BARE = {"measure": "accuracy", "value": 0.5, "n": 40, "split": "my own"}
EMPTY = {"interval_95": None, "sd": None, "seeds": None, "seed": None, "date": None}
WHOLE = {"interval_95": [0.3, 0.7], "sd": 0.01, "seeds": 3, "seed": 0, "date": "2026-11-23"}


@pytest.fixture
def offered(tmp_path, monkeypatch):
    """Makes a checkpoint with the given metrics the only one that the program has."""

    def offer(*metrics):
        shutil.copytree(registry.checkpoints_folder() / "cnn", tmp_path / "own", dirs_exist_ok=True)
        path = tmp_path / "own" / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"metrics": metrics}))
        monkeypatch.setenv(registry.CHECKPOINTS_VARIABLE, str(tmp_path))

    return offer


@pytest.mark.parametrize("more", [{}, EMPTY, WHOLE], ids=["bare", "empty", "whole"])
def test_whoever_shows_a_metric_needs_only_what_is_required(offered, capsys, more):
    offered(BARE | more, BARE | more | {"measure": "tempo_accuracy1", "value": 1})
    (told,) = ask("GET", "/models", build_api_alone(WebSettings())).json()
    kept = ("interval_95", "seed", "date")
    assert told["accuracy"] == BARE | {name: more.get(name) for name in kept}
    assert told["tempo_accuracy"]["value"] == 1
    assert main(["models", "own", "--markdown"]) == 0
    between = "0.30 to 0.70; " if more is WHOLE else ""
    assert f"| my own | 0.500 ({between}40) |" in capsys.readouterr().out
    model = registry.load("own")
    page = model_facts(model)
    first = page["headlines"]["rows"][0]
    assert "50 of 100" in first["exactly"]
    assert ("30 to 70" in first["exactly"]) == (more is WHOLE)
    (index,) = parse_card(card_to_publish(model.network.config, None, "own")).metadata["model-index"]
    metric = index["results"][0]["metrics"][0]
    assert metric["value"] == 0.5
    assert metric["args"] == {"n": 40} | ({name: WHOLE[name] for name in kept} if more is WHOLE else {})
