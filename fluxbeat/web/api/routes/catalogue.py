"""Models, labels and health: what the service has to offer, and models of the Hub for who may have it fetch."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from fluxbeat import __version__
from fluxbeat.analysis.track import Progress
from fluxbeat.errors import AnalysisCancelled, FluxBeatError
from fluxbeat.models.hub.model_card import facts_of
from fluxbeat.web.api.answers import LINES_MEDIA_TYPE, answer
from fluxbeat.web.api.contract import HealthDocument, LabelDocument, ModelFactsDocument, ModelToAdd
from fluxbeat.web.api.parameters import RunningService
from fluxbeat.web.hub_fetching import Fetching, NotFetchedError
from fluxbeat.web.problems import BODY_PROBLEMS, Refused, Responses, problems_of
from fluxbeat.web.security import HUB_REFUSAL, may_fetch_weights

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


LOOK_EVERY_S = 0.25
ADDED: Responses = {
    200: {
        "description": "Added, and answering by name from now on. With `Accept: application/x-ndjson` one JSON object "
        'a line instead, as it goes: `{"progress": 0.4, "doing": "Fetching model.safetensors (346.0 MB) of ..."}`, '
        "for a classifier of transformers with what it takes to fetch and in memory, before it is fetched; and last "
        '`{"result": [...]}` or `{"problem": ...}`. Whoever closes the connection ends the fetch.',
        "content": {LINES_MEDIA_TYPE: {"schema": {"type": "string"}}},
    }
}


async def _may_fetch(request: Request, service: RunningService) -> None:
    client = request.client.host if request.client else ""
    if not may_fetch_weights(service.settings.allow_hub, request.headers, client):
        raise Refused(403, HUB_REFUSAL)


adding = APIRouter(
    tags=["catalogue"],
    dependencies=[Depends(_may_fetch)],
    responses=problems_of(
        {
            403: "this server fetches nothing for who asks",
            422: "not an address of the Hub, or no model there that can be used",
        }
    ),
)


@adding.post(
    "/models",
    response_model=list[ModelFactsDocument],
    responses={**ADDED, **problems_of({400: "the body is no JSON"}), **BODY_PROBLEMS},
)
async def add_model(request: Request, service: RunningService, wanted: ModelToAdd) -> Response:
    """Fetch a model from the Hub and offer it by its name; a repository with a model in each folder brings all."""
    fetching = Fetching(wanted.source)

    def work(progress: Progress) -> list[dict[str, Any]]:
        try:
            with closing(fetching.steps(LOOK_EVERY_S)) as steps:
                for _ in steps:
                    progress(fetching.share, f"{fetching.words}: {fetching.size}" if fetching.size else fetching.words)
            service.add(fetching.found)
        except AnalysisCancelled:
            raise
        except FluxBeatError as error:
            raise NotFetchedError(str(error)) from error
        return [facts_of(model) for model in fetching.found]

    return await answer(request, service.fetches, work)


@adding.delete(
    "/models/{name:path}",
    status_code=204,
    responses=problems_of({404: "there is no such model", 409: "it is one of the server's own"}),
)
async def remove_model(service: RunningService, name: str) -> None:
    """Offer a model that was added no longer, and free its memory."""
    try:
        service.remove(name)
    except KeyError:
        raise Refused(404, f"no model {name[:80]!r}: there are {', '.join(service.models)}") from None
    except FluxBeatError as error:
        raise Refused(409, str(error)) from error
