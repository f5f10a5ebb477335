"""The Teach tab: genres of one's own from a handful of songs each, as a model that stands beside the others."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import gradio as gr

from fluxbeat.audio.sound_files import SoundFile
from fluxbeat.charts.wording import clock
from fluxbeat.errors import AnalysisCancelled, FluxBeatError
from fluxbeat.library.own_genres import BASE, Example, OwnGenres, check_genre, save_own_genres, teach, without_repeats
from fluxbeat.library.songs import Song, SongReader
from fluxbeat.library.workers import cores
from fluxbeat.models.checkpoint import load_checkpoint
from fluxbeat.models.hub.publishing import push
from fluxbeat.models.registry import LoadedModel, ModelInfo, load
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.ui.given_files import GivenFiles, sound_files
from fluxbeat.web.ui.gradio_internals import folder_to_serve, served_url
from fluxbeat.web.ui.jobs import session_of
from fluxbeat.web.ui.library_tab import LibraryState
from fluxbeat.web.ui.models_tab import ModelsState, ModelsTab
from fluxbeat.web.ui.offered_models import OfferedModels
from fluxbeat.web.ui.panel import AT_ONCE, HIDDEN, panel, panel_answer

MOST_SONGS = 1000
REDRAWN_EVERY_S = 0.5
TITLE = "Your genres"
ORIGIN = "taught on this page"
FOLDER = "your-genres"
"""Of the checkpoint in what is downloaded."""

Updates = tuple[Any, ...]


@dataclass(eq=False)
class TaughtSong:
    """A song that was given, what it is, and what was found of it."""

    file: SoundFile
    genre: str
    found: Song | str | None = None


@dataclass(eq=False)
class TeachState:
    """The genres of one open page, their songs, and the model that they made.

    `archive` is its checkpoint as a ZIP file; `may_push` says whether the page may send it to the Hub, and `sent` how
    that went.
    """

    genres: list[str] = field(default_factory=list)
    songs: list[TaughtSong] = field(default_factory=list)
    model: str = ""
    result: dict[str, Any] | None = None
    busy: dict[str, Any] | None = None
    stop: threading.Event | None = None
    archive: Path | None = None
    may_push: bool = False
    sent: dict[str, str] = field(default_factory=dict)

    def give(self, files: list[SoundFile], genre: str) -> None:
        """Name the genre of some songs; what one was called before is taken back.

        Raises
        ------
        FluxBeatError
            If the genre has no possible name, or there are too many songs.
        """
        self.name(genre)
        before = {song.file.path: song.found for song in self.songs}
        given = {file.path for file in files}
        kept = [song for song in self.songs if song.file.path not in given]
        if len(kept) + len(given) > MOST_SONGS:
            raise FluxBeatError(f"no more than {MOST_SONGS} songs can be taught here: fluxbeat train takes any number")
        self.songs = kept + [TaughtSong(file, genre, before.get(file.path)) for file in files]

    def name(self, genre: str) -> None:
        """Add a genre, unless it is there."""
        check_genre(genre)
        if genre not in self.genres:
            self.genres.append(genre)

    @property
    def examples(self) -> list[Example]:
        """The songs that could be read; of a recording that was given twice the last word holds."""
        read = [Example(song.found, (song.genre,)) for song in self.songs if isinstance(song.found, Song)]
        return without_repeats(read[::-1], merge=False)[0][::-1]


class TeachTab:
    """The tab, and what it does; the songs live in each page's state, and are kept for `kept_s` after it is closed."""

    def __init__(
        self, offered: OfferedModels, models: ModelsTab, queue: AnalysisQueue, max_duration_s: float, kept_s: int
    ) -> None:
        self._offered, self._models, self._queue, self._max_duration_s = offered, models, queue, max_duration_s
        self._states: dict[str, TeachState] = {}
        self.panel = panel("teach", {"genres": []}, events=["given", "asked", "begun", "stopped", "sent"])
        self._given = GivenFiles("teach")
        self.state = gr.State(None, time_to_live=kept_s)

    def connect(
        self, library: gr.HTML, library_state: gr.State, tabs: gr.Tabs, model: gr.Radio, compared: gr.CheckboxGroup
    ) -> None:
        """Wire the tab."""
        slow: dict[str, Any] = {**HIDDEN, "concurrency_id": "teach", "concurrency_limit": 4}
        shown = [self.panel, self.state]
        self.panel.asked(self.ask, self.state, shown, **AT_ONCE)
        self.panel.given(self.add, [*self._given.inputs, self.state], shown, js=self._given.js, **AT_ONCE)
        self.panel.stopped(self.stop, self.state, None, **AT_ONCE)
        self.panel.sent(self.send, self.state, self.panel, **slow)
        given = library.taught(self.add_rows, [self.state, library_state], [*shown, tabs], **AT_ONCE)
        inputs = [self.state, self._models.state, compared]
        outputs = [self.panel, self._models.cards, self._models.state, model, compared]
        given.then(self.teach_again, inputs, outputs, **slow)
        self.panel.begun(self.teach, inputs, outputs, **slow)

    def ask(self, state: TeachState | None, event: gr.EventData, request: gr.Request) -> Updates:
        """A genre was named or taken away, a song taken away, or all of it."""
        state = self._of(state, request)
        try:
            if event.do == "genre":
                state.name(str(event.name).strip())
            elif event.do == "forget":
                state.genres = [genre for genre in state.genres if genre != event.name]
                state.songs = [song for song in state.songs if song.genre != event.name]
            elif event.do == "remove":
                del state.songs[int(event.index) : int(event.index) + 1]
            elif event.do == "anew":
                state.genres, state.songs, state.result = [], [], None
        except FluxBeatError as error:
            return self._view(state, str(error)), state
        return self._view(state), state

    def add(self, paths: list[str], about: str, state: TeachState | None, request: gr.Request) -> Updates:
        """Songs were dropped on a genre."""
        given = json.loads(about)
        return self._give(self._of(state, request), sound_files(paths, given["names"]), str(given["genre"]))

    def add_rows(
        self, state: TeachState | None, library: LibraryState | None, event: gr.EventData, request: gr.Request
    ) -> Updates:
        """A person says what some rows of the library are: they are songs to learn from, or a wrong answer mended."""
        files = library.files if library else []
        rows = [files[int(index)] for index in event.indices if 0 <= int(index) < len(files)]
        return *self._give(self._of(state, request), rows, str(event.genre).strip()), gr.Tabs(selected="teach")

    def _give(self, state: TeachState, files: list[SoundFile], genre: str) -> Updates:
        try:
            state.give(files, genre)
        except FluxBeatError as error:
            return self._view(state, str(error)), state
        return self._view(state), state

    def stop(self, state: TeachState | None) -> None:
        """What was read of songs stays."""
        if state and state.stop:
            state.stop.set()

    def send(self, state: TeachState | None, event: gr.EventData, request: gr.Request) -> Iterator[Any]:
        """Publish the model on the Hub as `fluxbeat push` does, under the login of this machine."""
        if state is None or state.archive is None or "words" in state.sent:
            yield gr.skip()
            return
        state.may_push = self._models.may_push(request)
        if not state.may_push:
            yield self._view(state)
            return
        repository = str(event.repository).strip()
        state.sent = {"words": f"Sending it to {repository[:100]}"}
        yield self._view(state)
        try:
            with tempfile.TemporaryDirectory() as place:
                shutil.unpack_archive(state.archive, place)
                address = push(Path(place, FOLDER), repository, private=bool(event.private))
            state.sent = {"done": str(address)}
        except FluxBeatError as error:
            state.sent = {"error": f"{error}."}
        except OSError:
            state.sent = {"error": "The checkpoint is not kept any more: press Teach once more."}
        yield self._view(state)

    def leave(self, request: gr.Request) -> None:
        """The page was closed: its model goes with it."""
        state = self._states.pop(session_of(request), None)
        self.stop(state)
        if state and state.model:
            self._offered.remove([state.model])

    def teach_again(self, state: TeachState | None, models: ModelsState, compared: list[str]) -> Iterator[Updates]:
        """After a correction: the model learns from it at once, where there is one already."""
        if state and state.model:
            yield from self.teach(state, models, compared)

    def teach(self, state: TeachState | None, models: ModelsState, compared: list[str]) -> Iterator[Updates]:
        """Read the songs that were not read yet, teach a head, measure it, and offer the model in every tab."""
        nothing: Updates = (gr.skip(),) * 4
        if state is None or state.stop is not None:
            yield gr.skip(), *nothing
            return
        state.stop = stop = threading.Event()
        error, offered = "", nothing
        try:
            for busy in self._read(state, stop):
                state.busy = busy
                yield self._view(state), *nothing
            state.busy = {"words": "Learning, and asking about songs that were left out"}
            yield self._view(state), *nothing
            with self._queue.turn_of_thread(stop) as go_on:
                own = teach(state.examples, load(BASE), go_on)
            model, result, archive = self._made(own)
            self._offered.add([model])
            gone = [] if state.model == model.info.name else [state.model]
            self._offered.remove(gone)
            state.model, state.result, state.archive, state.sent = model.info.name, result, archive, {}
            offered = self._models.offering(models, compared, [state.model], gone)
        except AnalysisCancelled:
            error = "Stopped. What was read of the songs is kept."
        except FluxBeatError as failed:
            error = f"{failed}."
        finally:
            stop.set()
            state.stop = state.busy = None
        yield self._view(state, error), *offered

    def _read(self, state: TeachState, stop: threading.Event) -> Iterator[dict[str, Any]]:
        """How far the songs are read, in words, now and then."""
        waiting = [song for song in state.songs if not isinstance(song.found, Song)]
        total, began_s, shown_s, done = len(waiting), time.monotonic(), 0.0, 0
        yield {"words": "Reading the songs", "done": 0, "total": total}
        for done, (place, found) in enumerate(self._reader.read([song.file for song in waiting], stop), start=1):
            waiting[place].found = found
            if time.monotonic() - shown_s >= REDRAWN_EVERY_S:  # each time with the names of all songs
                shown_s = time.monotonic()
                left = clock((shown_s - began_s) / done * (total - done))
                yield {"words": f"Reading the songs, {left} left", "done": done, "total": total}
        if done < total:
            raise AnalysisCancelled("stopped")

    def _made(self, own: OwnGenres) -> tuple[LoadedModel, dict[str, Any], Path]:
        """The model as other tabs take it, what is said of it, and its checkpoint as a file."""
        place = folder_to_serve(self.panel, "teach-")
        folder = place / FOLDER
        save_own_genres(own, folder, TITLE)
        archive = Path(shutil.make_archive(str(folder), "zip", place, FOLDER))
        network, revision = load_checkpoint(folder)  # the registry would keep every model for good
        shutil.rmtree(folder)
        name = f"{TITLE} {revision[:4]}"
        result = {
            "name": name,
            "counts": [[label, count] for label, count in own.counts.items()],
            "sentences": own.judgement.sentences,
            "url": served_url(self.panel, archive),
        }
        return LoadedModel(ModelInfo(name, ORIGIN, revision), network), result, archive

    def _of(self, state: TeachState | None, request: gr.Request) -> TeachState:
        state = state or TeachState()
        state.may_push = self._models.may_push(request)
        self._states[session_of(request)] = state
        return state

    @cached_property
    def _reader(self) -> SongReader:
        """The same for all pages, so that they take turns."""
        at_once = min(cores(), self._queue.at_once)
        return SongReader(load(BASE), None, at_once, self._max_duration_s, self._queue.turn_of_thread)

    def _view(self, state: TeachState, error: str = "") -> str:
        songs: dict[str, list[dict[str, Any]]] = {genre: [] for genre in state.genres}
        for place, song in enumerate(state.songs):
            problem = song.found if isinstance(song.found, str) else ""
            songs[song.genre].append({"index": place, "name": Path(song.file.shown).name, "problem": problem})
        return panel_answer(
            {
                "genres": [{"name": genre, "songs": given} for genre, given in songs.items()],
                "busy": state.busy,
                "error": error,
                "result": state.result,
                "hub": {"allowed": state.may_push, **state.sent},
            }
        )
