"""What the stage's lowest layer is made of: the spectrogram of a passage, and what in it speaks for one genre."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
import numpy as np

from fluxbeat.analysis import Track, TrackAnalysis
from fluxbeat.analysis.presence import LEAST
from fluxbeat.charts.heat import heat_rows
from fluxbeat.errors import AnalysisCancelled, FluxBeatError
from fluxbeat.explanation import label_evidence
from fluxbeat.explanation.windows import band_centres_hz
from fluxbeat.models.base import TAKES_SOUND
from fluxbeat.models.registry import LoadedModel
from fluxbeat.web.analysis_queue import AnalysisQueue, Waiting
from fluxbeat.web.ui.jobs import session_of
from fluxbeat.web.ui.offered_models import OfferedModels
from fluxbeat.web.ui.panel import HIDDEN, panel, panel_answer, panel_bytes
from fluxbeat.web.ui.track_results import TrackResults

MOST_COLUMNS = 1200
"""Moments in a picture: finer than most screens."""
MOST_ROWS = 96
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
        self._kept: OrderedDict[tuple[str, str, str], _Kept] = OrderedDict()
        self._lock = threading.Lock()
        self._newest: dict[str, int] = {}
        self.panel = panel("layers", events=["looked", "pointed"])

    def connect(self, results: gr.State, model: gr.Radio) -> None:
        """Answer what the stage asks; its questions wait in our own queue."""
        each: dict[str, Any] = {**HIDDEN, "trigger_mode": "multiple", "concurrency_limit": None}
        self.panel.looked(self.look, [results, model], self.panel, **each)
        self.panel.pointed(self.point, [results, model], self.panel, **each)

    async def look(self, results: TrackResults | None, model: str, event: gr.EventData) -> str:
        """The spectrogram from `from_s` to `to_s`, as the model's features have it."""
        chosen = self._offered.models.get(model)
        if results is None or chosen is None:
            return panel_answer({"error": "The track is not kept any more: give it once more."})
        features = chosen.network.config.features

        def work(_: Any = None) -> dict[str, Any]:
            return spectrogram_view(results.key, results.track(features), float(event.from_s), float(event.to_s))

        try:
            if features in results.tracks:  # some milliseconds: nobody needs to wait for a turn
                return panel_answer(await asyncio.to_thread(work))
            with self._queue.place():
                return panel_answer(await self._queue.run(work))
        except FluxBeatError as error:
            return panel_answer({"error": str(error)})

    async def point(
        self, results: TrackResults | None, model: str, event: gr.EventData, request: gr.Request
    ) -> AsyncIterator[Any]:
        """What speaks for the genre `label`, nearest to `at_s` first, while the page asks for nothing newer."""
        session, ticket = session_of(request), int(event.ticket)
        self._newest[session] = ticket

        def wanted() -> bool:
            return self._newest.get(session) == ticket

        try:
            analysis = results.analyses.get(model) if results else None
            chosen = self._offered.models.get(model)
            if results is None or analysis is None or chosen is None:
                raise FluxBeatError("The track is not kept any more: give it once more.")
            steps = self._heat_steps(results, chosen, analysis, str(event.label), float(event.at_s), wanted)
            async with aclosing(self._queue.run_steps(steps, wanted)) as computed:
                async for step in computed:
                    if not isinstance(step, Waiting):
                        yield panel_answer(step | {"ticket": ticket})
        except AnalysisCancelled:
            yield gr.skip()
        except FluxBeatError as error:
            yield panel_answer({"error": str(error), "ticket": ticket})
        finally:
            if wanted():
                self._newest.pop(session, None)

    def _heat_steps(
        self,
        results: TrackResults,
        model: LoadedModel,
        analysis: TrackAnalysis,
        label: str,
        at_s: float,
        wanted: Any,
    ) -> Iterator[dict[str, Any]]:
        """The picture so far after every block; the last one says that it is whole."""
        if model.network.takes_sound:
            raise FluxBeatError(TAKES_SOUND)
        track = results.track(model.network.config.features)
        kept = self._kept_of((results.key, model.info.revision, label), track)
        missing = [block for block in present_blocks(analysis, label) if block not in kept.done]
        missing = sorted(missing, key=lambda block: abs((block + 0.5) * BLOCK_S - at_s))[:MOST_BLOCKS]
        yield heat_view(results.key, label, kept.heat, track, not missing)
        for number, block in enumerate(missing, 1):
            if not wanted():
                raise AnalysisCancelled("something newer is pointed at")
            self._queue.give_way()
            _add_block(kept.heat, track, model, label, block)
            kept.done.add(block)
            yield heat_view(results.key, label, kept.heat, track, number == len(missing))

    def _kept_of(self, key: tuple[str, str, str], track: Track) -> _Kept:
        """What is kept of a genre of a track; of what was not asked for longest nothing is kept."""
        with self._lock:
            if key not in self._kept:
                rows = len(heat_rows(np.zeros((len(track.log_mel), 1), np.float32)))
                self._kept[key] = _Kept(np.zeros((rows, _columns(track)), np.uint8))
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[key]


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
    bands = len(drawn)
    if bands > MOST_ROWS:
        drawn = np.maximum.reduceat(drawn, np.arange(MOST_ROWS) * bands // MOST_ROWS, axis=0)
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


def _columns(track: Track) -> int:
    return min(MOST_COLUMNS, track.log_mel.shape[1])


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
