"""What page and REST service share: the settings, the models on offer, the queue, and the live sessions."""

from __future__ import annotations

from collections.abc import Mapping

from fluxbeat.errors import ModelLoadError
from fluxbeat.models.registry import LoadedModel, checkpoints_folder, load_all
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.live_socket import LiveSessions
from fluxbeat.web.settings import WebSettings


class Service:
    """One running program.

    Parameters
    ----------
    settings : WebSettings
    models : mapping of str to LoadedModel
        By name. Clients choose among these only: no path and no address of theirs is ever opened.
    """

    def __init__(self, settings: WebSettings, models: Mapping[str, LoadedModel]) -> None:
        self.settings, self.models = settings, models
        self.queue = AnalysisQueue(settings.analyses_at_once, settings.waiting_at_most)
        self.live = LiveSessions(self.queue)


def start_service(settings: WebSettings) -> Service:
    """A service with every model that this program offers loaded.

    Raises
    ------
    ModelLoadError
        If there is no model, or one cannot be loaded.
    """
    models = {model.info.name: model for model in load_all()}
    if not models:
        raise ModelLoadError(f"no models found in {checkpoints_folder().name}/: install FluxBeat with its checkpoints")
    return Service(settings, models)
