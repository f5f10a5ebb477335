"""The Explain tab with models that know different genres."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace
from typing import Any

import pytest
from web_driving import CHANGE

from fluxbeat.analysis import analyze
from fluxbeat.models.registry import LoadedModel, checkpoints_folder, load
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.ui.explain_tab import TEMPO, ExplainTab
from fluxbeat.web.ui.offered_models import OfferedModels
from fluxbeat.web.ui.track_results import TrackResults


@pytest.fixture(scope="module")
def dancer(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A model that names the music of its metal salsa, and knows nothing else by the others' names."""
    folder = tmp_path_factory.mktemp("models") / "dancer"
    shutil.copytree(checkpoints_folder() / "cnn", folder)
    config = json.loads((folder / "config.json").read_text())
    config["labels"] = ["salsa" if label == "metal" else f"{label} dance" for label in config["labels"]]
    (folder / "config.json").write_text(json.dumps(config))
    return load(folder)


@pytest.fixture(scope="module")
def explainer(dancer: LoadedModel) -> ExplainTab:
    offered = OfferedModels([load("cnn")])
    offered.add([dancer])
    return ExplainTab(offered, AnalysisQueue(1, 0))


@pytest.fixture(scope="module")
def results(dancer: LoadedModel) -> TrackResults:
    return TrackResults(str(CHANGE), CHANGE.name, {"cnn": analyze(CHANGE, "cnn"), "dancer": analyze(CHANGE, dancer)})


def asked(explainer: ExplainTab, results: TrackResults, about: str, *models: str) -> dict[str, Any]:
    event: Any = SimpleNamespace(about=about, start_s=2.0, models=list(models or ("cnn", "dancer")))
    view = explainer.explained(results, event)
    assert "error" not in view
    return view


@pytest.mark.parametrize(("about", "knows", "does_not"), [("metal", "cnn", "dancer"), ("salsa", "dancer", "cnn")])
def test_who_knows_the_genre_explains_it_and_who_does_not_says_so(explainer, results, about, knows, does_not):
    view = asked(explainer, results, about)
    rows = {row["model"]: row for row in view["rows"]}
    assert list(rows) == ["cnn", "dancer"]
    assert rows[knows]["about"] == view["about"] == about
    assert rows[knows]["window"]["frames"] > 0
    assert f"does not know {about}" in rows[does_not]["missing"]
    assert {"metal", "salsa"} <= {choice["label"] for choice in view["choices"]}


def test_without_a_choice_the_strongest_genre_of_any_is_explained(explainer, results):
    assert asked(explainer, results, "")["about"] in ("metal", "salsa")


def test_a_genre_that_no_model_left_knows_gives_way_to_the_strongest(explainer, results):
    view = asked(explainer, results, "salsa", "cnn")
    assert view["about"] == "metal"
    assert [row["model"] for row in view["rows"]] == ["cnn"]
    assert "missing" not in view["rows"][0]


def test_tempo_is_everybodys(explainer, results):
    assert not [row for row in asked(explainer, results, TEMPO)["rows"] if "missing" in row]
