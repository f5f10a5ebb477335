"""A page elsewhere that calls this machine by a name of its own, or sends to it, gets nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from api_asking import asgi, ask, refused
from test_api_served import free_port, running
from web_driving import ROOT, TECHNO, Server

from fluxbeat.errors import ConfigMismatchError
from fluxbeat.web.api import build_api_alone
from fluxbeat.web.security import KnownHosts, names_to_know
from fluxbeat.web.settings import WebSettings, read_settings

EVIL = "evil.example:7860"
KNOWING: Any = KnownHosts(build_api_alone(WebSettings()), ["Box.example"], ["https://page.example"])


def asked(host: str, app: Any = KNOWING, method: str = "GET", **headers: str) -> httpx.Response:
    return ask(method, "/analyze" if method == "POST" else "/health", app, headers={"Host": host, **headers})


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:7860", "localhost", "LOCALHOST:80", "[::1]:7860", "[::1]", "127.0.1.1", "0.0.0.0:7860",
        "app.localhost:1", "box.example", "BOX.example:7860",
    ],
)  # fmt: skip
def test_names_of_this_machine_and_of_its_own_are_answered(host):
    assert asked(host).status_code == 200
    assert asked(host, method="POST", Origin=f"http://{host}").status_code == 422, "no file was sent"


@pytest.mark.parametrize(
    "host",
    [EVIL, "evil.example", "localhost.evil.example", "notlocalhost", "", "8.8.8.8", "[::1", "box.example.evil.example"],
)
def test_other_names_are_not(host):
    sentence = refused(asked(host), 403)
    assert "FLUXBEAT_HOSTS" in sentence
    refused(asked(host, method="POST", Origin=f"http://{host}"), 403)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "https://127.0.0.1.evil.example", "http://[::1"])
def test_pages_of_other_hosts_may_not_send_and_no_body_is_read(origin):
    assert "own page and programs" in refused(asked("localhost:7860", method="POST", Origin=origin), 403)
    assert asked("localhost:7860", Origin=origin).status_code == 200, "what they get they cannot read"

    async def receive() -> dict[str, Any]:
        raise AssertionError("something was asked for")

    headers = {"Host": "localhost:7860", "Origin": origin}
    assert asyncio.run(asgi(KNOWING, headers, receive))[0]["status"] == 403
    sent = asyncio.run(asgi(KNOWING, headers, receive, path="/live", kind="websocket"))
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_pages_that_are_named_may_send_to_the_service_alone():
    page = {"Host": "localhost:7860", "Origin": "https://page.example"}
    assert ask("POST", "/analyze", KNOWING, headers=page).status_code == 422
    assert ask("POST", "/../../gradio_api/upload", KNOWING, headers=page).status_code == 403
    everyone: Any = KnownHosts(build_api_alone(WebSettings()), [], ["*"])
    assert asked("localhost", everyone, "POST", Origin="http://evil.example").status_code == 422


def test_names_are_asked_for_where_only_this_machine_listens_or_some_are_named():
    plain, named = WebSettings(), WebSettings(hosts=("music.example",))
    assert names_to_know(plain, "mybox", "127.0.1.1") == ("mybox",)
    assert names_to_know(plain, "::1", "::1") == ("::1",)
    for told, bound in [("0.0.0.0", "0.0.0.0"), ("::", "::"), ("mybox", "192.168.1.5"), ("", "")]:
        assert names_to_know(plain, told, bound) == ()
        assert names_to_know(named, told, bound) == ("music.example",)
    assert names_to_know(named, "localhost", "127.0.0.1") == ("music.example", "localhost")
    assert names_to_know(WebSettings(hosts=("a", "*")), "localhost", "127.0.0.1") == ()


def test_names_come_from_the_environment(monkeypatch):
    for given, hosts in [(" music.example, box ", ("music.example", "box")), ("*", ("*",))]:
        monkeypatch.setenv("FLUXBEAT_HOSTS", given)
        assert read_settings().hosts == hosts
    assert "`FLUXBEAT_HOSTS`" in (ROOT / "USER_GUIDE.md").read_text(encoding="utf-8")
    for wrong in ("https://music.example", "music.example:8000"):
        with pytest.raises(ConfigMismatchError, match="FLUXBEAT_HOSTS makes no sense"):
            monkeypatch.setenv("FLUXBEAT_HOSTS", wrong)
            read_settings()


def opening(url: str, path: str, host: str, origin: str) -> int:
    """The status of a WebSocket's opening."""
    address, port = url.removeprefix("http://").strip("/").split(":")
    lines = [
        f"GET {path} HTTP/1.1", f"Host: {host}", f"Origin: {origin}", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", "",
    ]  # fmt: skip
    with socket.create_connection((address, int(port)), timeout=30) as raw:
        raw.sendall("\r\n".join(lines).encode())
        return int(raw.recv(1000).split()[1])


def test_page_functions_and_sockets_of_a_local_server_refuse_other_names_and_other_pages(server: Server):
    url = server.url.rstrip("/")
    own = url.removeprefix("http://")
    file = {"files": ("a.mp3", TECHNO.read_bytes())}
    for host, origin in [(EVIL, f"http://{EVIL}"), (own, "http://evil.example")]:
        headers = {"Host": host, "Origin": origin}
        for path in ("/gradio_api/upload", "/gradio_api/queue/join", "/gradio_api/mcp/", "/api/v1/analyze"):
            assert httpx.post(f"{url}{path}", headers=headers, files=file).status_code == 403, path
        for path in ("/live", "/api/v1/live"):
            assert opening(url, path, host, origin) == 403
    for path in ("/", "/config", "/api/v1/models", "/static/fluxbeat/fluxbeat.js"):
        assert httpx.get(f"{url}{path}", headers={"Host": EVIL}).status_code == 403
        assert httpx.get(f"{url}{path}").status_code == 200
    assert httpx.post(f"{url}/gradio_api/upload", headers={"Origin": url}, files=file).status_code == 200
    for path in ("/live", "/api/v1/live"):
        assert opening(url, path, own, url) == 101


@pytest.fixture(scope="module")
def public() -> Iterator[str]:
    """A server as a Space or a container has it: all addresses, and a proxy in front that has the public name."""
    yield from running("fluxbeat", "serve", "--api-only", "--host", "0.0.0.0", "--port", str(free_port()))


def test_server_for_everyone_answers_to_the_names_of_its_proxy(public: str):
    headers = {"Host": "owner-space.hf.space", "Origin": "https://owner-space.hf.space"}
    with TECHNO.open("rb") as file:
        sent = httpx.post(f"{public}/api/v1/analyze?model=cnn", headers=headers, files={"file": file}, timeout=60)
    assert sent.status_code == 200
    assert opening(public, "/api/v1/live", headers["Host"], headers["Origin"]) == 101
