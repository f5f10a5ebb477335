"""Who analyses: threads of this process. `fluxbeat.library.ray_workers` is the same over many machines.

Threads, not processes, because they were faster. Ten songs (26 minutes) on two cores by the CRNN, mean of three runs
beside other work: two threads of one core each 1.0 files/s; two processes 0.66, or 0.9 without their start; one file
after the other on both cores 0.33, for small convolutions spend more on splitting than they gain.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeAlias

from fluxbeat.analysis.engine import analyze
from fluxbeat.analysis.result import TrackAnalysis
from fluxbeat.analysis.track import Progress
from fluxbeat.audio.decoding import MAX_DURATION_S
from fluxbeat.audio.sound_files import SoundFile
from fluxbeat.errors import AnalysisCancelled, FluxBeatError
from fluxbeat.features.torch_threads import threads_that_compute_alone
from fluxbeat.models.registry import LoadedModel

AnalysisOrError: TypeAlias = TrackAnalysis | str
"""The analysis of one file, or in one sentence, in which its name may stand, why there is none."""
GoOn: TypeAlias = Callable[[], None]
"""Called now and then by whatever computes: others may go first; raises `AnalysisCancelled` once it is stopped."""
TurnOf: TypeAlias = Callable[[threading.Event], AbstractContextManager[GoOn]]
"""Given what stops a job: a context to wait in for its turn, and to compute in."""


@contextmanager
def turn_at_once(stop: threading.Event) -> Iterator[GoOn]:
    """The turn of whoever computes alone, and waits for nobody."""

    def go_on() -> None:
        if stop.is_set():
            raise AnalysisCancelled("no longer wanted")

    yield go_on


class Workers(Protocol):
    """Whoever analyses files.

    Attributes
    ----------
    at_once : int
        How many files are to be begun before the first is done, so that nobody waits.
    """

    at_once: int

    def begin(self, file: SoundFile, model: LoadedModel, stop: threading.Event) -> Future[AnalysisOrError]:
        """Begin one file; once `stop` is set, its answer is not wanted any more."""

    def close(self) -> None:
        """Let everybody go; what is running is left to end by its `stop`."""


class ThreadWorkers:
    """Threads that compute on one core each; may serve several libraries at once.

    Parameters
    ----------
    count : int, optional
        One per core of this process where not given.
    max_duration_s : float
        Longest recording in seconds that they take.
    turn : callable, optional
        Called with a job's `stop` for each file. Where not given, nobody else computes.
    """

    def __init__(
        self, count: int | None = None, max_duration_s: float = MAX_DURATION_S, turn: TurnOf | None = None
    ) -> None:
        count = count or cores()
        self.at_once = count + 1  # one waits, so that no thread has to
        self._max_duration_s = max_duration_s
        self._turn: TurnOf = turn or turn_at_once
        self._pool = threads_that_compute_alone(count, "fluxbeat-library")

    def begin(self, file: SoundFile, model: LoadedModel, stop: threading.Event) -> Future[AnalysisOrError]:
        return self._pool.submit(self._in_turn, file, model, stop)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _in_turn(self, file: SoundFile, model: LoadedModel, stop: threading.Event) -> AnalysisOrError:
        with self._turn(stop) as go_on:
            return analyse_file(file.path, file.shown, model, lambda *_: go_on(), self._max_duration_s)


def analyse_file(
    source: str | os.PathLike[str] | bytes,
    name: str,
    model: LoadedModel,
    progress: Progress | None = None,
    max_duration_s: float = MAX_DURATION_S,
) -> AnalysisOrError:
    """Analyse one file, given by its path or by its bytes, which is called `name` in front of a person.

    Raises
    ------
    AnalysisCancelled
        If `progress` raises it.
    """
    try:
        return analyze(source, model, name=name, max_duration_s=max_duration_s, progress=progress)
    except AnalysisCancelled:
        raise
    except FluxBeatError as error:
        return str(error)


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
