"""One queue for all who compute: how many at once, in which order, and who goes first."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fluxbeat.errors import AnalysisCancelled
from fluxbeat.web import analysis_queue
from fluxbeat.web.analysis_queue import AnalysisQueue, QueueFullError, Waiting


@pytest.fixture(autouse=True)
def told_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis_queue, "LOOK_EVERY_S", 0.005)


class Computing:
    """Work that knows how much of it goes on at once, and in which order it began."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.begun: list[str] = []
        self._lock = threading.Lock()

    @contextmanager
    def going_on(self, name: str) -> Iterator[None]:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.begun.append(name)
        yield
        with self._lock:
            self.now -= 1

    def work(self, name: str, seconds: float = 0.02) -> Callable[..., str]:
        def done(*_: Any) -> str:
            with self.going_on(name):
                time.sleep(seconds)
            return name

        return done


@pytest.mark.parametrize("at_once", [1, 3])
def test_whatever_computes_no_more_than_so_many_do_at_once(at_once: int) -> None:
    computing, queue = Computing(), AnalysisQueue(at_once, 100)

    def library_file() -> None:
        with queue.turn_of_thread(threading.Event()):
            computing.work("library")()

    async def page() -> None:
        steps = (computing.work("page")() for _ in range(3))
        found = [step async for step in queue.run_steps(steps, lambda: True)]
        assert [step for step in found if not isinstance(step, Waiting)] == ["page"] * 3

    async def everybody() -> None:
        files = [threading.Thread(target=library_file) for _ in range(5)]
        for file in files:
            file.start()
        await asyncio.gather(
            *(queue.run(computing.work("rest")) for _ in range(5)),
            *(page() for _ in range(5)),
            *(queue.run_live(computing.work("live", 0.005)) for _ in range(5)),
        )
        for file in files:
            await asyncio.to_thread(file.join)

    asyncio.run(everybody())
    assert computing.most == at_once
    assert len(computing.begun) == 5 + 5 + 15 + 5
    assert (queue.running, queue.inside) == (0, 0)


def test_first_come_is_first_served_and_told_how_many_go_before() -> None:
    computing, queue, told = Computing(), AnalysisQueue(1, 10), dict[int, list[int]]()

    async def everybody() -> None:
        await asyncio.gather(
            *(queue.run(computing.work(str(n)), on_wait=told.setdefault(n, []).append) for n in range(5))
        )

    asyncio.run(everybody())
    assert computing.begun == ["0", "1", "2", "3", "4"]
    assert told[0] == [0]
    assert told[4][0] == 3
    assert told[4] == sorted(told[4], reverse=True)


def test_a_live_prediction_is_lent_a_turn_by_what_computes_for_long() -> None:
    computing, queue = Computing(), AnalysisQueue(1, 10)
    order: list[str] = []

    def long(progress: Callable[[float, str], None]) -> None:
        for step in range(100):
            with computing.going_on("long"):
                time.sleep(0.005)
            progress(step / 100, "listening")
        order.append("long")

    async def everybody() -> None:
        running = asyncio.create_task(queue.run(long))
        waiting = asyncio.create_task(queue.run(lambda _: order.append("waiting")))
        await asyncio.sleep(0.05)
        for _ in range(3):
            await queue.run_live(computing.work("live", 0.005))
            order.append("live")
        await asyncio.gather(running, waiting)

    asyncio.run(everybody())
    assert order == ["live", "live", "live", "long", "waiting"]
    assert computing.most == 1, "what lends its turn does not compute meanwhile"


def test_those_who_leave_make_room() -> None:
    queue, told = AnalysisQueue(1, 10), list[int]()
    release = threading.Event()

    async def scene() -> None:
        running = asyncio.create_task(queue.run(lambda _: release.wait(10)))
        leaving = [asyncio.create_task(queue.run(lambda _: None)) for _ in range(2)]
        await asyncio.sleep(0.05)
        last = asyncio.create_task(queue.run(lambda _: "served", on_wait=told.append))
        await asyncio.sleep(0.05)
        for each in leaving:
            each.cancel()
            await asyncio.sleep(0.05)
        release.set()
        await running
        assert await last == "served"

    asyncio.run(scene())
    assert (told[0], told[-1]) == (2, 0)
    assert told == sorted(told, reverse=True)
    assert queue.running == 0


def test_a_page_and_a_library_that_are_not_wanted_any_more_do_not_wait() -> None:
    queue, stop, release = AnalysisQueue(1, 10), threading.Event(), threading.Event()
    wanted = [True]

    def library() -> None:
        with pytest.raises(AnalysisCancelled), queue.turn_of_thread(stop):
            raise AssertionError("it had a turn")

    async def scene() -> None:
        running = asyncio.create_task(queue.run(lambda _: release.wait(10)))
        await asyncio.sleep(0.05)
        thread = threading.Thread(target=library)
        thread.start()
        with pytest.raises(AnalysisCancelled):
            async for step in queue.run_steps(iter(["computed"]), lambda: wanted[0]):
                assert isinstance(step, Waiting)
                wanted[0] = False
        stop.set()
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive()
        release.set()
        await running

    asyncio.run(scene())
    assert (queue.running, queue.inside) == (0, 0)


def test_a_page_that_is_closed_between_two_steps_gives_its_turn_back() -> None:
    queue = AnalysisQueue(1, 0)

    async def scene() -> None:
        steps = queue.run_steps(iter("ab"), lambda: True)
        assert await anext(steps) == "a"
        assert queue.running == 1
        await steps.aclose()
        assert (queue.running, queue.inside) == (0, 0)

    asyncio.run(scene())


def test_one_more_than_there_is_room_for_is_told_to_come_back() -> None:
    queue = AnalysisQueue(1, 1)
    with queue.place(), queue.place():
        with pytest.raises(QueueFullError, match="2 requests .* try again"), queue.place():
            pass
        assert queue.inside == 2
    assert queue.inside == 0
