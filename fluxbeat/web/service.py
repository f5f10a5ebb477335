"""What page and REST service share: the settings, the models on offer, the queue, and the live sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fluxbeat.analysis.engine import DEFAULT_HOP_S, compare
from fluxbeat.analysis.track import Progress
from fluxbeat.analysis.windows import free_gpu, hop_frames
from fluxbeat.errors import FluxBeatError, ModelLoadError
from fluxbeat.models.registry import LoadedModel, checkpoints_folder, forget, load_all
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.hub_fetching import with_fetched
from fluxbeat.web.live_socket import LiveSessions
from fluxbeat.web.settings import WebSettings

MOST_WINDOWS = 20_000
"""Four hours have 14,400 at one a second. More of them cost minutes of segmenting that cannot be cancelled."""


class Service:
    """One running program.

    Parameters
    ----------
    settings : WebSettings
    models : mapping of str to LoadedModel
        By name. Clients choose among these only: no path and no address of theirs is ever opened. It is never changed,
        only replaced: whoever goes through it sees one moment.

    Attributes
    ----------
    own : tuple of str
        Names of those it began with; programs may add others, which answer only where they are named.
    fetches : AnalysisQueue
        Who fetches from the Hub, one after the other: that takes minutes, and hardly the processor.
    """

    def __init__(self, settings: WebSettings, models: Mapping[str, LoadedModel]) -> None:
        self.settings, self.models, self.own = settings, models, tuple(models)
        self.queue = AnalysisQueue(settings.analyses_at_once, settings.waiting_at_most)
        self.fetches = AnalysisQueue(1, settings.waiting_at_most)
        self.live = LiveSessions(self.queue)

    def analyses(
        self,
        recording: str | Path | bytes,
        name: str | None,
        models: Sequence[LoadedModel],
        progress: Progress,
        tempo_bpm: float | None,
        hop_s: float = DEFAULT_HOP_S,
    ) -> list[dict[str, Any]]:
        """What each model says of a recording, as `TrackAnalysis.to_dict`. Parameters and errors as in `compare`, and:

        Raises
        ------
        AudioDecodeError
            If the recording is longer than the settings allow, or a model would cut it into too many windows.
        """
        networks = [model.network for model in models]
        done_s = min(hop_frames(hop_s, network) / network.config.features.frame_rate_hz for network in networks)
        longest_s = min(self.settings.max_duration_s, MOST_WINDOWS * done_s)
        analyses = compare(
            recording, models, name=name, hop_s=hop_s, progress=progress, max_duration_s=longest_s, tempo_bpm=tempo_bpm
        )
        return [analysis.to_dict() for analysis in analyses]

    def add(self, found: Sequence[LoadedModel]) -> None:
        """Offer these to programs too. Errors as in `with_fetched`."""
        self.models = with_fetched(self.models, found, len(self.own))

    def remove(self, name: str) -> None:
        """Offer a model no longer, and free its memory once nobody computes with it.

        Raises
        ------
        KeyError
            If there is none of this name.
        FluxBeatError
            If it is one of those that the service began with.
        """
        model = self.models[name]
        if name in self.own:
            raise FluxBeatError(f"{name} is the server's own: only models that were added can be taken away")
        self.models = {key: one for key, one in self.models.items() if key != name}
        forget(model)
        free_gpu()


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
