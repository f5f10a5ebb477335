"""The REST service under /api/v1: the engine for programs, over HTTP."""

from fluxbeat.api.page_key import PageKey
from fluxbeat.api.program import PREFIX, build_api, build_api_alone, build_site
from fluxbeat.api.settings import ApiSettings, settings_from

__all__ = ["PREFIX", "ApiSettings", "PageKey", "build_api", "build_api_alone", "build_site", "settings_from"]
