"""What an open page asks for: computed in its turn, and ended when something newer is asked for or nobody waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Generic, TypeVar

import gradio as gr

from fluxbeat.charts.wording import capitalised, clock, waiting
from fluxbeat.errors import AnalysisCancelled, FluxBeatError
from fluxbeat.web.analysis_queue import AnalysisQueue, Waiting
from fluxbeat.web.ui.panel import panel_answer
from fluxbeat.web.ui.track_results import TrackResults

REPORTED_EVERY_S = 0.4
GUESSED_AFTER_S, GUESSED_FROM = 1.5, 0.04
"""Time that must have passed, and share that must be done, before the rest is guessed."""

Step = TypeVar("Step")


class Job:
    """Something that a page asks for: written by the thread that computes it, read by the event loop.

    Attributes
    ----------
    share : float or None
        How much is done, 0..1; None until its turn has come.
    words : str
        What is being done, or how many go first; empty until that is known.
    stopped : bool
        Whether nobody waits for it any more.
    """

    def __init__(self, queue: AnalysisQueue) -> None:
        self._queue = queue
        self.share: float | None = None
        self.words, self.stopped = "", False

    @property
    def progress(self) -> dict[str, Any]:
        """Share and words, as a panel shows them before an ellipsis."""
        return {"share": self.share or 0.0, "words": self.words.rstrip(".")}

    async def views(self, steps: Iterator[dict[str, Any]]) -> AsyncGenerator[dict[str, Any], None]:
        """What `steps` gives when its turn comes, for a panel: `busy` with its progress now and then.

        At the end `stopped` where nobody waits for it any more, or `error` where something went wrong.
        """
        try:
            async with aclosing(self.in_turn(steps)) as computed:
                async for view in computed:
                    if view or self.words:
                        yield view or {"busy": self.progress}
        except AnalysisCancelled:
            yield {"stopped": True}
        except FluxBeatError as error:
            yield {"error": str(error)}

    def answer(self, view: dict[str, Any]) -> Any:
        """What a panel is given, as `panel_answer`; nothing once nobody waits any more."""
        numbered = panel_answer(view)  # before it is looked whether anybody waits: who ends the job has a later number
        return gr.skip() if self.stopped else numbered

    def report(self, share: float, words: str) -> None:
        """So much is done, and this is being done; otherwise as `go_on`."""
        self.go_on()
        self.share, self.words = share, words

    def go_on(self) -> None:
        """Let others have their turn; raises `AnalysisCancelled` where nobody waits any more."""
        self._queue.give_way()
        if self.stopped:
            raise AnalysisCancelled("nobody waits for this any more")

    async def in_turn(self, steps: Iterator[Step]) -> AsyncGenerator[Step | None, None]:
        """What `steps` gives when its turn comes, and None now and then, when `share` and `words` may be others.

        Whatever goes wrong in `steps`, which call `report` or `go_on` now and then, is raised here too.

        Raises
        ------
        QueueFullError
            If too many wait already.
        AnalysisCancelled
            If it was stopped.
        """
        async with aclosing(self._queue.run_steps(steps, lambda: not self.stopped)) as computed:
            while True:
                coming = asyncio.ensure_future(anext(computed, None))
                try:
                    while not (await asyncio.wait([coming], timeout=REPORTED_EVERY_S))[0]:
                        if not self.stopped:  # whoever ended it has answered the page: nothing may come after that
                            yield None
                finally:
                    if not coming.done():
                        self.stopped = True
                        coming.cancel()
                        await asyncio.gather(coming, return_exceptions=True)
                step = coming.result()
                if step is None:
                    return
                if self.stopped:
                    raise AnalysisCancelled("nobody waits for this any more")
                if isinstance(step, Waiting):
                    self.words = waiting(step.before)
                    yield None
                else:
                    yield step


class TrackJob(Job):
    """The analysis of one track.

    Attributes
    ----------
    track : TrackResults
        The track, with what is known of it so far.
    tempo_bpm : float or None
        What a person says its tempo is.
    opening : bool
        Whether the page opens with it, and nobody gave it.
    models : sequence of str
        Whom it asks; empty until somebody begins with it.
    model : str
        Whose answer the page is to show.
    locked : bool
        Whether the page shows another track until the first answer is there.
    """

    def __init__(self, queue: AnalysisQueue, track: TrackResults, opening: bool = False) -> None:
        super().__init__(queue)
        corrected = [known.tempo.bpm for known in track.analyses.values() if known.tempo.corrected]
        self.track, self.tempo_bpm, self.opening = track, next(iter(corrected), None), opening
        self.models: Sequence[str] = ()
        self.model, self.locked = "", True
        self.words = "Opening the track"
        self._began_s = time.monotonic()

    def view(self) -> Any:
        """What the status shows of it: how far it is, and how long it will still take, once that can be guessed."""
        view: dict[str, Any] = {"busy": True, "key": self.track.key, "opening": self.opening, "locked": self.locked}
        passed_s, share, left = time.monotonic() - self._began_s, self.share, ""
        if share and share >= GUESSED_FROM and passed_s >= GUESSED_AFTER_S:
            left = f"{clock(passed_s / share * (1 - share) + 1)} left"
        return self.answer({**view, "share": share, "words": capitalised(self.words), "left": left})

    def over(self) -> Any:
        """What the status shows when nothing is done for it any more."""
        return self.answer({"key": self.track.key, "opening": self.opening})


AnyJob = TypeVar("AnyJob", bound=Job)


class Jobs(Generic[AnyJob]):
    """The newest job of each session, which ends the one before."""

    def __init__(self) -> None:
        self._newest: dict[str, AnyJob] = {}

    def start(self, session: str, job: AnyJob) -> AnyJob:
        """Make a job, which is returned, its session's newest one."""
        self.stop(session)
        self._newest[session] = job
        return job

    def newest(self, session: str) -> AnyJob | None:
        """The session's newest job, unless that was stopped."""
        return self._newest.get(session)

    def stop(self, session: str) -> None:
        """The session waits for nothing any more."""
        job = self._newest.pop(session, None)
        if job:
            job.stopped = True


def session_of(request: gr.Request) -> str:
    """Name of the open page that asks."""
    return request.session_hash or ""
