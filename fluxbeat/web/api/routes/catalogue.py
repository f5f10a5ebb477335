"""GET /models, GET /labels and GET /health: what the service has to offer."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from fluxbeat import __version__
from fluxbeat.models.hub.model_card import facts_of
from fluxbeat.web.api.contract import HealthDocument, LabelDocument, ModelFactsDocument
from fluxbeat.web.api.running_service import RunningService

router = APIRouter()


@router.get("/models", response_model=list[ModelFactsDocument], tags=["catalogue"])
def models(service: RunningService) -> list[dict[str, Any]]:
    """The models, with the key facts of their cards."""
    return [facts_of(model) for model in service.models.values()]


@router.get("/labels", response_model=list[LabelDocument], tags=["catalogue"])
def labels(service: RunningService) -> list[dict[str, Any]]:
    """The genres that can be named, and by which models."""
    known: dict[str, list[dict[str, Any]]] = {}
    for name, model in service.models.items():
        config = model.network.config
        for label, threshold in zip(config.labels, config.thresholds, strict=True):
            known.setdefault(label, []).append({"model": name, "threshold": threshold})
    return [{"label": label, "models": models} for label, models in known.items()]


@router.get("/health", tags=["service"])
async def health(service: RunningService) -> HealthDocument:
    """That the service answers; needs no key."""
    return HealthDocument(
        status="ready",
        version=__version__,
        models=list(service.models),
        running=service.queue.running,
        places_taken=service.queue.inside,
    )
