"""How long a decoder may take: now and then a file keeps it busy for hours, and little of that is music."""

from __future__ import annotations

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
        self._pid = pid
        # Looked at by the watcher alone: a look takes as long as the decoding of a hundred frames.
        self._process_s = 0.0 if pid is None else _work_of_process(pid)
        # what the step that is being done has taken so far: seconds of work and on the clock
        self._spent: Callable[[], tuple[float, float]] | None = None
        self._worked_s = self._waited_s = self._decoded_s = 0.0
        self._closed = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    @property
    def was_slow(self) -> bool:
        """Whether there was sound up to the end, but less than would have played meanwhile."""
        return self._decoded_s > 0 and self._is_too_long(0.0, 0.0)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Something that the decoder does."""
        work_s = _work_of_this_thread() if self._pid is None else lambda: self._process_s
        work_began_s, began_s = work_s(), time.monotonic()

        def spent() -> tuple[float, float]:
            return work_s() - work_began_s, time.monotonic() - began_s

        self._spent = spent
        try:
            yield
        finally:
            self._spent = None
            step_work_s, self.waited_s = spent()
            self._worked_s += step_work_s
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
            if self._pid is not None:
                self._process_s = _work_of_process(self._pid)
            spent = self._spent
            if spent is not None and self._is_too_long(*spent()):
                self.ended = True
                self._end()
                return

    def _is_too_long(self, step_work_s: float, step_clock_s: float) -> bool:
        """Whether a step took too long, together with how far decoding was behind playing before it."""
        work_s = step_work_s + max(0.0, self._worked_s - self._decoded_s)
        clock_s = step_clock_s + max(0.0, self._waited_s - self._decoded_s)
        return work_s > self._patience.work_s or clock_s > self._patience.clock_s


def _work_of_this_thread() -> Callable[[], float]:
    """What tells, in any thread, how much processor time the present one has had; the clock where nothing does."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.monotonic
    clock = time.pthread_getcpuclockid(threading.get_ident())
    return lambda: time.clock_gettime(clock)


def _work_of_process(pid: int) -> float:
    """How much processor time a process and its children have had; the clock where nothing tells it."""
    if not Path("/proc/self/stat").exists():
        return time.monotonic()
    folder = Path("/proc") / str(pid)
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()  # its name may hold blanks
        children = (folder / "task" / str(pid) / "children").read_text().split()
    except OSError:  # it has ended
        return 0.0
    own_s = sum(int(field) for field in fields[11:15]) / _TICKS_PER_S  # and that of children that have ended
    return own_s + sum(_work_of_process(int(child)) for child in children)
