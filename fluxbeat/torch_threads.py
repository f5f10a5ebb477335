"""Work for torch in threads that compute alone.

Torch splits every single operation over its threads, which meet again after it: on operations as small as a window's
most of the time goes into meeting. Threads that each take windows of their own, with one torch thread, do not meet.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import torch

_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}


def threads_that_compute_alone() -> ThreadPoolExecutor | None:
    """As many threads as torch uses in the calling one, shared by the whole process; None where that is one."""
    with _lock:
        count = torch.get_num_threads()
        if count < 2:
            return None
        if count not in _pools:
            _pools[count] = _started(count, "fluxbeat-alone")
        return _pools[count]


def own_threads_that_compute_alone(count: int, name: str) -> ThreadPoolExecutor:
    """Threads for the caller's own work, which the caller shuts down; all other threads keep torch's number.

    Parameters
    ----------
    count : int
    name : str
        What the threads' names begin with.
    """
    with _lock:
        return _started(count, name)


def _started(count: int, name: str) -> ThreadPoolExecutor:
    usual = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, name, initializer=_compute_alone)
    all_there = threading.Barrier(count + 1)
    try:
        for _ in range(count):
            pool.submit(all_there.wait)
        all_there.wait()
    except BaseException:
        all_there.abort()  # or those that have come would wait for ever
        pool.shutdown(wait=False)
        raise
    finally:
        # torch keeps the number per thread, and the one that was set last for threads to come
        torch.set_num_threads(usual)
    return pool


def _compute_alone() -> None:
    # a thread takes the number for threads to come when it first asks or splits work, over one that was set before
    torch.get_num_threads()
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)  # a copy of this process has the pools but not their threads
