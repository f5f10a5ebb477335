"""What programs ask of this service, by gradio_client or over MCP: which recording, which models, and the answer."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from pydantic import TypeAdapter, ValidationError

from fluxbeat.analysis.track import Progress
from fluxbeat.errors import ConfigMismatchError, FluxBeatError
from fluxbeat.models.registry import default_model
from fluxbeat.web.service import Service
from fluxbeat.web.temporary_folder import FILE_ADDRESS, GRADIO_VARIABLE

_NAMES = TypeAdapter(list[str])  # clients send what they like


class Programs:
    """What may be asked of a service.

    Attributes
    ----------
    names : list of str
        Of the models that the service began with.
    default : str
        Name of the model that answers where none is named.
    folders : tuple of Path
        As `WebSettings.folders`.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self.names, self.folders = list(service.models), service.settings.folders
        self.default = default_model(self.names)

    def recording(self, named: str) -> Path | bytes:
        """The recording that a program names: no address is ever asked, whatever it is.

        Parameters
        ----------
        named : str
            A path or `file:` address below one of `folders`, the path or address of an upload to the page, or a `data:`
            address in base64. Links are followed before it is seen where a file lies.

        Raises
        ------
        FluxBeatError
            If it is none of these; a file elsewhere and one that is not there are told alike.
        """
        uploads = os.environ.get(GRADIO_VARIABLE)
        folders = (*self.folders, Path(uploads).resolve()) if uploads else self.folders
        path = url2pathname(urlsplit(named).path) if named.startswith("file:") else named
        if FILE_ADDRESS in path:
            path = unquote(path.partition(FILE_ADDRESS)[2])
        with suppress(OSError, RuntimeError, ValueError):  # no base64, or no name that a file can have
            if named.startswith("data:"):
                return base64.b64decode(named.partition(",")[2], validate=True)
            for folder in folders:
                found = (folder / path).resolve()
                if any(map(found.is_relative_to, folders)) and found.is_file():
                    return found
        below = f"name a file below {' or '.join(map(str, self.folders))}, " if self.folders else ""
        cure = f"{below}upload one, or send it as data:audio/mpeg;base64,... (FLUXBEAT_FOLDERS names folders to read)"
        raise FluxBeatError(f"no recording {named[:80]!r}: {cure}")

    async def analyses(
        self,
        recording: str | Path | bytes,
        name: str | None,
        models: Sequence[str],
        tempo_bpm: float,
        on_progress: Callable[[float, str], Any],
        on_wait: Callable[[int], Any] | None = None,
    ) -> list[dict[str, Any]]:
        """What each model says of a recording, as `TrackAnalysis.to_dict`, when it is its turn.

        Parameters
        ----------
        recording, name
            As `fluxbeat.analyze` takes them.
        models : sequence of str
        tempo_bpm : float
            0 where it is not known better.
        on_progress, on_wait : callable
            As in `AnalysisQueue.run`.

        Raises
        ------
        FluxBeatError
            If there is no such model, or it cannot be analysed.
        """
        try:
            wanted = dict.fromkeys(_NAMES.validate_python(models))
        except ValidationError as error:
            raise FluxBeatError("models are given by name, such as cnn") from error
        offered = self._service.models
        unknown = [model for model in wanted if model not in offered]
        if unknown:
            raise FluxBeatError(f"no model {unknown[0][:80]!r}: there are {', '.join(offered)}")

        def work(progress: Progress) -> list[dict[str, Any]]:
            models = [offered[model] for model in wanted]
            return self._service.analyses(recording, name, models, progress, tempo_bpm or None)

        return await self._service.queue.run(work, on_progress, on_wait)


def mcp_wanted(chosen: bool | None) -> bool:
    """Whether to offer MCP tools, where that is not switched off (`WebSettings.mcp`).

    Raises
    ------
    ConfigMismatchError
        If they are asked for and the extra is not installed.
    """
    try:
        installed = version("mcp").split(".")[0] == "1"
    except PackageNotFoundError:
        installed = False
    if chosen and not installed:
        raise ConfigMismatchError("FLUXBEAT_MCP is 1, but MCP is not installed: pip install 'fluxbeat[mcp]'")
    return installed and chosen is not False
