"""The REST service as an ASGI program, and a site that carries it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline
from starlette.middleware import Middleware
from starlette.responses import RedirectResponse
from starlette.routing import Route

from fluxbeat import __version__
from fluxbeat.web.api.request_limits import RequestLimits
from fluxbeat.web.api.routes import analysis, catalogue, explanation, exports, live
from fluxbeat.web.problems import API_PREFIX, MEDIA_TYPE, answer_with_problems, problems_of
from fluxbeat.web.security import KeyNeeded
from fluxbeat.web.service import Service, start_service
from fluxbeat.web.settings import WebSettings
from fluxbeat.web.temporary_folder import leave_own_folder

ROUTERS: tuple[APIRouter, ...] = (
    analysis.router, explanation.router, exports.router, catalogue.router,
    catalogue.adding, live.router,
)  # fmt: skip

DESCRIPTION = """See how genre and tempo flow through a piece of music.

Errors are problem documents (RFC 9457). Where the service asks for a key, send it as `X-API-Key` or as bearer token.
"""
_KEYS = {
    "X-API-Key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
}


def build_api(service: Service) -> FastAPI:
    """The REST service as a program of its own, to be mounted at `API_PREFIX`."""
    settings = service.settings
    layers = [Middleware(RequestLimits, service=service)]
    cross_origin = Middleware(
        CORSMiddleware,
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "X-API-Key"],
        expose_headers=["Retry-After"],
    )
    if settings.api_key:
        layers.insert(0, Middleware(KeyNeeded, key=settings.api_key))
    if settings.cors_origins:
        layers.insert(0, cross_origin)
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
    app.state.included_routes = [route for router in ROUTERS for route in router.routes]
    _complete_openapi(app)
    return app


def build_site(service: Service) -> FastAPI:
    """A site with the service at `API_PREFIX` and its description at /docs and /openapi.json."""
    api = build_api(service)
    site = FastAPI(title="FluxBeat", docs_url=None, redoc_url=None, openapi_url=None, lifespan=_leaving_nothing)
    site.mount(API_PREFIX, api)
    for name in ("docs", "openapi.json"):
        site.routes.append(Route(f"/{name}", RedirectResponse(f"{API_PREFIX[1:]}/{name}")))
    return site


def build_api_alone(settings: WebSettings) -> FastAPI:
    """The site of the service without any page: / leads to its description. Errors as in `start_service`."""
    site = build_site(start_service(settings))
    answer_with_problems(site)
    site.routes.append(Route("/", RedirectResponse("docs")))
    return site


@asynccontextmanager
async def _leaving_nothing(site: FastAPI) -> AsyncIterator[None]:
    """Have temporary files removed when the program is shut down: a signal ends the process without further ado."""
    yield
    leave_own_folder()


def _complete_openapi(app: FastAPI) -> None:
    """Say in the description what holds for all routes: the keys, and the media type of problems."""
    described = app.openapi()  # which FastAPI keeps, and answers with
    described["components"]["securitySchemes"] = _KEYS
    described["security"] = [{}, *({name: []} for name in _KEYS)]
    for operations in described["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    response["content"] = {MEDIA_TYPE: response["content"].pop("application/json")}
