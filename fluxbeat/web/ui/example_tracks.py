"""The example tracks that come with the program: the page opens with the first, the others are one click away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from fluxbeat.analysis.result import TrackAnalysis
from fluxbeat.errors import FluxBeatError
from fluxbeat.models.registry import LoadedModel
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.ui.track_results import TrackResults

FOLDER = Path(__file__).resolve().parent / "examples"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Example:
    """A track that may be shipped, with what its licence asks for; `genre_hint` says what its answer names."""

    file: str
    title: str
    artist: str
    licence: str
    licence_url: str
    source: str
    changes: str
    genre_hint: str

    @property
    def path(self) -> Path:
        """Where it is."""
        return FOLDER / self.file

    @property
    def name(self) -> str:
        """What to call it in front of a person."""
        return f"{self.title} – {self.artist}"


def read_examples() -> list[Example]:
    """The examples listed in examples.json."""
    return TypeAdapter(list[Example]).validate_json((FOLDER / "examples.json").read_bytes())


class ExampleAnswers:
    """What the server's models say of the examples, for all pages: each example is analysed once.

    Parameters
    ----------
    examples : sequence of Example
    models : sequence of LoadedModel
        Those that answer at the start; the first one's answer is the first that is shown.
    queue : AnalysisQueue
        In which the analysis at the start takes its turn.
    """

    def __init__(self, examples: Sequence[Example], models: Sequence[LoadedModel], queue: AnalysisQueue) -> None:
        self.examples, self._models, self._queue = examples, models, queue
        self._known: dict[str, Mapping[str, TrackAnalysis]] = {}
        self._first: Future[None] = Future()
        self._begun = threading.Lock()

    def track(self, example: Example, max_duration_s: float) -> TrackResults:
        """A track of its own for one page, with the answers that are known."""
        known = dict(self._known.get(str(example.path), {}))
        return TrackResults(str(example.path), example.name, known, max_duration_s=max_duration_s)

    def remember(self, track: TrackResults) -> None:
        """Keep the answers of a track, if it is an example as the models found it, for those who choose it later."""
        names = [model.info.name for model in self._models]
        as_found = not any(analysis.tempo.corrected for analysis in track.analyses.values())
        paths = {str(example.path) for example in self.examples}
        if as_found and track.path in paths and set(names) <= set(track.analyses):
            self._known[track.path] = {name: track.analyses[name] for name in names}

    def begin(self) -> Future[None]:
        """Have the first example analysed, in a thread and its turn, unless that is done already; done when it is."""
        if self._begun.acquire(blocking=False):
            threading.Thread(target=self._analyse_first, daemon=True, name="first example").start()
        return self._first

    def _analyse_first(self) -> None:
        example = self.examples[0]
        try:
            with self._queue.turn_of_thread(threading.Event()) as go_on:
                track = TrackResults(str(example.path), example.name)
                for found in track.answers(self._models, lambda *_: go_on()):
                    self.remember(found)
        except FluxBeatError as error:
            _log.warning("the example %s could not be analysed: %s", example.file, error)
        finally:
            self._first.set_result(None)
