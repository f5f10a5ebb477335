"""What a route is given: the service that it belongs to, the model that a client names, and the recording that came."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from anyio import to_thread
from fastapi import Depends, File, Query, UploadFile
from starlette.requests import HTTPConnection

from fluxbeat.models.hub.address import SCHEME
from fluxbeat.models.registry import LoadedModel, default_model
from fluxbeat.web.problems import Refused
from fluxbeat.web.service import Service


def _running(connection: HTTPConnection) -> Service:
    service: Service = connection.app.state.service
    return service


RunningService = Annotated[Service, Depends(_running)]
"""Parameter of a route, also of a WebSocket's: the service it belongs to."""


def model_named(service: Service, name: str | None) -> LoadedModel:
    """The model of this name, or that came from this address; the default one where there is no name.

    Raises
    ------
    Refused
        404, with the names there are. No address is ever opened here: POST /models is for that.
    """
    models = service.models
    name = default_model(service.own) if name is None else name
    if name in models:
        return models[name]
    if name.startswith(SCHEME):
        for model in models.values():
            if model.info.source == name:
                return model
    add = "; POST /models adds one of the Hub, where that is allowed" if name.startswith(SCHEME) else ""
    raise Refused(404, f"no model {name[:80]!r}: there are {', '.join(models)}{add}")


def _chosen(
    service: RunningService,
    model: Annotated[str | None, Query(description="one of GET /models; the default one where not given")] = None,
) -> LoadedModel:
    return model_named(service, model)


ChosenModel = Annotated[LoadedModel, Depends(_chosen)]
"""Parameter of a route: the model that the query names."""


@dataclass(frozen=True)
class Upload:
    """A recording on this server's disk.

    Attributes
    ----------
    path : str
        Of its bytes; without the client's name or extension, which decide nothing.
    name : str
        What the client calls it.
    """

    path: str
    name: str


async def _received(
    file: Annotated[UploadFile, File(description="a recording in any usual audio format")],
) -> AsyncIterator[Upload]:
    with TemporaryDirectory(prefix="fluxbeat-upload-") as folder:
        path = Path(folder, "recording")
        with path.open("wb") as kept:
            await to_thread.run_sync(shutil.copyfileobj, file.file, kept, 1 << 20)
        await file.close()  # its bytes would else lie on the disk twice
        yield Upload(str(path), file.filename or "upload")


ReceivedUpload = Annotated[Upload, Depends(_received)]
"""Parameter of a route that takes a recording as the multipart field `file`; gone when the answer is sent."""
