"""The Hub from the page: a fetch tells its size first and can be stopped, and a taught model is pushed by its owner."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from hub_fixtures import hub
from local_hub import TOKEN, LocalHub, Trouble
from test_web_teach import SONGS, Page, models, songs
from tiny_classifiers import save_classifier
from tiny_models import loaded, tiny

from fluxbeat.models import registry
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.security import may_use_login
from fluxbeat.web.ui import models_tab
from fluxbeat.web.ui.models_tab import ModelsState, ModelsTab
from fluxbeat.web.ui.offered_models import OfferedModels

__all__ = ["hub", "models", "songs"]  # the fixtures

HERE: Any = SimpleNamespace(
    session_hash="one", headers={"host": "localhost:7860"}, client=SimpleNamespace(host="127.0.0.1")
)
STRANGER: Any = SimpleNamespace(
    session_hash="one", headers={"host": "localhost:7860"}, client=SimpleNamespace(host="203.0.113.9")
)


@pytest.fixture
def tab() -> ModelsTab:
    with gr.Blocks():
        return ModelsTab(OfferedModels([loaded(tiny("crnn"), "crnn")]), AnalysisQueue(1, 2), True, 60)


def steps_of(tab: ModelsTab, address: str) -> Any:
    for view, *_ in tab.fetch(ModelsState(), [], SimpleNamespace(address=address), HERE):
        yield json.loads(view)


def test_size_and_memory_of_a_classifier_are_told_before_it_is_fetched(
    hub: LocalHub, tab: ModelsTab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxbeat.web.ui.models_tab.LOOK_EVERY_S", 0.01)
    save_classifier(tmp_path / "made", "ast")
    commit = hub.publish("ann/sounds", tmp_path / "made")
    hub.trouble = Trouble(slow_s=0.2)
    views = list(steps_of(tab, "ann/sounds"))
    sized = next(view["busy"] for view in views if view.get("busy", {}).get("size"))
    assert sized["share"] == 0.0
    assert "MB to fetch, once; it takes as much memory, twice as much if its weights are of half" in sized["size"]
    assert views[-1]["done"]["sources"] == [f"hf://ann/sounds@{commit}"], "the revision is pinned and shown"


def test_a_fetch_that_is_stopped_changes_nothing_and_another_may_follow(
    hub: LocalHub, tab: ModelsTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxbeat.web.ui.models_tab.LOOK_EVERY_S", 0.01)
    commit = hub.publish("ann/zoo", registry.checkpoints_folder() / "cnn")
    hub.trouble = Trouble(slow_s=0.1)
    steps = steps_of(tab, f"ann/zoo@{commit}")
    assert "busy" in next(steps)
    tab.stop(SimpleNamespace(session_hash="another"))  # type: ignore[arg-type]
    assert "busy" in next(steps), "who sits at another page stops nothing"
    tab.stop(HERE)
    assert list(steps)[-1]["error"] == "Stopped: nothing was changed."
    assert list(tab._offered.models) == ["crnn"]
    hub.trouble = Trouble()
    *_, last = steps_of(tab, f"ann/zoo@{commit}")
    assert last["done"]["names"] == [f"zoo@{commit[:7]}"]


def taught(songs: dict[str, list[Path]], request: Any) -> tuple[Page, dict[str, Any]]:
    page = Page()
    page.request = request
    page.tab._models._allow_hub = None
    for genre, files in songs.items():
        page.give(genre, files[:SONGS])
    return page, page.teach()


def sent(page: Page, request: Any, repository: str = "ann/crate") -> list[dict[str, Any]]:
    event: Any = SimpleNamespace(repository=repository, private=True)
    return [json.loads(view)["hub"] for view in page.tab.send(page.state, event, request)]


@pytest.mark.usefixtures("models")
def test_a_taught_model_is_pushed_from_the_page_and_is_the_same_when_it_comes_back(
    hub: LocalHub,
    songs: dict[str, list[Path]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page, view = taught(songs, HERE)
    assert view["hub"] == {"allowed": True}
    (_, refused) = sent(page, HERE)
    assert refused["error"].startswith("ann/crate: nobody is logged in to the Hub: log in with `hf auth login`")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    doing, done = sent(page, HERE)
    assert doing["words"] == "Sending it to ann/crate"
    assert hub.repositories["ann/crate"].private
    came = registry.load(done["done"])
    assert came.info.revision == page.offered.models[view["result"]["name"]].info.revision
    assert "fingerprints.safetensors" in hub.repositories["ann/crate"].at("main")[1]  # type: ignore[index]
    assert TOKEN not in json.dumps([doing, done, refused])
    (_, wrong) = sent(page, HERE, "nowhere")
    assert "owner/repo" in wrong["error"]
    assert page.state.archive is not None
    page.state.archive.unlink()
    assert "not kept any more" in sent(page, HERE)[-1]["error"]


@pytest.mark.usefixtures("models")
def test_nobody_but_who_sits_at_the_machine_publishes_under_its_login(
    hub: LocalHub,
    songs: dict[str, list[Path]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    page, view = taught(songs, STRANGER)
    assert view["hub"] == {"allowed": False}
    page.state.may_push = True
    assert sent(page, STRANGER) == [{"allowed": False}]
    assert hub.asked == []
    here = {"host": "localhost:7860"}, "127.0.0.1"
    assert may_use_login(None, *here) and may_use_login(True, *here)
    assert not may_use_login(False, *here)
    assert not may_use_login(True, here[0], "203.0.113.9"), "also where everyone may fetch"


def test_speed_is_measured_in_turn_and_gives_way_between_two_windows(
    tab: ModelsTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, given_way, measured = list[int](), list[int](), models_tab.milliseconds_per_window

    def milliseconds(*asked: Any) -> float:
        running.append(tab._queue.running)
        return measured(*asked)

    monkeypatch.setattr(models_tab, "milliseconds_per_window", milliseconds)
    monkeypatch.setattr(tab._queue, "give_way", lambda: given_way.append(1))
    *_, (_, state) = tab.measure(ModelsState())
    assert "times as fast as it plays" in state.speeds["crnn"]
    assert running == [1] and len(given_way) > 10 and tab._queue.running == 0
