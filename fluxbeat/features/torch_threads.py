"""Work for torch in threads that compute alone.

Torch splits every single operation over its threads, which meet again after it: on operations as small as a window's
most of the time goes into meeting. Threads that each take windows of their own, with one torch thread, do not meet.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch

_START_S = 60.0
_lock = threading.Lock()


@cache
def shared_threads(count: int) -> ThreadPoolExecutor:
    """`count` threads that compute alone, shared by the whole process."""
    return threads_that_compute_alone(count, "fluxbeat-alone")


def threads_that_compute_alone(count: int, name: str) -> ThreadPoolExecutor:
    """Threads for the caller's work, while all other threads keep torch's number.

    Parameters
    ----------
    count : int
    name : str
        What the threads' names begin with.
    """
    with _lock:
        before = torch.get_num_threads()
        pool = ThreadPoolExecutor(count, name, initializer=_compute_alone)
        all_there = threading.Barrier(count + 1, timeout=_START_S)
        try:
            for _ in range(count):
                pool.submit(all_there.wait)
            all_there.wait()
        finally:
            # torch keeps the number per thread, and the one that was set last for threads to come
            torch.set_num_threads(before)
    return pool


def _compute_alone() -> None:
    # a thread takes the number for threads to come when it first asks or splits work, over one that was set before
    torch.get_num_threads()
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=shared_threads.cache_clear)  # a copy has the pools but not their threads
