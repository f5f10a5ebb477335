"""What the routes share: the models on offer, the settings and the line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from fluxbeat.api.line import Line
from fluxbeat.api.problems import Refused
from fluxbeat.api.settings import ApiSettings
from fluxbeat.errors import ModelLoadError
from fluxbeat.zoo import ZooModel, load_all


@dataclass(frozen=True, eq=False)
class Service:
    """One running REST service.

    Attributes
    ----------
    settings : ApiSettings
    models : dict of str to ZooModel
        By name. Clients choose among these only: no path and no address of theirs is ever opened.
    line : Line
    """

    settings: ApiSettings
    models: dict[str, ZooModel]
    line: Line = field(init=False)

    def __post_init__(self) -> None:
        line = Line(self.settings.analyses_at_once, self.settings.waiting_at_most)
        object.__setattr__(self, "line", line)

    def model(self, name: str) -> ZooModel:
        """The model of this name.

        Raises
        ------
        Refused
            404, with the names there are.
        """
        if name not in self.models:
            raise Refused(404, f"no model {name[:80]!r}: there are {', '.join(self.models)}")
        return self.models[name]

    def several(self, names: Sequence[str]) -> list[ZooModel]:
        """The models of these names, each once; all where none is named."""
        return [self.model(name) for name in dict.fromkeys(names)] or list(self.models.values())


def start_service(settings: ApiSettings) -> Service:
    """A service with every bundled model loaded.

    Raises
    ------
    ModelLoadError
        If there is no model, or one cannot be loaded.
    """
    models = {model.info.name: model for model in load_all()}
    if not models:
        raise ModelLoadError("no models found: install FluxBeat with its checkpoints")
    return Service(settings, models)


def _running(connection: HTTPConnection) -> Service:
    service: Service = connection.app.state.service
    return service


RunningService = Annotated[Service, Depends(_running)]
"""Parameter of a route, also of a WebSocket's: the service it belongs to."""
