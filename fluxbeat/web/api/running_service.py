"""How a route gets at the service that it belongs to, and at the models that a client names."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query
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
