"""The REST service under /api/v1: the engine for programs, over HTTP."""

from fluxbeat.web.api.program import build_api, build_api_alone, build_site

__all__ = ["build_api", "build_api_alone", "build_site"]
