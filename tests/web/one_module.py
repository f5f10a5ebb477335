"""One module of the page's script alone in Chromium: no server, no page, the files as they lie in the folder."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from web_driving import ROOT

SITE = "http://module.test"
FOLDERS = (ROOT / "fluxbeat" / "web" / "ui" / "static", ROOT / "fluxbeat" / "charts")
"""Served as one, as the app does."""


def ask_module(browser: Any, module: str, question: str, given: Any = None, path: str = "/") -> Any:
    """What `question`, a function of JavaScript, returns: it gets what the module exports, and `given`.

    `path` is that of the page that the module is loaded into, which has nothing on it.
    """
    page = browser.new_page()
    page.route(f"{SITE}/**", _fulfil)
    page.goto(f"{SITE}{path}")
    answer = page.evaluate(f"async given => ({question})(await import('/modules/{module}'), given)", given)
    page.close()
    return answer


def _fulfil(route: Any) -> None:
    folder, _, name = urlsplit(route.request.url).path.rpartition("/")
    if folder != "/modules":
        route.fulfill(body="<!doctype html><body>", content_type="text/html")
        return
    found = [place / name for place in FOLDERS if (place / name).is_file()]
    if found:
        route.fulfill(path=found[0])
    else:
        route.fulfill(status=404)  # Plotly's script, which comes from its package
