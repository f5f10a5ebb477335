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
    count = torch.get_num_threads()
    if count < 2:
        return None
    with _lock:
        if count not in _pools:
            _pools[count] = _started(count)
        return _pools[count]


def _started(count: int) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(count, "fluxbeat-alone", initializer=torch.set_num_threads, initargs=(1,))
    all_there = threading.Barrier(count + 1)
    for _ in range(count):
        pool.submit(all_there.wait)
    all_there.wait()
    # torch keeps the number per thread, and the one that was set last for threads to come
    torch.set_num_threads(count)
    return pool


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)  # a copy of this process has the pools but not their threads
