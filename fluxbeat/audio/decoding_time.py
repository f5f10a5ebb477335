"""How long a decoder may take: now and then a file keeps it busy for hours, and little of that is music."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_LOOK_EVERY_S = 0.2
_TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True)
class Patience:
    """How long to wait for sound, and how far decoding may fall behind playing.

    Attributes
    ----------
    work_s : float
        Seconds of processor time that the decoder had: of a busy machine it gets few, through no fault of its own.
    clock_s : float
        Seconds on the clock, for a decoder that does nothing at all.
    """

    work_s: float
    clock_s: float


class DecodingTime:
    """Ends a decoder that gives no sound for too long, or that over all is slower than the music plays.

    Only the time within `step` counts: whoever takes the sound may take it as slowly as they like. Where the system
    does not tell processor time (it does on Linux), the clock stands for it.

    Parameters
    ----------
    patience : Patience
    end : callable
        Called once, from another thread, to make the decoder return.
    pid : int, optional
        The process that decodes; by default it is the thread that calls `step`.
    """

    def __init__(self, patience: Patience, end: Callable[[], None], pid: int | None = None) -> None:
        self.ended = False
        self.waited_s = 0.0
        """In the newest step, on the clock."""
        self._patience, self._end = patience, end
        self._process_s = None if pid is None else _work_of_process(pid)
        self._step: _Step | None = None
        self._worked_s = self._waited_s = self._decoded_s = 0.0
        self._closed = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    @property
    def was_slow(self) -> bool:
        """Whether there was sound up to the end, but less than would have played meanwhile."""
        behind = self._worked_s - self._decoded_s > self._patience.work_s
        return self._decoded_s > 0 and (behind or self._waited_s - self._decoded_s > self._patience.clock_s)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Something that the decoder does."""
        ahead_s = min(0.0, self._decoded_s - self._worked_s), min(0.0, self._decoded_s - self._waited_s)
        limits = Patience(self._patience.work_s + ahead_s[0], self._patience.clock_s + ahead_s[1])
        work_s = self._process_s or _work_of_this_thread()
        self._step = step = _Step(limits, work_s, work_s(), time.monotonic())
        try:
            yield
        finally:
            self._step = None
            self.waited_s = step.waited_s
            self._worked_s += step.worked_s
            self._waited_s += self.waited_s

    def decoded(self, seconds: float) -> None:
        """Sound has come out."""
        self._decoded_s += seconds

    def close(self) -> None:
        """Watch no longer; `end` is not called after this. May be called twice."""
        self._closed.set()
        if threading.current_thread() is not self._watcher:  # the garbage collector runs in any thread
            self._watcher.join()

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_EVERY_S):
            step = self._step
            if step is not None and (step.worked_s > step.limits.work_s or step.waited_s > step.limits.clock_s):
                self.ended = True
                self._end()
                return


@dataclass(frozen=True)
class _Step:
    """One step: how long it may take, what tells the work done so far, and what it and the clock told at its begin."""

    limits: Patience
    work_s: Callable[[], float]
    work_began_s: float
    began_s: float

    @property
    def worked_s(self) -> float:
        return self.work_s() - self.work_began_s

    @property
    def waited_s(self) -> float:
        return time.monotonic() - self.began_s


def _work_of_this_thread() -> Callable[[], float]:
    """What tells, in any thread, how much processor time the present one has had; the clock where nothing does."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.monotonic
    clock = time.pthread_getcpuclockid(threading.get_ident())
    return lambda: time.clock_gettime(clock)


def _work_of_process(pid: int) -> Callable[[], float]:
    """What tells how much processor time a process and its children have had; the clock where nothing does.

    It looks no more often than the watcher does: a look takes as long as the decoding of a hundred frames.
    """
    if not Path("/proc/self/stat").exists():
        return time.monotonic
    looked_s, told_s = -math.inf, 0.0

    def work_s() -> float:
        nonlocal looked_s, told_s
        if (now_s := time.monotonic()) - looked_s > _LOOK_EVERY_S / 2:
            looked_s, told_s = now_s, _ticks_of_process(pid) / _TICKS_PER_S
        return told_s

    return work_s


def _ticks_of_process(pid: int) -> int:
    folder = Path("/proc") / str(pid)
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()  # its name may hold blanks
        ticks = sum(int(field) for field in fields[11:15])  # its own and of children that have ended
        children = (folder / "task" / str(pid) / "children").read_text().split()
    except OSError:  # it has ended
        return 0
    return ticks + sum(_ticks_of_process(int(child)) for child in children)
