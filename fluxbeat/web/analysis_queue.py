"""Who computes when: the one queue of page, REST, explanations, libraries and live sessions.

At most `at_once` of them compute at any moment, in the order in which they came. A live prediction, which takes
milliseconds and must not be late, goes first: where all turns are taken, whatever else computes lends it one at its
next report of progress.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from anyio import CapacityLimiter, from_thread, to_thread

from fluxbeat.analysis.track import Progress
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
        self._free = at_once
        self._live, self._lent, self._waiting = deque[Turn](), deque[Turn](), deque[Turn]()
        self._lock = threading.Lock()
        # as many as have a turn, and those that lent theirs
        self._threads = CapacityLimiter(math.inf)

    @property
    def running(self) -> int:
        """How many compute."""
        return self.at_once - self._free

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
            self.give_way()
            if on_progress:
                from_thread.run_sync(on_progress, share, doing)

        with self._turn(self._waiting) as turn:
            if on_wait:
                on_wait(self._before(turn))
            while not await _has_come(turn):
                if on_wait:
                    on_wait(self._before(turn))
            return await to_thread.run_sync(work, progress, limiter=self._threads)

    async def run_live(self, work: Callable[[], Result]) -> Result:
        """Compute a live prediction in a thread, before all others."""
        with self._turn(self._live) as turn:
            while not await _has_come(turn):
                pass
            return await to_thread.run_sync(work, limiter=self._threads)

    async def run_steps(
        self, steps: Iterator[Result], wanted: Callable[[], bool]
    ) -> AsyncGenerator[Waiting | Result, None]:
        """Wait, then compute: first `Waiting` now and then, if at all, then what `steps` gives.

        Whoever computes in `steps` calls `give_way` now and then.

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
        with self.place(), self._turn(self._waiting) as turn:
            while not turn.done():
                yield Waiting(self._before(turn))
                await _has_come(turn)
                if not wanted():
                    raise AnalysisCancelled("nobody waits for this any more")
            while (step := await to_thread.run_sync(next, steps, _END, limiter=self._threads)) is not _END:
                yield step

    @contextmanager
    def turn_of_thread(self, stop: threading.Event) -> Iterator[Callable[[], None]]:
        """Wait for a turn in a thread, and have it until the block ends; the value is called now and then in it.

        It gives way to a live prediction.

        Raises
        ------
        AnalysisCancelled
            If `stop` is set while it waits, or when the value is called.
        """

        def go_on() -> None:
            self.give_way()
            if stop.is_set():
                raise AnalysisCancelled("no longer wanted")

        with self._turn(self._waiting) as turn:
            while not turn.done():
                wait([turn], LOOK_EVERY_S)
                if stop.is_set():
                    raise AnalysisCancelled("no longer wanted")
            yield go_on

    def give_way(self) -> None:
        """Lend one's turn to a live prediction, if one waits, and go on when it is back."""
        if not self._live:  # most of the time, and then without the lock
            return
        back: Turn = Future()
        with self._lock:
            self._free += 1
            self._lent.append(back)
            self._grant()
        back.result()

    @contextmanager
    def _turn(self, queue: deque[Turn]) -> Iterator[Turn]:
        """A place in a queue, and then a turn, until the block ends."""
        turn: Turn = Future()
        with self._lock:
            queue.append(turn)
            self._grant()
        try:
            yield turn
        finally:
            with self._lock:
                if turn.done():
                    self._free += 1
                else:
                    queue.remove(turn)
                self._grant()

    def _grant(self) -> None:
        """Hand out free turns: to live predictions, then to those who lent theirs, then in the order of coming."""
        while self._free and (queue := self._live or self._lent or self._waiting):
            self._free -= 1
            queue.popleft().set_result(None)

    def _before(self, turn: Turn) -> int:
        with self._lock:
            return self._waiting.index(turn) if turn in self._waiting else 0


async def _has_come(turn: Turn) -> bool:
    """Wait for a turn, but no longer than `LOOK_EVERY_S`: whether it has come."""
    await asyncio.wait([asyncio.wrap_future(turn)], timeout=LOOK_EVERY_S)
    return turn.done()
