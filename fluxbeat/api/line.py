"""Who is analysed when: a few at once, some more waiting, the rest told to come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from anyio import CapacityLimiter, from_thread, to_thread

from fluxbeat.analysis import Progress
from fluxbeat.api.problems import Refused

COME_BACK_S = 10

Result = TypeVar("Result")
Work = Callable[[Progress], Result]
"""Done in a thread; whatever it calls its argument with is reported, and cancels it once nobody waits for it."""
Told = Callable[[int], Any]
"""Called in the event loop with how many others go first, each time that this changes."""


class Line:
    """A queue of bounded length in front of a bounded number of threads.

    Parameters
    ----------
    at_once : int
        How much work is done at the same time.
    waiting_at_most : int
        How many requests beyond these are let in.
    """

    def __init__(self, at_once: int, waiting_at_most: int) -> None:
        self._turns, self._threads = CapacityLimiter(at_once), CapacityLimiter(at_once)
        self._waiting: dict[object, Told | None] = {}
        self._places = at_once + waiting_at_most
        self._inside = 0

    @property
    def running(self) -> int:
        """How much work is being done."""
        return int(self._turns.borrowed_tokens)

    @property
    def inside(self) -> int:
        """How many requests are uploading, waiting, worked on or being answered."""
        return self._inside

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one request, from its first byte to its last.

        Raises
        ------
        Refused
            429, if all are taken.
        """
        if self._inside >= self._places:
            raise Refused(
                429,
                f"{self._inside} requests are being worked on or wait already: try again in a moment",
                {"Retry-After": str(COME_BACK_S)},
            )
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    async def run(
        self, work: Work[Result], report: Callable[[float, str], Any] | None = None, told: Told | None = None
    ) -> Result:
        """Do `work` in a thread as soon as it is its turn: first come, first served.

        Cancelling the task that awaits this ends the wait at once, and the work at its next report.

        Parameters
        ----------
        work : callable
        report : callable, optional
            Called in the event loop with the finished share (0..1) and what is being done.
        told : callable, optional
            Called with the number of others that wait before this work, at once and whenever one of them goes.
        """

        def progress(share: float, doing: str) -> None:
            from_thread.check_cancelled()
            if report:
                from_thread.run_sync(report, share, doing)

        ticket = object()
        self._waiting[ticket] = told
        if told:
            told(len(self._waiting) - 1)
        try:
            await self._turns.acquire_on_behalf_of(ticket)
        finally:
            self._step_forward(ticket)
        try:
            return await to_thread.run_sync(work, progress, limiter=self._threads)
        finally:
            self._turns.release_on_behalf_of(ticket)

    def _step_forward(self, gone: object) -> None:
        """Take a ticket out of the line and tell those behind it."""
        place = list(self._waiting).index(gone)
        del self._waiting[gone]
        for before, told in list(enumerate(self._waiting.values()))[place:]:
            if told:
                told(before)
