"""POST /models and DELETE /models/NAME: models of the Hub for programs, from whoever may have this server fetch."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from fluxbeat.analysis import Progress
from fluxbeat.errors import AnalysisCancelled, FluxBeatError
from fluxbeat.models.hub.model_card import facts_of
from fluxbeat.web.api.answers import LINES_MEDIA_TYPE, answer
from fluxbeat.web.api.contract import ModelFactsDocument, ModelToAdd
from fluxbeat.web.api.running_service import RunningService
from fluxbeat.web.hub_fetching import Fetching, NotFetchedError
from fluxbeat.web.problems import Refused, Responses, problems_of
from fluxbeat.web.security import HUB_REFUSAL, may_fetch_weights

LOOK_EVERY_S = 0.25
LINES: Responses = {
    200: {
        "description": "Added, and answering by name from now on. With `Accept: application/x-ndjson` one JSON object "
        'a line instead, as it goes: `{"progress": 0.4, "doing": "Fetching model.safetensors (346.0 MB) of ..."}`, '
        "for a classifier of transformers with what it takes to fetch and in memory, before it is fetched; and last "
        '`{"result": [...]}` or `{"problem": ...}`. Whoever closes the connection ends the fetch.',
        "content": {LINES_MEDIA_TYPE: {"schema": {"type": "string"}}},
    }
}
NOT_ALLOWED = "this server fetches nothing for who asks"


async def _may_fetch(request: Request, service: RunningService) -> None:
    client = request.client.host if request.client else ""
    if not may_fetch_weights(service.settings.allow_hub, request.headers, client):
        raise Refused(403, HUB_REFUSAL)


router = APIRouter(
    tags=["catalogue"],
    dependencies=[Depends(_may_fetch)],
    responses=problems_of({403: NOT_ALLOWED, 422: "not an address of the Hub, or no model there that can be used"}),
)


@router.post(
    "/models",
    response_model=list[ModelFactsDocument],
    responses={
        **LINES,
        **problems_of(
            {
                400: "the body is no JSON",
                408: "the upload stood still",
                413: "too many bytes",
                429: "too many requests at the moment",
            }
        ),
    },
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


@router.delete(
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
