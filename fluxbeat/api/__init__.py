"""The REST service under /api/v1: the engine for programs, over HTTP."""

from fluxbeat.api.known_hosts import KnownHosts, names_to_know
from fluxbeat.api.page_key import PageKey
from fluxbeat.api.program import PREFIX, build_api, build_api_alone, build_site
from fluxbeat.api.settings import ApiSettings, settings_from

__all__ = [
    "PREFIX", "ApiSettings", "KnownHosts", "PageKey", "build_api", "build_api_alone", "build_site", "names_to_know",
    "settings_from",
]  # fmt: skip
