"""The way through a library: what waits for whom, and what is done once for all copies."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_charts import half_ambient_half_metal
from tiny_models import loaded, tiny

from fluxbeat.audio.sound_files import find_sound_files
from fluxbeat.cli.library import _correct, _followed
from fluxbeat.library import job
from fluxbeat.library.cache import AnalysisCache
from fluxbeat.library.job import LibraryJob, Step

MODEL = loaded(tiny("cnn"))


class WorkersByHand:
    """Begin everything that they are given; it is done when a test says so."""

    at_once = 3

    def __init__(self) -> None:
        self.begun: dict[str, Future[Any]] = {}

    def begin(self, file: Any, model: Any, stop: Any) -> Future[Any]:
        assert file.shown not in self.begun
        self.begun[file.shown] = Future()
        return self.begun[file.shown]

    def close(self) -> None:
        pass


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[AnalysisCache]:
    kept = AnalysisCache(tmp_path / "cache")
    yield kept
    kept.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A song, a copy of it, and three others; the cache looks at their bytes alone."""
    music = tmp_path / "music"
    music.mkdir()
    for name, content in {"a": b"song", "a2": b"song", "b": b"1", "c": b"2", "d": b"3"}.items():
        (music / f"{name}.wav").write_bytes(content)
    return music


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "TICK_S", 0.05)


def test_a_copy_of_what_is_being_analysed_stops_nobody(folder: Path, cache: AnalysisCache) -> None:
    workers = WorkersByHand()
    steps = LibraryJob(find_sound_files(folder), MODEL, cache, workers).steps()
    next(steps)
    assert list(workers.begun) == ["a.wav", "b.wav", "c.wav"]
    for future in workers.begun.values():
        future.set_result(half_ambient_half_metal())
    rows = [row for step in [next(steps), next(steps)] for row in step.rows]
    assert sorted(row.path for row in rows) == ["a.wav", "a2.wav", "b.wav", "c.wav"]
    assert list(workers.begun)[3:] == ["d.wav"]
    steps.close()


def test_what_cannot_be_analysed_is_tried_once_and_named_for_each_copy(folder: Path, cache: AnalysisCache) -> None:
    workers = WorkersByHand()
    steps = LibraryJob(find_sound_files(folder), MODEL, cache, workers).steps()
    next(steps)
    workers.begun["a.wav"].set_result('"a.wav" is damaged')
    errors = [row.error for step in [next(steps), next(steps)] for row in step.rows]
    assert errors == ['"a.wav" is damaged', '"a2.wav" is damaged']
    steps.close()


def test_ctrl_c_is_only_taken_where_it_would_end_the_program() -> None:
    """`nohup` has it ignored, and another thread must not ask for it."""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ended = threading.Event()

    def pressed(at_step: Callable[[], Any]) -> Any:
        def steps() -> Iterator[Step]:
            yield Step((), 0, 1, None)
            at_step()

        return SimpleNamespace(cancel=ended.set, steps=steps)

    _followed(pressed(lambda: signal.raise_signal(signal.SIGINT)), 1)
    assert ended.is_set()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ended.clear()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _followed(pressed(lambda: signal.raise_signal(signal.SIGINT)), 1)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert not ended.is_set()
    failed: list[BaseException] = []

    def elsewhere() -> None:
        try:
            _followed(pressed(lambda: None), 1)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert not failed


def test_a_tempo_is_given_to_the_file_that_is_spelled_so(folder: Path, cache: AnalysisCache) -> None:
    composed, decomposed = "é.wav", "e\u0301.wav"
    (folder / composed).write_bytes(b"composed")
    (folder / decomposed).write_bytes(b"decomposed")
    files = find_sound_files(folder)
    digests = {file.shown: cache.digest(file) for file in files}
    for name, bpm in {composed: 90.0, decomposed: 70.0}.items():
        _correct(SimpleNamespace(tempo=[(name, bpm)], folder=folder), files, MODEL, cache)
    corrected = {
        name: cache.with_correction(digests[name], half_ambient_half_metal()).tempo.bpm
        for name in (composed, decomposed)
    }
    assert corrected == {composed: 90.0, decomposed: 70.0}
