"""How far an analysis is, for the page: a share, words, and how long it will still take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fluxbeat.charts.wording import capitalised, clock
from fluxbeat.errors import FluxBeatError
from fluxbeat.web.ui.panel import panel_answer

TOLD_EVERY_S = 0.4
GUESSED_AFTER_S, GUESSED_FROM = 1.5, 0.04
"""Time that must have passed, and share that must be done, before the rest is guessed."""

Step = TypeVar("Step")
_END: Any = object()


@dataclass
class AnalysisProgress:
    """Written by the thread that computes, read by the event loop.

    Attributes
    ----------
    key : str
        Of the track.
    name : str
        What to call it in front of a person.
    locked : bool
        Whether the page shows another track until this one's first answer is there.
    opening : bool
        Whether the page opens with it, and nobody gave it.
    begun : bool
        Whether its turn has come.
    """

    key: str
    name: str
    locked: bool
    opening: bool = False
    share: float = 0.0
    words: str = "Opening the track"
    begun: bool = False
    _began_s: float = field(default_factory=time.monotonic)

    def report(self, share: float, words: str) -> None:
        """So much of the work is done, and this is being done."""
        self.share, self.words, self.begun = share, words, True

    @property
    def left_s(self) -> float | None:
        """Seconds until all is done; None while that cannot be guessed."""
        passed_s = time.monotonic() - self._began_s
        if passed_s < GUESSED_AFTER_S or self.share < GUESSED_FROM:
            return None
        return passed_s / self.share * (1 - self.share)

    def view(self) -> str:
        """What the status shows of it."""
        left = "" if self.left_s is None else f"{clock(self.left_s + 1)} left"
        return self._view(share=round(self.share, 3), words=capitalised(self.words), left=left)

    def waiting(self, words: str) -> str:
        """The same while others go first."""
        return self._view(waiting=words)

    def over(self) -> str:
        """Nothing is done for this track any more."""
        return panel_answer({"key": self.key, "opening": self.opening})

    def _view(self, **now: Any) -> str:
        whose = {"key": self.key, "name": self.name, "opening": self.opening}
        return panel_answer({"busy": True, **whose, "locked": self.locked, **now})


async def now_and_then(steps: AsyncGenerator[Step, None]) -> AsyncGenerator[Step | None, None]:
    """The steps as they come, and None whenever none came for so long."""
    while True:
        coming = asyncio.ensure_future(anext(steps, _END))
        try:
            while not coming.done():
                await asyncio.wait([coming], timeout=TOLD_EVERY_S)
                if not coming.done():
                    yield None
        finally:
            if not coming.done():
                coming.cancel()
                with suppress(asyncio.CancelledError, FluxBeatError):
                    await coming
        step = coming.result()
        if step is _END:
            return
        yield step
