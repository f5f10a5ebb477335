"""The REST service as an ASGI program, and a site that carries it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline
from starlette.middleware import Middleware
from starlette.responses import RedirectResponse
from starlette.types import Scope

from fluxbeat import __version__
from fluxbeat.api.gate import Gate
from fluxbeat.api.problems import MEDIA_TYPE, answer_with_problems, problems_of
from fluxbeat.api.routes import analysis, catalogue, explanation, exports, live
from fluxbeat.api.service import start_service
from fluxbeat.api.settings import ApiSettings, settings_from

PREFIX = "/api/v1"
ROUTERS: tuple[APIRouter, ...] = (
    analysis.router, explanation.router, exports.router, catalogue.router, live.router,
)  # fmt: skip

DESCRIPTION = """See how genre and tempo flow through a piece of music.

Errors are problem documents (RFC 9457). Where the service asks for a key, send it as `X-API-Key` or as bearer token.
"""
_KEYS = {
    "X-API-Key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
}


def is_below_prefix(scope: Scope) -> bool:
    """Whether a request to a site is one to the service in it."""
    return str(scope["path"]).removeprefix(scope.get("root_path", "")).startswith(f"{PREFIX}/")


def build_api(settings: ApiSettings | None = None) -> FastAPI:
    """The REST service, to be mounted at `PREFIX`.

    Parameters
    ----------
    settings : ApiSettings, optional
        Those of the environment where not given.

    Raises
    ------
    ConfigMismatchError
        If the environment holds settings that make no sense.
    ModelLoadError
        If there is no working model.
    """
    settings = settings_from() if settings is None else settings
    service = start_service(settings)
    layers = [Middleware(Gate, settings=settings, line=service.line)]
    if settings.cors_origins:
        layers.insert(0, _cors(settings))
    app = FastAPIOffline(
        redoc_url=None,
        title="FluxBeat",
        version=__version__,
        description=DESCRIPTION,
        swagger_ui_parameters={"validatorUrl": None, "displayRequestDuration": True},
        middleware=layers,
        generate_unique_id_function=lambda route: route.name,
        responses=problems_of({401: "a key is needed", 500: "the server failed"}),
    )
    app.state.service = service
    answer_with_problems(app)
    for router in ROUTERS:
        app.include_router(router)
    _complete_openapi(app)
    return app


def build_site(settings: ApiSettings | None = None) -> FastAPI:
    """A site with the service at `PREFIX` and its description at /docs and /openapi.json; parameters as `build_api`."""
    api = build_api(settings)
    site = FastAPI(title="FluxBeat", docs_url=None, redoc_url=None, openapi_url=None)
    site.mount(PREFIX, api)

    @site.get("/docs", include_in_schema=False)
    async def docs() -> RedirectResponse:
        return RedirectResponse(f"{PREFIX[1:]}/docs")

    @site.get("/openapi.json", include_in_schema=False)
    async def openapi() -> RedirectResponse:
        return RedirectResponse(f"{PREFIX[1:]}/openapi.json")

    return site


def build_api_alone(settings: ApiSettings | None = None) -> FastAPI:
    """The site of the service without any page: / leads to its description; parameters as `build_api`."""
    site = build_site(settings)
    answer_with_problems(site)

    @site.get("/", include_in_schema=False)
    async def home() -> RedirectResponse:
        return RedirectResponse("docs")

    return site


def _cors(settings: ApiSettings) -> Middleware:
    return Middleware(
        CORSMiddleware,
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "X-API-Key"],
        expose_headers=["Retry-After"],
    )


def _complete_openapi(app: FastAPI) -> None:
    """Say in the description what holds for all routes: the keys, and the media type of problems."""
    plain = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            described = plain()
            described["components"]["securitySchemes"] = _KEYS
            described["security"] = [{}, *({name: []} for name in _KEYS)]
            for operations in described["paths"].values():
                for operation in operations.values():
                    _name_problems(operation["responses"])
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]


def _name_problems(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        if int(status) >= 400:
            response["content"] = {MEDIA_TYPE: response["content"].pop("application/json")}
