"""Who may answer on a Ray cluster; its client is a stand-in, the real one is asked in the second gear."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_models import loaded, tiny

from fluxbeat import __version__
from fluxbeat.audio.sound_files import SoundFile
from fluxbeat.errors import ConfigMismatchError, FluxBeatError
from fluxbeat.library import ray_workers
from fluxbeat.library.ray_workers import RayWorkers

OTHER = "a Ray worker has FluxBeat 0.0.9, this machine"


class Cluster:
    """As much of Ray as is asked: each task runs at once, on the node whose turn it is.

    Parameters
    ----------
    versions : str
        Of FluxBeat, node by node.
    """

    def __init__(self, *versions: str) -> None:
        self.versions, self.ended = list(versions), False

    def init(self, **settings: Any) -> None:
        pass

    def shutdown(self) -> None:
        self.ended = True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def put(self, value: Any) -> Any:
        return value

    def remote(self, **settings: Any) -> Callable[[Callable[..., Any]], Any]:
        return lambda function: SimpleNamespace(remote=lambda *given: self._run(function, given))

    def get(self, task: Any, timeout: float) -> Any:
        return task.future().result()

    def _run(self, function: Callable[..., Any], given: tuple[Any, ...]) -> Any:
        done: Future[Any] = Future()
        with pytest.MonkeyPatch.context() as there:
            there.setattr(ray_workers, "__version__", self.versions.pop(0))
            try:
                done.set_result(function(*given))
            except Exception as error:
                done.set_exception(error)
        return SimpleNamespace(future=lambda: done)


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Cluster]:
    """Puts a cluster in Ray's place."""

    def join(*versions: str) -> Cluster:
        cluster = Cluster(*versions)
        monkeypatch.setattr(ray_workers, "ray", cluster)
        return cluster

    return join


def test_a_cluster_of_another_version_is_refused_by_both_versions_and_left(joined: Callable[..., Cluster]) -> None:
    cluster = joined("0.0.9")
    with pytest.raises(ConfigMismatchError, match=f"{OTHER} {__version__}: install the same on every node"):
        RayWorkers("auto")
    assert cluster.ended


def test_a_cluster_that_cannot_run_fluxbeat_is_left(
    joined: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = joined(__version__)
    monkeypatch.setattr(ray_workers, "_other_version", lambda asking: 1 / 0)
    with pytest.raises(FluxBeatError, match="cannot run FluxBeat: install FluxBeat .* on every node .ZeroDivision"):
        RayWorkers("auto")
    assert cluster.ended


def test_a_node_of_another_version_answers_no_file(joined: Callable[..., Cluster], tmp_path: Path) -> None:
    joined(__version__, "0.0.9", __version__)
    (tmp_path / "song.wav").write_bytes(b"la la la")
    song = SoundFile(tmp_path / "song.wav", "song.wav")
    workers, model = RayWorkers("auto"), loaded(tiny("cnn"))
    other, same = (workers.begin(song, model, threading.Event()).result() for _ in range(2))
    assert isinstance(other, str) and other.startswith(OTHER)
    assert isinstance(same, str) and 'song.wav" is damaged' in same, "it was read"
