"""What an open page waits for, and that nothing comes to it any more once it was told that this ended."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest
from test_charts import LABELS, half_ambient_half_metal
from tiny_models import loaded, tiny

from fluxbeat.errors import AnalysisCancelled
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.hub_fetching import MOST_FETCHED
from fluxbeat.web.service import Service
from fluxbeat.web.settings import WebSettings
from fluxbeat.web.ui import jobs, kept_tracks, teach_tab
from fluxbeat.web.ui.jobs import Jobs, TrackJob
from fluxbeat.web.ui.kept_tracks import KeptTracks
from fluxbeat.web.ui.models_tab import ModelsState
from fluxbeat.web.ui.offered_models import OfferedModels
from fluxbeat.web.ui.page import build_page
from fluxbeat.web.ui.panel import panel_answer
from fluxbeat.web.ui.stage_layers import StageLayers
from fluxbeat.web.ui.teach_tab import TeachState, TeachTab
from fluxbeat.web.ui.track_results import TrackResults

MODEL = loaded(tiny("cnn", labels=LABELS), "cnn")


def test_after_cancel_no_view_comes_that_would_lock_the_page_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the thread that computes does not look up for long."""
    monkeypatch.setattr(jobs, "REPORTED_EVERY_S", 0.02)
    waiting, looks_up = Jobs[TrackJob](), threading.Event()
    job = waiting.start("page", TrackJob(AnalysisQueue(1, 1), TrackResults("a.wav", "a.wav")))
    told: list[Any] = []

    def steps() -> Iterator[dict[str, Any]]:
        job.report(0.1, "Reading")
        looks_up.wait(30)
        job.go_on()
        yield {"answer": "of a track that nobody waits for"}

    async def page() -> None:
        async for step in job.in_turn(steps()):
            assert step is None
            told.append(job.view())

    async def listener() -> None:
        shown = asyncio.create_task(page())
        while len(told) < 3:
            await asyncio.sleep(0.01)
        waiting.stop("page")
        told.append(panel_answer({}))
        await asyncio.sleep(0.2)
        looks_up.set()
        with pytest.raises(AnalysisCancelled):
            await shown

    asyncio.run(listener())
    views = [json.loads(view) for view in told]
    assert all(view["locked"] for view in views[:-1])
    assert list(views[-1]) == ["answer"]
    assert [view["answer"] for view in views] == sorted(view["answer"] for view in views)
    assert job.view() == job.over() == gr.skip()


def test_a_track_is_forgotten_when_its_time_is_over_though_nobody_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(kept_tracks.time, "monotonic", lambda: now_s)
    kept, held = KeptTracks(kept_s=60.0), list[weakref.ref[Any]]()
    for now_s in (0.0, 30.0, 61.0):  # noqa: B007
        analysis = replace(half_ambient_half_metal())
        held.append(weakref.ref(analysis))
        kept.keep(TrackResults("a.wav", "a", {"cnn": analysis}))
    gc.collect()
    assert [one() is not None for one in held] == [False, True, True]


@pytest.fixture
def page() -> Any:
    """The page's own functions by name, with one tiny model."""
    models = {"cnn": MODEL}
    page = build_page(Service(WebSettings(), models))
    return {event.fn.__qualname__.rpartition(".")[2]: event.fn for event in page.fns.values() if event.fn}


def test_cancel_answers_also_where_the_track_before_was_damaged_meanwhile(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.aiff"
    path.write_bytes(b"FORM and no recording any more" * 20)
    before = TrackResults(str(path), "a.aiff", {"cnn": half_ambient_half_metal()})
    updates = page["cancel"](before, "cnn", ["cnn"], SimpleNamespace(session_hash="page"))
    values = {component.elem_id: value for component, value in updates.items()}
    assert "busy" not in json.loads(values["status"])
    assert json.loads(values["player"]) is None
    assert json.loads(values["timeline"])["file"]


def test_what_is_asked_of_a_model_that_is_gone_is_answered_in_words() -> None:
    """Another one that was taught takes the place of one whose answers the page still shows."""
    layers = StageLayers(OfferedModels([MODEL]), AnalysisQueue(1, 1))
    track = TrackResults("a.wav", "a", {"Your genres ab12": half_ambient_half_metal()})
    event, request = (
        SimpleNamespace(from_s=0, to_s=2, label="metal", at_s=1, ticket=1),
        SimpleNamespace(session_hash=""),
    )

    async def pointed() -> list[str]:
        return [view async for view in layers.point(track, "Your genres ab12", event, request)]

    looked = asyncio.run(layers.look(track, "Your genres ab12", event))
    for view in (looked, *asyncio.run(pointed())):
        assert json.loads(view)["error"] == "Your genres ab12 is not offered any more: choose another model."


def test_a_taught_model_that_cannot_be_offered_leaves_what_was_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    tab, state = taught(monkeypatch, lambda: iter(()))
    state.result = {"name": "the one before"}
    tab._offered.models = {f"fetched {n}": MODEL for n in range(2 * MOST_FETCHED)}
    *_, last = tab.teach(state, ModelsState(), [])
    view = json.loads(last[0])
    assert "fetched models" in view["error"]
    assert view["result"] == {"name": "the one before"}


def test_reading_many_songs_is_reported_twice_a_second_and_not_after_each(monkeypatch: pytest.MonkeyPatch) -> None:
    tab, state = taught(monkeypatch, lambda: ((place, "no music") for place in range(1000)))
    state.songs = [SimpleNamespace(found=None, file=None) for _ in range(1000)]
    assert len(list(tab._read(state, threading.Event()))) < 100


def taught(monkeypatch: pytest.MonkeyPatch, read: Callable[[], Iterator[Any]]) -> tuple[Any, Any]:
    """A Teach tab whose songs are read so, and which has just learned."""
    counts = {"a": 2, "b": 2}
    own = SimpleNamespace(counts=counts, judgement=SimpleNamespace(sentences=["right on 3 of 4"], n=4))
    monkeypatch.setattr(teach_tab, "teach", lambda examples, base, go_on: own)
    monkeypatch.setattr(teach_tab, "save_own_genres", lambda own, folder, title: folder.mkdir())
    monkeypatch.setattr(teach_tab, "load_checkpoint", lambda folder: (MODEL.network, "abcd1234"))
    monkeypatch.setattr(teach_tab, "load", lambda name: MODEL)
    tab = TeachTab(OfferedModels([MODEL]), cast(Any, None), AnalysisQueue(1, 1), 60.0, 60)
    tab.__dict__["_reader"] = SimpleNamespace(read=lambda files, stop: read())
    return tab, TeachState()
