"""Thousands of analyses in one process: `python tools/long_session.py [COUNT] [--service]` prints memory as it goes."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

CLIPS = 8
MOST_GROWTH_BYTES = 5_000_000
"""More than this in the second half of a session is a leak."""
M_ARENA_MAX = -8


def use_one_heap() -> None:
    """Let all threads share one heap, where there is glibc: with one each they grow by up to 25 MB now and then."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_ARENA_MAX, 1)


def clip(n: int) -> np.ndarray:
    """Two to three seconds of a tone with clicks, float32 at 22,050 Hz; there are `CLIPS` different ones."""
    t = np.arange(44_100 + 2000 * (n % CLIPS)) / 22_050
    return (0.4 * np.sin(2 * np.pi * (110 + 37 * (n % CLIPS)) * t) * (t % 0.5 < 0.2)).astype(np.float32)


def resident_bytes() -> int:
    """Memory that this process holds."""
    gc.collect()
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


def growth_bytes(work: Callable[[int], Iterator[int]], count: int, tell: Callable[[str], object]) -> int:
    """Bytes by which the process grows in the second half; in the first one caches fill."""
    before, after, began_s = 0, 0, time.monotonic()
    for done in work(count):
        if done % max(1, count // 10) == 0:
            after = resident_bytes()
            before = after if 2 * done <= count else before
            tell(f"{done:5} analyses  {after / 1e6:8.1f} MB  {time.monotonic() - began_s:6.1f} s")
    return after - before


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("count", type=int, nargs="?", default=2000)
    asked.add_argument("--service", action="store_true", help="through the REST service")
    options = asked.parse_args()
    use_one_heap()
    growth = growth_bytes(with_the_service if options.service else with_the_engine, options.count, print)
    print(f"{growth:,} bytes more in the second half; up to {MOST_GROWTH_BYTES:,} are noise")
    return int(growth > MOST_GROWTH_BYTES)


if __name__ == "__main__":
    sys.exit(main())
