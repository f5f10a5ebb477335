"""The same work on a Ray cluster, for libraries that outgrow one machine.

Files and model travel by content: the cluster needs no disk in common with this machine, only FluxBeat installed on
every node. This machine reads the files, and alone writes the cache.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from concurrent.futures import Future
from typing import Any
from urllib.parse import urlsplit

import ray
from ray.exceptions import GetTimeoutError, RayError

from fluxbeat import __version__
from fluxbeat.audio.sound_files import SoundFile
from fluxbeat.errors import ConfigMismatchError, FluxBeatError
from fluxbeat.library.workers import AnalysisOrError, analyse_file, cores
from fluxbeat.models.registry import LoadedModel

LOCAL = "local"
CONNECT_S = 10.0
ANSWER_S = 300.0
"""How long a cluster may take to start its first worker, PyTorch included."""
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # tells no outside host of itself
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # leaves the variables of GPUs as they are
    "RAY_worker_niceness": "0",  # 15 by default: on a busy machine such a worker does not even come to start
}


class RayWorkers:
    """Tasks on a Ray cluster, one core each.

    Parameters
    ----------
    address : str
        `local` starts a cluster of this machine alone and ends it at the end; else as `ray.init` takes it: `auto`,
        `host:6379`, `ray://host:10001`.
    count : int, optional
        Files in work at once; where not given, as many as the cluster has cores.

    Raises
    ------
    FluxBeatError
        If there is no cluster at the address, or its workers cannot run this version of FluxBeat.
    """

    def __init__(self, address: str, count: int | None = None) -> None:
        _check_address(address)
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        own: dict[str, Any] = {"num_cpus": count or cores(), "include_dashboard": False} if address == LOCAL else {}
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
        except (ConnectionError, ValueError, RuntimeError, TimeoutError, OSError, RayError) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise FluxBeatError(f"no Ray cluster answers at {address!r}: {reason}") from error
        try:
            _check_workers(address)
            count = count or max(1, int(ray.cluster_resources().get("CPU", 1)))
        except BaseException:
            ray.shutdown()
            raise
        self.at_once = count + max(1, count // 2)  # the next files travel while the first are analysed
        self._task = ray.remote(num_cpus=1, max_retries=1)(_analyse_on_node)
        self._model: tuple[LoadedModel, ray.ObjectRef] | None = None

    def begin(self, file: SoundFile, model: LoadedModel, stop: threading.Event) -> Future[AnalysisOrError]:
        """Send one file; `close` ends what is no longer wanted.

        Raises
        ------
        FluxBeatError
            If the cluster has gone.
        """
        content = file.path.read_bytes()
        try:
            if self._model is None or self._model[0] is not model:
                self._model = model, ray.put(model)
            task = self._task.remote(content, file.shown, self._model[1], __version__)
            future: Future[AnalysisOrError] = task.future()
        except (RayError, ConnectionError) as error:
            raise FluxBeatError(f"the Ray cluster answers no more ({type(error).__name__}): start it again") from error
        return future

    def close(self) -> None:
        """Leave the cluster, which ends this program's tasks there."""
        ray.shutdown()


def _check_workers(address: str) -> None:
    """Refuse a cluster whose first worker cannot run FluxBeat, or runs another version of it."""
    probe = ray.remote(num_cpus=1, max_retries=0)(_other_version)
    try:
        other = ray.get(probe.remote(__version__), timeout=ANSWER_S)
    except GetTimeoutError as error:
        raise FluxBeatError(
            f"the Ray cluster at {address!r} started no worker within {ANSWER_S:.0f} s: are its cores taken?"
        ) from error
    except Exception as error:
        raise FluxBeatError(
            f"the workers of the Ray cluster at {address!r} cannot run FluxBeat: install FluxBeat {__version__} "
            f"on every node ({type(error).__name__})"
        ) from error
    if other:
        raise ConfigMismatchError(other)


def _check_address(address: str) -> None:
    """Refuse what is no address, and where nobody listens: Ray itself would go on trying for many minutes."""
    if address in (LOCAL, "auto"):
        return
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        socket.create_connection((parts.hostname, parts.port), timeout=CONNECT_S).close()
    except (OSError, ValueError) as error:
        cure = "give auto, HOST:PORT, ray://HOST:PORT or local"
        raise FluxBeatError(f"no Ray cluster answers at {address!r} ({error}): {cure}") from error


def _other_version(asking: str) -> str:
    """On a node: why it must not answer a machine with that version, in one sentence; empty where it may."""
    if asking == __version__:
        return ""
    return f"a Ray worker has FluxBeat {__version__}, this machine {asking}: install the same on every node"


def _analyse_on_node(content: bytes, name: str, model: LoadedModel, asking: str) -> AnalysisOrError:
    """On a node: the answer, which is kept on the asking machine and so must be that of its own version."""
    return _other_version(asking) or analyse_file(content, name, model)
