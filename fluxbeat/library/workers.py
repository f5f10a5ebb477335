"""Who listens: threads of this process. `fluxbeat.library.ray_workers` is the same over many machines.

Threads, not processes, because they were faster. Ten songs (26 minutes) on two cores by the CRNN, mean of three runs
beside other work: two threads of one core each 1.0 files/s; two processes 0.66, or 0.9 without their start; one file
after the other on both cores 0.33, for small convolutions spend more on splitting than they gain.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from typing import Protocol

from fluxbeat.audio import MAX_DURATION_S
from fluxbeat.library.hearing import Answer, hear
from fluxbeat.sound_files import SoundFile
from fluxbeat.torch_threads import own_threads_that_compute_alone
from fluxbeat.zoo import ZooModel


class Workers(Protocol):
    """Whoever analyses files.

    Attributes
    ----------
    at_once : int
        How many files are to be begun before the first is done, so that nobody waits.
    """

    at_once: int

    def begin(self, file: SoundFile, model: ZooModel, hop_s: float, stop: threading.Event) -> Future[Answer]:
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
    """

    def __init__(self, count: int | None = None, max_duration_s: float = MAX_DURATION_S) -> None:
        self.count = count or cores()
        self.at_once = self.count + 1  # one waits, so that no thread has to
        self._max_duration_s = max_duration_s
        self._pool = own_threads_that_compute_alone(self.count, "fluxbeat-library")

    def begin(self, file: SoundFile, model: ZooModel, hop_s: float, stop: threading.Event) -> Future[Answer]:
        return self._pool.submit(hear, file.path, file.shown, model, hop_s, stop, self._max_duration_s)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
