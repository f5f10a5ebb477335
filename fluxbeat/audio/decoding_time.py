"""How long a decoder may take: now and then a file keeps it busy for hours, and little of that is music."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOOK_EVERY_S = 0.2


class DecodingTime:
    """Ends a decoder that gives no sound for too long, or that over all is slower than the music plays.

    Only the time within `step` counts: whoever takes the sound may take it as slowly as they like.

    Parameters
    ----------
    patience_s : float
        How long to wait for sound, and how far decoding may fall behind playing.
    end : callable
        Called once, from another thread, to make the decoder return.
    """

    def __init__(self, patience_s: float, end: Callable[[], None]) -> None:
        self.patience_s = patience_s
        self.ended = False
        self._end = end
        self._deadline = math.inf
        self._waited_s = self._decoded_s = 0.0
        self._closed = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    @property
    def was_slow(self) -> bool:
        """Whether there was sound up to the end, but less than would have played meanwhile."""
        return self._waited_s - self._decoded_s > self.patience_s and self._decoded_s > 0

    @contextmanager
    def step(self) -> Iterator[None]:
        """Something that the decoder does."""
        began = time.monotonic()
        self._deadline = began + min(self.patience_s, self.patience_s + self._decoded_s - self._waited_s)
        try:
            yield
        finally:
            self._deadline = math.inf
            self._waited_s += time.monotonic() - began

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
            if time.monotonic() > self._deadline:
                self.ended = True
                self._end()
                return
