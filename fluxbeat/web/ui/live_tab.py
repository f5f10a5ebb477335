"""The Live tab: what the microphone hears, drawn by the page's script from what the live WebSocket says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fluxbeat.charts.colours import genre_paints
from fluxbeat.charts.wording import model_title
from fluxbeat.models.registry import LoadedModel

LIVE_ROUTE = "live"
"""Where the page finds the WebSocket: its own, so that it needs no key of the REST service."""


def live_view(models: Sequence[LoadedModel], first: str) -> dict[str, Any]:
    """What the tab must know before anything is analysed; `first` hears unless the page has chosen another.

    Models that take whole recordings only are left out.
    """
    models = [model for model in models if not model.network.takes_sound]
    paints = genre_paints(label for model in models for label in model.network.config.labels)
    return {
        "socket": LIVE_ROUTE,
        "model": first,
        "models": {model.info.name: model_title(model.info.name) for model in models},
        "genres": [{"label": label, "colour": paint.fill, "ink": paint.ink} for label, paint in paints.items()],
    }
