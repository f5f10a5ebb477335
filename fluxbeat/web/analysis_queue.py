"""Who computes when: the one queue of page, REST, explanations and libraries.

At most `at_once` of them compute at any moment, in the order in which they came. A live prediction, which takes
milliseconds and must not be late, is computed beside them.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from anyio import CapacityLimiter, from_thread, to_thread

from fluxbeat.analysis import Progress
from fluxbeat.errors import AnalysisCancelled, FluxBeatError

LOOK_EVERY_S = 0.5
"""How often those who wait are told their place, and asked whether they are still wanted."""

Result = TypeVar("Result")
Work = Callable[[Progress], Result]
"""Done in a thread; whatever it calls its argument with is reported, and cancels it once nobody waits for it."""
Turn: TypeAlias = Future[None]
"""Done when it has come."""
_END: Any = object()


class QueueFullError(FluxBeatError):
    """So many compute or wait that one more is told to come back."""


@dataclass(frozen=True)
class Waiting:
    """It is not its turn yet: `before` others go first."""

    before: int


class AnalysisQueue:
    """First come, first served, for tasks of the event loop and for threads alike.

    Attributes
    ----------
    at_once : int
        How many compute at the same time.
    places : int
        How many requests are let in altogether.
    inside : int
        How many requests are uploading, waiting, computed or being answered.
    """

    def __init__(self, at_once: int, waiting_at_most: int) -> None:
        self.at_once = at_once
        self.places = at_once + waiting_at_most
        self.inside = 0
        # in the order of coming: the first `at_once` have their turn, the others wait
        self._turns = list[Turn]()
        self._lock = threading.Lock()
        self._threads, self._live = CapacityLimiter(math.inf), CapacityLimiter(at_once)

    @property
    def running(self) -> int:
        """How many compute."""
        return min(self.at_once, len(self._turns))

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one request, from its first byte to its last.

        Raises
        ------
        QueueFullError
            If all are taken.
        """
        with self._lock:
            if self.inside >= self.places:
                raise QueueFullError(f"{self.inside} requests are being worked on or wait already: try again shortly")
            self.inside += 1
        try:
            yield
        finally:
            with self._lock:
                self.inside -= 1

    async def run(
        self,
        work: Work[Result],
        on_progress: Callable[[float, str], Any] | None = None,
        on_wait: Callable[[int], Any] | None = None,
    ) -> Result:
        """Do `work` in a thread as soon as it is its turn.

        Cancelling the task that awaits this ends the wait at once, and the work at its next report.

        Parameters
        ----------
        work : callable
        on_progress : callable, optional
            Called in the event loop with the finished share (0..1) and what is being done.
        on_wait : callable, optional
            Called in the event loop with how many others go first, at once and now and then while it waits.
        """

        def progress(share: float, doing: str) -> None:
            from_thread.check_cancelled()
            if on_progress:
                from_thread.run_sync(on_progress, share, doing)

        with self._turn() as turn:
            if on_wait:
                on_wait(self._before(turn))
            while not await _has_come(turn):
                if on_wait:
                    on_wait(self._before(turn))
            return await to_thread.run_sync(work, progress, limiter=self._threads)

    async def run_live(self, work: Callable[[], Result]) -> Result:
        """Compute a live prediction in a thread, beside whatever else computes; `at_once` of them at the same time."""
        return await to_thread.run_sync(work, limiter=self._live)

    async def run_steps(
        self, steps: Iterator[Result], wanted: Callable[[], bool]
    ) -> AsyncGenerator[Waiting | Result, None]:
        """Wait, then compute: first `Waiting` now and then, if at all, then what `steps` gives.

        Parameters
        ----------
        steps : iterator
            Each step is computed in a thread.
        wanted : callable
            Asked now and then while waiting: whether anybody still waits for the result.

        Raises
        ------
        QueueFullError
            If too many wait already.
        AnalysisCancelled
            If it is not wanted any more before its turn comes.
        """
        with self.place(), self._turn() as turn:
            while not turn.done():
                yield Waiting(self._before(turn))
                await _has_come(turn)
                if not wanted():
                    raise AnalysisCancelled("nobody waits for this any more")
            while (step := await to_thread.run_sync(next, steps, _END, limiter=self._threads)) is not _END:
                yield step

    @contextmanager
    def turn_of_thread(self, stop: threading.Event) -> Iterator[None]:
        """Wait for a turn in a thread, and have it until the block ends.

        Raises
        ------
        AnalysisCancelled
            If `stop` is set while it waits.
        """
        with self._turn() as turn:
            while not turn.done():
                wait([turn], LOOK_EVERY_S)
                if stop.is_set():
                    raise AnalysisCancelled("no longer wanted")
            yield

    @contextmanager
    def _turn(self) -> Iterator[Turn]:
        """A place in the queue, and then a turn, until the block ends."""
        turn: Turn = Future()
        with self._lock:
            self._turns.append(turn)
            self._grant()
        try:
            yield turn
        finally:
            with self._lock:
                self._turns.remove(turn)
                self._grant()

    def _grant(self) -> None:
        for turn in self._turns[: self.at_once]:
            if not turn.done():
                turn.set_result(None)

    def _before(self, turn: Turn) -> int:
        with self._lock:
            return max(0, self._turns.index(turn) - self.at_once)


async def _has_come(turn: Turn) -> bool:
    """Wait for a turn, but no longer than `LOOK_EVERY_S`: whether it has come."""
    await asyncio.wait([asyncio.wrap_future(turn)], timeout=LOOK_EVERY_S)
    return turn.done()
