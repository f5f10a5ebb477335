"""Thousands of analyses in one process: `python tools/long_session.py [COUNT] [--service]` prints memory as it goes."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

CLIPS = 8
MOST_GROWTH_BYTES = 1_000_000
"""More than this in use at the end than at half time is a leak: measured, it is less than 0.1 MB."""
MOST_RESIDENT_GROWTH_BYTES = 50_000_000
"""The same for all that the process holds, which swings by 20 MB and more as the heap's free space is cut up."""
M_ARENA_MAX = -8


class HeapState(ctypes.Structure):
    """What glibc says of its heap: `struct mallinfo2` of malloc.h."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks")),
        *((name, ctypes.c_size_t) for name in ("fsmblks", "uordblks", "fordblks", "keepcost")),
    ]


def use_one_heap() -> None:
    """Let Python and all threads take memory from one heap, so that it can say exactly how much is in use.

    Starts this program anew when Python was not told so from the beginning.

    Raises
    ------
    SystemExit
        Where there is no glibc 2.33 or later.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        sys.exit("Memory in use can be measured with glibc 2.33 or later only.")
    if os.environ.get("PYTHONMALLOC") != "malloc":
        os.environ["PYTHONMALLOC"] = "malloc"
        os.execv(sys.executable, [sys.executable, *sys.argv])
    libc.mallopt(M_ARENA_MAX, 1)


def clip(n: int) -> np.ndarray:
    """Two to three seconds of a tone with clicks, float32 at 22,050 Hz; there are `CLIPS` different ones."""
    t = np.arange(44_100 + 2000 * (n % CLIPS)) / 22_050
    return (0.4 * np.sin(2 * np.pi * (110 + 37 * (n % CLIPS)) * t) * (t % 0.5 < 0.2)).astype(np.float32)


def bytes_in_use() -> int:
    """Memory that is allocated and not freed, once the threads that answered are through with their work."""
    time.sleep(0.3)
    gc.collect()
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = HeapState
    heap = mallinfo2()
    return heap.uordblks + heap.hblkhd


def resident_bytes() -> int:
    """Memory that this process holds, in use or not."""
    return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


def with_the_engine(count: int) -> Iterator[int]:
    """Analyse so many clips with the three models in turn; yields how many are done."""
    from fluxbeat import analyze
    from fluxbeat.models.registry import bundled_names

    names = bundled_names()
    for n in range(count):
        analyze((clip(n), 22_050), model=names[n % len(names)])
        yield n + 1


def with_the_service(count: int) -> Iterator[int]:
    """As many requests to the REST service in this process, four at a time."""
    import io

    import soundfile

    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # the service is asked as the tests ask it
    from api_asking import PLAIN, client

    files = []
    for n in range(CLIPS):
        files.append(io.BytesIO())
        soundfile.write(files[-1], clip(n), 22_050, format="WAV")

    async def four(first: int) -> None:
        async with client(PLAIN) as asking:
            models = ["cnn", "crnn", "vit", "cnn"]
            answers = await asyncio.gather(*(
                asking.post(f"/analyze?model={model}", files={"file": ("a.wav", files[(first + n) % CLIPS].getvalue())})
                for n, model in enumerate(models)
            ))  # fmt: skip
        assert [answer.status_code for answer in answers] == [200] * 4

    with asyncio.Runner() as loop:
        for first in range(0, count, 4):
            loop.run(four(first))
            yield first + 4


def growth_bytes(work: Callable[[int], Iterator[int]], count: int, tell: Callable[[str], object]) -> tuple[int, int]:
    """Bytes in use and bytes held by which the process grows in the second half; in the first one caches fill."""
    half, now, began_s = (0, 0), (0, 0), time.monotonic()
    for done in work(count):
        if done % max(1, count // 10) == 0:
            now = bytes_in_use(), resident_bytes()
            half = now if 2 * done <= count else half
            in_use_mb, held_mb = now[0] / 1e6, now[1] / 1e6
            elapsed_s = time.monotonic() - began_s
            tell(f"{done:5} analyses  {in_use_mb:9.3f} MB in use  {held_mb:7.1f} MB held  {elapsed_s:6.1f} s")
    return now[0] - half[0], now[1] - half[1]


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("count", type=int, nargs="?", default=2000)
    asked.add_argument("--service", action="store_true", help="through the REST service")
    options = asked.parse_args()
    use_one_heap()
    growth, held = growth_bytes(with_the_service if options.service else with_the_engine, options.count, print)
    print(f"In the second half {growth:,} bytes more in use and {held:,} more held")
    return int(growth > MOST_GROWTH_BYTES or held > MOST_RESIDENT_GROWTH_BYTES)


if __name__ == "__main__":
    sys.exit(main())
