"""Who may ask the REST service, and what its environment decides."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from api_asking import FORM, asgi, ask, refused, status
from starlette.testclient import TestClient
from web_driving import ROOT

from fluxbeat.errors import ConfigMismatchError
from fluxbeat.web.api import build_api, build_api_alone
from fluxbeat.web.service import start_service
from fluxbeat.web.settings import WebSettings, read_settings

LOCKED = build_api_alone(WebSettings(api_key="schlüssel-7"))


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "schlüssel-7".encode()},
        {"Authorization": "Bearer schlüssel-7".encode()},
        {"Authorization": "bearer schlüssel-7".encode()},
    ],
)
def test_key_opens(headers):
    assert ask("GET", "/models", LOCKED, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers", [{}, {"X-API-Key": "schlussel-7"}, {"X-API-Key": ""}, {"Authorization": "Basic schl"}, {"Cookie": "key"}]
)
def test_without_the_key_nothing_is_told(headers):
    for method, path in [("GET", "/models"), ("GET", "/labels"), ("POST", "/analyze"), ("GET", "/nowhere")]:
        response = ask(method, path, LOCKED, headers=headers)
        assert "X-API-Key" in refused(response, 401)
        assert response.headers["www-authenticate"] == "Bearer"


def test_without_the_key_no_body_is_read_and_no_socket_opened():
    async def receive() -> dict[str, Any]:
        raise AssertionError("something was asked for")

    assert status(asyncio.run(asgi(LOCKED, FORM, receive))) == 401
    sent = asyncio.run(asgi(LOCKED, {}, receive, path="/live", kind="websocket"))
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_life_and_description_need_no_key():
    for path in ["/health", "/openapi.json", "/docs", "/static-offline-docs/swagger-ui.css"]:
        assert ask("GET", path, LOCKED).status_code == 200


def test_other_sites_may_not_call_unless_they_are_named():
    page = {"Origin": "https://page.example"}
    preflight = {**page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    assert "access-control-allow-origin" not in ask("GET", "/health", headers=page).headers
    refused(ask("OPTIONS", "/analyze", headers=preflight), 405)
    opened = build_api_alone(WebSettings(api_key="k", cors_origins=("https://page.example",)))
    for answered in (
        ask("GET", "/health", opened, headers=page),
        ask("OPTIONS", "/analyze", opened, headers=preflight),
        ask("GET", "/models", opened, headers=page),
    ):
        assert answered.headers["access-control-allow-origin"] == "https://page.example"
    other = ask("GET", "/health", opened, headers={"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in other.headers


def test_settings_come_from_the_environment(monkeypatch):
    given = {
        "FLUXBEAT_API_KEY": " secret ",
        "FLUXBEAT_CORS_ORIGINS": "https://a.example/, https://b.example",
        "FLUXBEAT_MAX_BODY_BYTES": "1000",
        "FLUXBEAT_MAX_DURATION_S": "90.5",
        "FLUXBEAT_ANALYSES_AT_ONCE": "3",
        "FLUXBEAT_WAITING_AT_MOST": "0",
        "FLUXBEAT_UPLOAD_PAUSE_S": "5",
        "FLUXBEAT_OPEN_PAGE": "1",
    }
    origins = ("https://a.example", "https://b.example")
    plain = WebSettings()
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    assert read_settings() == WebSettings(
        api_key="secret", cors_origins=origins, max_body_bytes=1000, max_duration_s=90.5, analyses_at_once=3,
        waiting_at_most=0, upload_pause_s=5.0, open_page=True,
    )  # fmt: skip
    for variable in given:
        monkeypatch.setenv(variable, "")
    assert read_settings() == plain, "blank is not given"
    guide = (ROOT / "USER_GUIDE.md").read_text(encoding="utf-8")
    assert all(f"`{variable}`" in guide for variable in given)
    for limit in (WebSettings().max_body_bytes, round(WebSettings().max_duration_s)):
        assert f"({limit:,})" in guide
    for variable, value in [
        ("FLUXBEAT_MAX_BODY_BYTES", "many"), ("FLUXBEAT_ANALYSES_AT_ONCE", "0"), ("FLUXBEAT_MAX_DURATION_S", "nan"),
        ("FLUXBEAT_OPEN_PAGE", "perhaps"), ("FLUXBEAT_MCP", "maybe"), ("FLUXBEAT_ALLOW_HUB", "2"),
    ]:  # fmt: skip
        with (
            monkeypatch.context() as wrong,
            pytest.raises(ConfigMismatchError, match=f"{variable} makes no sense.*{value}"),
        ):
            wrong.setenv(variable, value)
            read_settings()


def test_service_can_be_served_unmounted():
    with TestClient(build_api(start_service(WebSettings(api_key="k")))) as asking:
        assert asking.get("/health").status_code == 200
        assert asking.get("/models").status_code == 401
