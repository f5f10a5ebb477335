"""The Library tab: many files at once, as a table that fills while they are analysed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import gradio as gr

from fluxbeat.analysis.result import TrackAnalysis
from fluxbeat.audio.sound_files import SOUND_SUFFIXES, SoundFile
from fluxbeat.charts.wording import as_sentence, clock, confidence, model_title, tempo_words
from fluxbeat.errors import FluxBeatError
from fluxbeat.library.cache import AnalysisCache
from fluxbeat.library.job import LibraryJob
from fluxbeat.library.table import LibraryRow, analysed_row, write_csv
from fluxbeat.library.workers import ThreadWorkers, cores
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.ui.given_files import GivenFiles, sound_files
from fluxbeat.web.ui.gradio_internals import folder_to_serve
from fluxbeat.web.ui.jobs import session_of
from fluxbeat.web.ui.offered_models import OfferedModels
from fluxbeat.web.ui.panel import AT_ONCE, HIDDEN, panel, panel_value

REDRAWN_EVERY_S = 0.7
ROWS_PER_SECOND = 1500
"""A longer table is sent less often: it travels as a whole."""


@dataclass(eq=False)
class LibraryState:
    """The library of one open page: its files, the row of each by its place among them, and the work on it."""

    files: list[SoundFile] = field(default_factory=list)
    rows: dict[int, LibraryRow] = field(default_factory=dict)
    model: str = ""
    job: LibraryJob | None = None


class LibraryTab:
    """The tab, and what it does; the libraries themselves live in each page's state, and are kept for `kept_s`."""

    def __init__(
        self, offered: OfferedModels, queue: AnalysisQueue, max_duration_s: float, kept_s: int | None = None
    ) -> None:
        self._offered, self._queue, self._max_duration_s = offered, queue, max_duration_s
        self._states: dict[str, LibraryState] = {}
        self._given = GivenFiles("library")
        events = ["given", "opened", "stopped", "emptied", "taught"]
        self.panel = panel("library", {"suffixes": sorted(SOUND_SUFFIXES)}, events)
        self.csv = gr.DownloadButton("Download the table as CSV", size="sm", visible=False, elem_id="library-csv")
        self.state = gr.State(None, time_to_live=kept_s)

    def connect(self, model: gr.Radio) -> None:
        """Say what the tab's events do; opening a row is the page's own matter."""
        inputs, table = [*self._given.inputs, self.state], [self.panel, self.csv]
        given = self.panel.given(self.add, inputs, [self.state, self.panel], js=self._given.js, **AT_ONCE)
        given.then(self.analyse, [self.state, model], table, concurrency_id="library", concurrency_limit=4, **HIDDEN)
        self.panel.stopped(self.stop, self.state, None, **AT_ONCE)
        self.panel.emptied(self.empty, None, [*table, self.state], **AT_ONCE)

    def add(self, paths: list[str], about: str, state: LibraryState | None, request: gr.Request) -> tuple[Any, Any]:
        """Files were given, and join those there: the new library, the table."""
        self.leave(request)
        given = sound_files(paths, json.loads(about)["names"])
        new = LibraryState(files=[*(state.files if state else []), *given])
        self._states[session_of(request)] = new
        return new, self._view(new, "")

    def analyse(self, state: LibraryState | None, model: str) -> Iterator[tuple[Any, Any]]:
        """Analyse the library's files and show the table as it fills: values for the panel and the CSV button."""
        if state is None or state.job is not None:
            return
        state.model, problem = model, ""
        try:
            chosen = self._offered.find(model)
            state.job = job = LibraryJob(state.files, chosen, self._cache, self._workers)
            shown_s = time.monotonic()
            for step in job.steps():
                state.rows.update(step.placed)
                if time.monotonic() - shown_s >= max(REDRAWN_EVERY_S, len(state.rows) / ROWS_PER_SECOND):
                    left = "" if step.remaining_s is None else f"{clock(step.remaining_s)} left"
                    yield self._view(state, left), gr.skip()
                    shown_s = time.monotonic()
        except FluxBeatError as error:
            problem = str(error)
        yield self._view(state, error=problem), self._csv_button(state)

    def stop(self, state: LibraryState | None) -> None:
        """What is done stays in the table."""
        if state and state.job:
            state.job.cancel()

    def empty(self, request: gr.Request) -> tuple[Any, Any, Any]:
        """Begin with no files: values for the panel, the CSV button and the state."""
        self.leave(request)
        return panel_value(None), gr.DownloadButton(visible=False), None

    def leave(self, request: gr.Request) -> None:
        """The page was closed, or works on another library from now on."""
        self.stop(self._states.pop(session_of(request), None))

    def chosen(self, state: LibraryState | None, index: int, model: str) -> tuple[SoundFile, TrackAnalysis | None]:
        """A file of the table, with the analysis of this model where it is kept."""
        if state is None:
            raise FluxBeatError("The table is not kept any more: give its files once more.")
        file, revision = state.files[index], self._offered.find(model).info.revision
        return file, self._cache.find(self._cache.digest(file), revision, Path(file.shown).name)

    def corrected(self, state: LibraryState | None, path: str, bpm: float | None) -> tuple[Any, Any]:
        """A person says what the tempo of a file is: remembered where it is the library's. Values for panel and CSV."""
        places = [place for place, file in enumerate(state.files) if str(file.path) == path] if state else []
        if state is None or not places:
            return gr.skip(), gr.skip()
        file, model = state.files[places[0]], self._offered.models.get(state.model)
        sha256 = self._cache.digest(file)
        self._cache.correct(sha256, bpm)
        known = self._cache.find(sha256, model.info.revision, file.shown) if model else None
        if known:
            state.rows.update({place: analysed_row(file, known) for place in places if place in state.rows})
        if known is None or len(state.rows) < len(state.files):  # the job draws the table itself
            return gr.skip(), gr.skip()
        return self._view(state), self._csv_button(state)

    @cached_property
    def _cache(self) -> AnalysisCache:
        return AnalysisCache()

    @cached_property
    def _workers(self) -> ThreadWorkers:
        """The same for all pages, so that they take turns."""
        return ThreadWorkers(min(cores(), self._queue.at_once), self._max_duration_s, self._queue.turn_of_thread)

    def _csv_button(self, state: LibraryState) -> Any:
        """The button with the table as it is now, in the order of the files."""
        if not state.rows:
            return gr.DownloadButton(visible=False)
        path = folder_to_serve(self.panel, "library-") / "library.csv"
        with open(path, "w", encoding="utf-8", newline="") as file:
            write_csv([row for _, row in sorted(state.rows.items())], file)
        return gr.DownloadButton(value=str(path), visible=True)

    def _view(self, state: LibraryState, left: str | None = None, error: str = "") -> str:
        """What the panel draws; `left` says how long the work still takes, None that it is over."""
        view = {
            "rows": [_drawn(place, row) for place, row in state.rows.items()],
            "colours": {label: paint.fill for label, paint in self._offered.paints.items()},
            "model": model_title(state.model),
            "done": len(state.rows),
            "total": len(state.files),
            "running": left is not None,
            "left": left,
            "error": error,
        }
        return panel_value(view)


def _drawn(place: int, row: LibraryRow) -> dict[str, Any]:
    return row.to_dict() | {
        "index": place,
        "length": "" if row.duration_s is None else clock(row.duration_s),
        "tempo": tempo_words(row.bpm, None),
        "rival": tempo_words(row.rival_bpm, None),
        "sure": "" if row.tempo_confidence is None else confidence(row.tempo_confidence),
        "presence": list(row.presence),
        "river": asdict(row.river) if row.river else None,
        "notes": [as_sentence(note) for note in row.warnings],
    }
