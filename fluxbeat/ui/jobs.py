"""Which analysis each open page is waiting for: a newer one, or Clear, ends the one before."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from dataclasses import dataclass

import gradio as gr

from fluxbeat.analysis import TrackAnalysis

MOST_SESSIONS = 1000


@dataclass(frozen=True)
class Job:
    """One track to analyse for one open page.

    Attributes
    ----------
    session : str
        The page.
    ticket : int
        Different for every job.
    path : str
        The audio file on the server.
    name : str
        What to call it in front of a person.
    in_player : bool
        Whether the player holds the file already.
    known : TrackAnalysis or None
        What a model said of it before.
    """

    session: str
    ticket: int
    path: str
    name: str
    in_player: bool = True
    known: TrackAnalysis | None = None


class Jobs:
    """The current job of each session; safe to use from several threads."""

    def __init__(self) -> None:
        self._tickets = itertools.count(1)
        self._current: OrderedDict[str, int] = OrderedDict()
        self._claimed: dict[str, int] = {}
        self._lock = threading.Lock()

    def start(
        self, session: str, path: str, name: str, in_player: bool = True, known: TrackAnalysis | None = None
    ) -> Job:
        """Make a job the session's current one; the one before is no longer wanted."""
        with self._lock:
            job = Job(session, next(self._tickets), path, name, in_player, known)
            self._current[session] = job.ticket
            self._current.move_to_end(session)
            while len(self._current) > MOST_SESSIONS:
                oldest, _ = self._current.popitem(last=False)
                self._claimed.pop(oldest, None)
            return job

    def claim(self, job: Job) -> bool:
        """Whether the caller is the one to do this job: it is still wanted, and nobody has begun it."""
        with self._lock:
            wanted = self._current.get(job.session) == job.ticket and self._claimed.get(job.session) != job.ticket
            if wanted:
                self._claimed[job.session] = job.ticket
            return wanted

    def wanted(self, job: Job) -> bool:
        """Whether the session still waits for this job."""
        with self._lock:
            return self._current.get(job.session) == job.ticket

    def current(self, session: str) -> int | None:
        """Ticket of the session's current job, or None."""
        with self._lock:
            return self._current.get(session)

    def cancel(self, session: str) -> None:
        """The session waits for nothing any more."""
        with self._lock:
            self._current.pop(session, None)
            self._claimed.pop(session, None)


def session_of(request: gr.Request) -> str:
    """Name of the open page that asks."""
    return request.session_hash or ""
