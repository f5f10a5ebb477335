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
        self._limiter = CapacityLimiter(at_once)
        self._places = at_once + waiting_at_most
        self._inside = 0

    @property
    def running(self) -> int:
        """How much work is being done."""
        return int(self._limiter.borrowed_tokens)

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

    async def run(self, work: Work[Result], report: Callable[[float, str], Any] | None = None) -> Result:
        """Do `work` in a thread as soon as there is a free one.

        Cancelling the task that awaits this ends the wait at once, and the work at its next report.

        Parameters
        ----------
        work : callable
        report : callable, optional
            Called in the event loop with the finished share (0..1) and what is being done.
        """

        def progress(share: float, doing: str) -> None:
            from_thread.check_cancelled()
            if report:
                from_thread.run_sync(report, share, doing)

        return await to_thread.run_sync(work, progress, limiter=self._limiter)
