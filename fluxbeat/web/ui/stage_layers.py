"""What the stage's lowest layer is made of: the spectrogram of a passage, and what in it speaks for one genre."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
import numpy as np

from fluxbeat.analysis.presence import LEAST
from fluxbeat.analysis.result import TrackAnalysis
from fluxbeat.analysis.track import Track
from fluxbeat.charts.heat import heat_rows
from fluxbeat.errors import FluxBeatError
from fluxbeat.explanation.whole_track import label_evidence
from fluxbeat.explanation.windows import band_centres_hz
from fluxbeat.models.base import TAKES_SOUND
from fluxbeat.models.registry import LoadedModel
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.ui.jobs import Job, Jobs, session_of
from fluxbeat.web.ui.offered_models import OfferedModels
from fluxbeat.web.ui.panel import IN_OUR_QUEUE, panel, panel_answer, panel_bytes
from fluxbeat.web.ui.track_results import TrackResults, kept, kept_analysis

MOST_COLUMNS = 1200
"""Moments in a picture: finer than most screens."""
QUIET, LOUD = -2.0, 3.0
"""Levels between which the spectrogram is drawn, in units of the normalised log-mel."""
BLOCK_S = 30.0
"""What speaks for a genre is computed, kept and shown block by block."""
MOST_BLOCKS = 16
"""Blocks that one question computes: those nearest to the pointer."""
KEPT = 64
"""Pairs of track and genre of which the blocks are kept, in all: 64 times at most 50 kB."""
TRACE = next(least for least, word in LEAST if word == "trace")


@dataclass
class _Kept:
    """What speaks for one genre along one track: rows of bands, in columns; `done` says which blocks are there."""

    heat: np.ndarray
    done: set[int] = field(default_factory=set)


class StageLayers:
    """The panel that asks for pictures, and what it is answered."""

    def __init__(self, offered: OfferedModels, queue: AnalysisQueue) -> None:
        self._offered, self._queue = offered, queue
        self._kept: dict[tuple[str, str, str], _Kept] = {}
        self.jobs = Jobs[Job]()
        self.panel = panel("layers", events=["looked", "pointed"])

    def connect(self, results: gr.State, model: gr.Radio) -> None:
        """Answer what the stage asks; its questions wait in our own queue."""
        self.panel.looked(self.look, [results, model], self.panel, **IN_OUR_QUEUE)
        self.panel.pointed(self.point, [results, model], self.panel, **IN_OUR_QUEUE)

    async def look(self, results: TrackResults | None, model: str, event: gr.EventData) -> str:
        """The spectrogram from `from_s` to `to_s`, as the model's features have it."""
        try:
            shown, features = kept(results), self._offered.find(model).network.config.features

            def work(_: Any = None) -> dict[str, Any]:
                return spectrogram_view(shown.key, shown.track(features), float(event.from_s), float(event.to_s))

            if features in shown.tracks:  # some milliseconds: nobody needs to wait for a turn
                return panel_answer(await asyncio.to_thread(work))
            with self._queue.place():
                return panel_answer(await self._queue.run(work))
        except FluxBeatError as error:
            return panel_answer({"error": str(error)})

    async def point(
        self, results: TrackResults | None, model: str, event: gr.EventData, request: gr.Request
    ) -> AsyncIterator[Any]:
        """What speaks for the genre `label`, nearest to `at_s` first, while the page asks for nothing newer."""
        ticket, job = int(event.ticket), self.jobs.start(session_of(request), Job(self._queue))
        steps = self._heat_steps(results, model, str(event.label), float(event.at_s), job)
        async with aclosing(job.views(steps)) as views:
            async for view in views:
                if "busy" not in view:
                    yield job.answer({**view, "ticket": ticket})

    def _heat_steps(
        self, shown: TrackResults | None, name: str, label: str, at_s: float, job: Job
    ) -> Iterator[dict[str, Any]]:
        """The picture so far after every block; the last one says that it is whole."""
        results, analysis = kept_analysis(shown, name)
        model = self._offered.find(name)
        if model.network.takes_sound:
            raise FluxBeatError(TAKES_SOUND)
        track = results.track(model.network.config.features)
        kept = self._kept_of((results.key, model.info.revision, label), track)
        missing = [block for block in present_blocks(analysis, label) if block not in kept.done]
        missing = sorted(missing, key=lambda block: abs((block + 0.5) * BLOCK_S - at_s))[:MOST_BLOCKS]
        yield heat_view(results.key, label, kept.heat, track, not missing)
        for number, block in enumerate(missing, 1):
            job.go_on()
            _add_block(kept.heat, track, model, label, block)
            kept.done.add(block)
            yield heat_view(results.key, label, kept.heat, track, number == len(missing))

    def _kept_of(self, key: tuple[str, str, str], track: Track) -> _Kept:
        """What is kept of a genre of a track; what came first is forgotten first."""
        kept = self._kept.get(key)
        if kept is None:
            rows = len(heat_rows(np.zeros((len(track.log_mel), 1), np.float32)))
            columns = min(MOST_COLUMNS, track.log_mel.shape[1])
            kept = self._kept[key] = _Kept(np.zeros((rows, columns), np.uint8))
            self._kept = dict(list(self._kept.items())[-KEPT:])
        return kept


def present_blocks(analysis: TrackAnalysis, label: str) -> list[int]:
    """Blocks of `BLOCK_S` in which a genre is at least a trace in some window; none where the model knows it not."""
    timeline = analysis.timeline
    if label not in timeline.labels:
        return []
    present = timeline.probability[:, timeline.labels.index(label)] >= TRACE
    return sorted({int(at_s // BLOCK_S) for at_s in timeline.centre_s[present]})


def spectrogram_view(key: str, track: Track, from_s: float, to_s: float) -> dict[str, Any]:
    """The part of the spectrogram between two moments, one byte for each place, in at most `MOST_COLUMNS` columns."""
    rate_hz, frames = track.features.frame_rate_hz, track.log_mel.shape[1]
    first = int(np.clip(np.floor(from_s * rate_hz), 0, frames - 1))
    end = int(np.clip(np.ceil(to_s * rate_hz), first + 1, frames))
    columns = min(MOST_COLUMNS, end - first)
    starts = first + np.arange(columns) * (end - first) // columns
    drawn = np.maximum.reduceat(track.log_mel[:, :end], starts, axis=1)
    return {
        "kind": "spectrogram",
        "key": key,
        "from_s": round(first / rate_hz, 3),
        "to_s": round(end / rate_hz, 3),
        "rows": len(drawn),
        "columns": columns,
        "band_hz": [round(float(hz)) for hz in band_centres_hz(track.features)],
        "level": panel_bytes((drawn - QUIET) / (LOUD - QUIET)),
    }


def heat_view(key: str, label: str, heat: np.ndarray, track: Track, whole: bool) -> dict[str, Any]:
    """What speaks for a genre along the whole track, as far as it is known."""
    return {
        "kind": "heat",
        "key": key,
        "label": label,
        "from_s": 0.0,
        "to_s": round(track.duration_s, 3),
        "rows": len(heat),
        "columns": heat.shape[1],
        "most": int(heat.max(initial=0)),
        "whole": whole,
        "level": panel_bytes(heat / 255),
    }


def _add_block(heat: np.ndarray, track: Track, model: LoadedModel, label: str, block: int) -> None:
    """Compute a block and write its columns; where two blocks share one, the stronger of both."""
    start_s, columns = block * BLOCK_S, heat.shape[1]
    found = heat_rows(label_evidence(track, model, label, start_s, start_s + BLOCK_S))
    if not found.shape[1]:
        return
    first = round(start_s * track.features.frame_rate_hz)
    column = (first + np.arange(found.shape[1])) * columns // track.log_mel.shape[1]
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    sizes = np.diff(np.append(starts, len(column)))
    mean = np.add.reduceat(found, starts, axis=1) / sizes
    drawn = np.round(mean * 255).astype(np.uint8)
    heat[:, column[starts]] = np.maximum(heat[:, column[starts]], drawn)
