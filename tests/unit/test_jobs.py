"""What an open page waits for, and that nothing comes to it any more once it was told that this ended."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest

from fluxbeat.errors import AnalysisCancelled
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.ui import jobs
from fluxbeat.web.ui.jobs import Jobs, TrackJob
from fluxbeat.web.ui.panel import panel_answer
from fluxbeat.web.ui.track_results import TrackResults


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
