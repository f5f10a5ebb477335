"""A model of one's own genres works wherever the bundled ones do: $FLUXBEAT_CHECKPOINTS names its folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from api_asking import clicks, send
from fastapi import FastAPI
from starlette.testclient import TestClient
from test_own_genres import crates
from tiny_models import loaded, tiny

from fluxbeat.analysis.engine import compare
from fluxbeat.cli.main import main
from fluxbeat.explanation.explain import explain
from fluxbeat.library.own_genres import save_own_genres, teach
from fluxbeat.models.checkpoint import save_checkpoint
from fluxbeat.models.registry import bundled_names, default_model, load
from fluxbeat.web.api import build_site
from fluxbeat.web.service import start_service
from fluxbeat.web.settings import WebSettings
from fluxbeat.web.ui.compare_tab import compare_view
from fluxbeat.web.ui.model_facts import model_facts
from fluxbeat.web.ui.offered_models import OfferedModels

OWN = ("dub", "house")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Checkpoints that are all somebody's own: one taught on a tiny CNN."""
    monkeypatch.setenv("FLUXBEAT_CHECKPOINTS", str(tmp_path / "bases"))
    save_checkpoint(tiny("cnn"), tmp_path / "bases" / "cnn")
    save_own_genres(teach(crates(), load("cnn")), tmp_path / "mine" / "crate")
    monkeypatch.setenv("FLUXBEAT_CHECKPOINTS", str(tmp_path / "mine"))
    monkeypatch.setenv("FLUXBEAT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "mine"


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "songs" / "song.wav"
    path.parent.mkdir()
    path.write_bytes(clicks(12.0))
    return path


@pytest.fixture
def app() -> Iterator[FastAPI]:
    return build_site(start_service(WebSettings()))


def test_it_answers_where_no_model_is_named(song: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bundled_names() == ["crate"] and default_model() == "crate"
    assert main(["analyze", str(song), "--json"]) == 0
    answered = json.loads(capsys.readouterr().out)
    assert answered["model"]["name"] == "crate"
    assert {genre["label"] for genre in answered["genres"]} == set(OWN)
    assert main(["library", str(song.parent), "--json"]) == 0
    assert "song.wav" in capsys.readouterr().out
    assert main(["models"]) == 0
    assert "crate" in capsys.readouterr().out


def test_rest_and_websocket_offer_it(song: Path, app: FastAPI) -> None:
    with TestClient(app) as client:
        (listed,) = [one for one in client.get("/api/v1/models").json() if one["name"] == "crate"]
        assert listed["labels"] == list(OWN) and listed["accuracy"]["split"] == "own songs, artists apart"
        with client.websocket_connect("/api/v1/live") as socket:
            socket.send_text(json.dumps({"sample_rate_hz": 8000, "channels": 1, "format": "s16le", "model": "crate"}))
            ready = socket.receive_json()
            assert (ready["model"]["name"], ready["labels"]) == ("crate", list(OWN))
            samples, _ = soundfile.read(song, dtype="int16")
            socket.send_bytes(samples.astype("<i2").tobytes())
            assert set(socket.receive_json()["probability"]) == set(OWN)
    answered = send("/analyze", song.read_bytes(), "song.wav", app).json()
    assert answered["model"]["name"] == "crate"
    explained = send("/explain?about=dub&start_s=1", song.read_bytes(), "song.wav", app)
    assert explained.status_code == 200 and explained.json()["about"] == "dub"


def test_it_is_explained_and_compared_with_models_of_other_labels(song: Path, tmp_path: Path) -> None:
    found = explain(song, "crate", "house", 1.0)
    assert found.about == "house" and np.isfinite(found.evidence).all()
    others = [load("crate"), loaded(tiny("cnn", labels=("house", "calm")), "other")]
    analyses = compare(song, others)
    assert [set(one.timeline.labels) for one in analyses] == [set(OWN), {"house", "calm"}]
    view = compare_view("1", analyses, [], OfferedModels(others).paints, {})
    assert view["debate"]["notes"][0] == "Compared by the one genre that all of them know: electronic."
    facts = model_facts(load("crate"))
    assert facts["headlines"]["rows"][0]["share"] == "10 of 10"
    assert "for FluxBeat" in json.dumps(facts["card"])
