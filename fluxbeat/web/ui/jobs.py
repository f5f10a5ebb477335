"""Which track each open page is waiting for: a newer one, or Clear, ends the work on the one before."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from fluxbeat.web.ui.track_results import TrackResults


@dataclass(eq=False)
class Job:
    """One track to analyse for one open page.

    Attributes
    ----------
    session : str
        The page.
    track : TrackResults
        The track, with what is known of it from before.
    tempo_bpm : float or None
        What a person says its tempo is.
    opening : bool
        Whether the page opens with it, and nobody gave it.
    begun : bool
        Whether somebody analyses it or did.
    shown_model : str
        Whose answer the page shows of the track; empty before it shows one.
    """

    session: str
    track: TrackResults
    tempo_bpm: float | None = None
    opening: bool = False
    begun: bool = False
    shown_model: str = ""


class Jobs:
    """The current job of each session."""

    def __init__(self) -> None:
        self._current: dict[str, Job] = {}

    def start(self, job: Job) -> None:
        """Make a job its session's current one; the one before is no longer wanted."""
        self._current[job.session] = job

    def claim(self, job: Job) -> bool:
        """Whether the caller, in the event loop, is the one to do this job: it is wanted, and nobody has begun it."""
        wanted = self.claimable(job)
        job.begun = job.begun or wanted
        return wanted

    def wanted(self, job: Job) -> bool:
        """Whether the session still waits for this job."""
        return self._current.get(job.session) is job

    def claimable(self, job: Job) -> bool:
        """Whether `claim` would give it to somebody."""
        return self.wanted(job) and not job.begun

    def current(self, session: str) -> Job | None:
        """The session's current job, if it has one."""
        return self._current.get(session)

    def cancel(self, session: str) -> None:
        """The session waits for nothing any more."""
        self._current.pop(session, None)


def session_of(request: gr.Request) -> str:
    """Name of the open page that asks."""
    return request.session_hash or ""
