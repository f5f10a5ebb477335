"""The Library tab: many files at once, as a table that fills while they are heard."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from fluxbeat.analysis import DEFAULT_HOP_S, TrackAnalysis
from fluxbeat.audio import safe_name
from fluxbeat.charts.wording import as_sentence, clock, model_title
from fluxbeat.errors import FluxBeatError
from fluxbeat.library import (
    SOUND_SUFFIXES,
    AnalysisCache,
    LibraryJob,
    LibraryRow,
    SoundFile,
    Step,
    ThreadWorkers,
    question,
    write_csv,
)
from fluxbeat.ui.jobs import session_of
from fluxbeat.ui.offered_models import OfferedModels
from fluxbeat.ui.panel import panel, panel_value

NAMED_FILES = """(files, _) => {
  const given = Array.isArray(files) ? files : files ? [files] : [];
  return [files, JSON.stringify(given.map(file => file.orig_name ?? ''))];
}"""
"""For an event's `js`, with inputs (files, names): sends the names that Gradio's safe paths have lost characters of."""
REDRAWN_EVERY_S = 0.7
ROWS_PER_SECOND = 1500
"""A longer table is sent less often: it travels as a whole."""


@dataclass(frozen=True, eq=False)
class LibraryPieces:
    """The components of the tab."""

    files: gr.File
    names: gr.Textbox
    panel: gr.HTML
    csv: gr.DownloadButton
    shelf: gr.State


@dataclass(eq=False)
class Shelf:
    """The library of one open page: its files, what is known of them, and the work on it."""

    files: list[SoundFile] = field(default_factory=list)
    rows: list[tuple[int, LibraryRow]] = field(default_factory=list)
    model: str = ""
    job: LibraryJob | None = None
    key: str = field(default_factory=lambda: secrets.token_hex(8))


def library_pieces(kept_s: float) -> LibraryPieces:
    """The content of the tab; a page that was left keeps its library for `kept_s` seconds."""
    files = gr.File(
        file_count="multiple",
        label="Drop many songs or whole folders here",
        height=150,
        elem_id="library-files",
    )
    names = gr.Textbox(visible=False)
    table = panel("library", {"suffixes": sorted(SOUND_SUFFIXES)}, events=["opened", "stopped", "emptied"])
    csv = gr.DownloadButton("Download the table as CSV", size="sm", visible=False, elem_id="library-csv")
    return LibraryPieces(files, names, table, csv, gr.State(None, time_to_live=int(kept_s)))


class Library:
    """What the tab does; the libraries themselves live in each page's state."""

    def __init__(self, offered: OfferedModels, max_duration_s: float) -> None:
        self._offered = offered
        self._max_duration_s = max_duration_s
        self._opening = threading.Lock()
        self._opened: tuple[AnalysisCache, ThreadWorkers] | None = None
        self._shelves: dict[str, Shelf] = {}
        self._csv_folder = tempfile.TemporaryDirectory(prefix="fluxbeat-library-")

    def connect(self, at: LibraryPieces, model: gr.Radio, examples: gr.Accordion, at_once: int) -> None:
        """Say what the tab's events do; opening a row is the page's own matter. Files close the shelf of examples."""
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "multiple"}
        inputs, table = [at.files, at.names, at.shelf], [at.panel, at.csv]
        given = at.files.upload(
            self.add, inputs, [at.files, at.shelf, at.panel, examples], js=NAMED_FILES, queue=False, **quiet
        )
        given.then(self.hear, [at.shelf, model], table, concurrency_id="library", concurrency_limit=at_once, **quiet)
        at.panel.stopped(self.stop, at.shelf, None, queue=False, **quiet)
        at.panel.emptied(self.empty, None, [*table, at.shelf], queue=False, **quiet)

    def add(
        self, paths: list[str] | None, names: str, shelf: Shelf | None, request: gr.Request
    ) -> tuple[Any, Any, Any, Any]:
        """Files were given, and join those there: an emptied drop area, the new shelf, the table, examples closed."""
        if not paths:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        self.leave(request)
        shown = json.loads(names or "[]")
        given = [
            SoundFile(Path(path), _shown_name(path, name))
            for path, name in zip(paths, [*shown, *[""] * len(paths)][: len(paths)], strict=True)
        ]
        new = Shelf(files=[*(shelf.files if shelf else []), *given])
        self._shelves[session_of(request)] = new
        return None, new, self._view(new, Step((), 0, len(new.files), 0, None)), gr.Accordion(open=False)

    def hear(self, shelf: Shelf | None, model: str) -> Iterator[tuple[Any, Any]]:
        """Hear the shelf's files and show the table as it fills: values for the panel and the CSV button."""
        if shelf is None or shelf.job is not None:
            return
        shelf.model = model
        try:
            hearing = self._offered[model]
            cache, workers = self._engine()
            shelf.job = job = LibraryJob(shelf.files, hearing, cache, workers)
            shown_s = time.monotonic()
            for step in job.steps():
                shelf.rows += step.placed
                if time.monotonic() - shown_s >= max(REDRAWN_EVERY_S, len(shelf.rows) / ROWS_PER_SECOND):
                    yield self._view(shelf, step), gr.skip()
                    shown_s = time.monotonic()
        except FluxBeatError as error:
            yield self._view(shelf, None, str(error)), self._csv_button(shelf)
            return
        yield self._view(shelf, None), self._csv_button(shelf)

    def stop(self, shelf: Shelf | None) -> None:
        """What is heard stays in the table."""
        if shelf and shelf.job:
            shelf.job.cancel()

    def empty(self, request: gr.Request) -> tuple[Any, Any, Any]:
        """Begin with no files: values for the panel, the CSV button and the shelf."""
        self.leave(request)
        return panel_value({"suffixes": sorted(SOUND_SUFFIXES)}), gr.DownloadButton(visible=False), None

    def leave(self, request: gr.Request) -> None:
        """The page was closed, or works on another library from now on."""
        left = self._shelves.pop(session_of(request), None)
        self.stop(left)
        if left:
            shutil.rmtree(Path(self._csv_folder.name, left.key), ignore_errors=True)

    def chosen(self, shelf: Shelf | None, index: int, model: str) -> tuple[SoundFile, TrackAnalysis | None] | None:
        """A file of the table, with what this model said of it."""
        if shelf is None or not 0 <= index < len(shelf.files):
            return None
        file, asked = shelf.files[index], self._offered.models.get(model)
        if asked is None:
            return file, None
        cache, _ = self._engine()
        kept = cache.find(cache.digest(file), question(asked, DEFAULT_HOP_S), file.shown)
        return file, kept.analysis if kept else None

    def _engine(self) -> tuple[AnalysisCache, ThreadWorkers]:
        """One cache and one set of threads for all pages, so that they take turns; made when first needed."""
        with self._opening:
            if self._opened is None:
                self._opened = AnalysisCache(), ThreadWorkers(max_duration_s=self._max_duration_s)
            return self._opened

    def _csv_button(self, shelf: Shelf) -> Any:
        """The button with the table as it is now, in the order of the files."""
        if not shelf.rows:
            return gr.DownloadButton(visible=False)
        path = Path(self._csv_folder.name, shelf.key, "library.csv")
        path.parent.mkdir(exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="") as file:
            write_csv([row for _, row in sorted(shelf.rows, key=lambda placed: placed[0])], file)
        return gr.DownloadButton(value=str(path), visible=True)

    def _view(self, shelf: Shelf, step: Step | None, error: str | None = None) -> str:
        """What the panel draws; without a step the work is over."""
        colours = {label: paint.fill for label, paint in self._offered.paints.items()}
        total = len(shelf.files)
        view = {
            "suffixes": sorted(SOUND_SUFFIXES),
            "rows": [_drawn(place, row) for place, row in shelf.rows],
            "colours": colours,
            "model": model_title(shelf.model),
            "done": len(shelf.rows),
            "total": total,
            "running": step is not None,
            "left": _left(step.remaining_s) if step else "",
            "error": error,
        }
        return panel_value(view)


def _shown_name(path: str, name: str) -> str:
    """Folders and file as the listener knows them, each fit to be shown."""
    parts = [safe_name(part) for part in (name or Path(path).name).split("/") if part not in ("", ".", "..")]
    return "/".join(parts) or Path(path).name


def _drawn(place: int, row: LibraryRow) -> dict[str, Any]:
    return {
        "index": place,
        "title": row.title,
        "artist": row.artist,
        "path": row.path,
        "length_s": row.duration_s,
        "length": "" if row.duration_s is None else clock(row.duration_s),
        "genres": list(row.genres),
        "bpm": row.bpm,
        "notes": [as_sentence(note) for note in row.warnings],
        "error": row.error,
    }


def _left(remaining_s: float | None) -> str:
    """Remaining time as one would say it; nothing before it can be told."""
    if remaining_s is None:
        return ""
    if remaining_s < 60:
        return f"about {max(5, round(remaining_s / 5) * 5)} s left"
    minutes = round(remaining_s / 60)
    return f"about {minutes} min left" if minutes < 120 else f"about {minutes // 60} h left"
