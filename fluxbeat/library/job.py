"""The way through a library: what is known comes first, the rest as it is done, and every result is kept at once."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass
from typing import TypeAlias

from fluxbeat.audio.readers import safe_name
from fluxbeat.audio.sound_files import SoundFile
from fluxbeat.errors import AnalysisCancelled, AudioDecodeError
from fluxbeat.library.cache import AnalysisCache
from fluxbeat.library.table import LibraryRow, analysed_row, failed_row
from fluxbeat.library.workers import AnalysisOrError, Workers
from fluxbeat.models.registry import LoadedModel

TICK_S = 0.5
Placed: TypeAlias = tuple[int, LibraryRow]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """How far a job is.

    Attributes
    ----------
    placed : tuple of (int, LibraryRow)
        Rows that are new since the step before, each with the place of its file among the job's files; may be empty.
    done, total : int
        Files.
    remaining_s : float or None
        None before there is anything to judge by.
    """

    placed: tuple[Placed, ...]
    done: int
    total: int
    remaining_s: float | None

    @property
    def rows(self) -> tuple[LibraryRow, ...]:
        """The new rows alone."""
        return tuple(row for _, row in self.placed)


class LibraryJob:
    """Analyse the files of a library with one model.

    Parameters
    ----------
    files : sequence of SoundFile
    model : LoadedModel
    cache : AnalysisCache
        Only this job's caller writes to it, never a worker.
    workers : Workers
        Not closed by the job.
    fresh : bool
        Analyse everything anew, whatever the cache knows; the new answers are kept.
    """

    def __init__(
        self,
        files: Sequence[SoundFile],
        model: LoadedModel,
        cache: AnalysisCache,
        workers: Workers,
        *,
        fresh: bool = False,
    ) -> None:
        self._files = files
        self._model = model
        self._cache = cache
        self._workers = workers
        self._fresh = fresh
        self._revision = model.info.revision
        self._stop = threading.Event()
        self._running: dict[Future[AnalysisOrError], str] = {}
        self._places: dict[str, list[int]] = {}  # of all files with a content that a worker has
        self._answered: set[str] = set()
        self._done = self._analysed = 0
        self._began_s = 0.0

    def cancel(self) -> None:
        """End the work soon; may be called from any thread. What is done stays in the cache."""
        self._stop.set()

    def steps(self) -> Iterator[Step]:
        """Work, and tell of it whenever something is done, and at least every half a second otherwise.

        Ends when all is done or `cancel` was called; leaving it early cancels as well.

        Raises
        ------
        FluxBeatError
            If the cache cannot be used. A file that cannot be analysed is a row with its `error`, and no exception.
        """
        try:
            waiting: deque[int] = deque()
            for place, file in enumerate(self._files):
                sha256 = None if file.problem or self._stop.is_set() else self._cache.known_digest(file)
                row = self._kept(file, sha256) if sha256 else None
                if row is None:
                    waiting.append(place)
                else:
                    yield self._step([(place, row)])
            self._began_s = time.monotonic()
            while (waiting or self._running) and not self._stop.is_set():
                placed = self._begin_some(waiting)
                yield self._step(placed + self._finished(at_once=bool(placed)))
        finally:
            self._stop.set()
            for future in self._running:
                future.cancel()

    def _kept(self, file: SoundFile, sha256: str) -> LibraryRow | None:
        """The row of a file whose content was answered before."""
        if self._fresh and sha256 not in self._answered:
            return None
        analysis = self._cache.find(sha256, self._revision, file.shown)
        return analysed_row(file, analysis) if analysis else None

    def _begin_some(self, waiting: deque[int]) -> list[Placed]:
        """Give the workers enough to do; returns the rows of files that need no worker."""
        placed: list[Placed] = []
        until_s = time.monotonic() + TICK_S
        while waiting and len(self._running) < self._workers.at_once and time.monotonic() < until_s:
            place = waiting.popleft()
            try:
                row = self._begin(place)
            except (AudioDecodeError, OSError) as error:
                row = failed_row(self._files[place], str(error))
            if row is not None:
                placed.append((place, row))
        return placed

    def _begin(self, place: int) -> LibraryRow | None:
        """The row of a file that needs no worker; a copy of what a worker has waits for that."""
        file = self._files[place]
        if file.problem:
            return failed_row(file, file.problem)
        sha256 = self._cache.digest(file)
        if sha256 in self._places:
            self._places[sha256].append(place)
            return None
        row = self._kept(file, sha256)
        if row is None:
            self._running[self._workers.begin(file, self._model, self._stop)] = sha256
            self._places[sha256] = [place]
        return row

    def _finished(self, at_once: bool) -> list[Placed]:
        """Rows of the answers that are there, after waiting a little for one."""
        ready, _ = wait(self._running, timeout=0 if at_once else TICK_S, return_when=FIRST_COMPLETED)
        placed: list[Placed] = []
        for future in ready:
            sha256 = self._running.pop(future)
            placed += self._rows(future, sha256, self._places.pop(sha256))
        return placed

    def _rows(self, future: Future[AnalysisOrError], sha256: str, places: list[int]) -> list[Placed]:
        """The rows of all files with one content."""
        files = [self._files[place] for place in places]
        try:
            answer = future.result()
        except (AnalysisCancelled, CancelledError):
            return []
        # whatever a file does to a worker, the others still get their turn
        except Exception as error:
            _log.exception("%s could not be analysed", files[0].shown)
            answer = f"the analysis failed unexpectedly ({type(error).__name__}: {error})"
        self._analysed += 1
        if isinstance(answer, str):
            named = f'"{safe_name(files[0].shown)}"'
            rows = [failed_row(file, answer.replace(named, f'"{safe_name(file.shown)}"')) for file in files]
        else:
            self._answered.add(sha256)
            self._cache.keep(sha256, self._revision, answer)
            rows = [analysed_row(file, self._cache.with_correction(sha256, answer)) for file in files]
        return list(zip(places, rows, strict=True))

    def _step(self, placed: list[Placed]) -> Step:
        self._done += len(placed)
        total, remaining_s = len(self._files), None
        if self._analysed:
            remaining_s = (time.monotonic() - self._began_s) / self._analysed * (total - self._done)
        return Step(tuple(placed), self._done, total, remaining_s)
