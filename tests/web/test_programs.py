"""Programs, by gradio_client and over MCP: what they may name as a recording, and that no address is ever asked."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from test_api_served import analysis_of, asked_of_gradio, free_port, running
from test_load import silence
from web_driving import ROOT, TECHNO

from fluxbeat import analyze
from fluxbeat.errors import AudioDecodeError, ConfigMismatchError, FluxBeatError
from fluxbeat.models.registry import load
from fluxbeat.web.programs import Programs, mcp_wanted
from fluxbeat.web.service import Service
from fluxbeat.web.settings import WebSettings, read_settings

if os.environ.get("CI") != "true":  # the extra test brings it
    pytest.importorskip("mcp", reason="pip install 'fluxbeat[mcp]'")
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

MCP = "gradio_api/mcp/"
RESOLVER = '''
import os, socket, sys

NOTES, plain = os.environ["NOTES"], socket.getaddrinfo


def note(asked):
    with open(NOTES, "a") as notes:
        print(asked, file=notes)


def look_up(host, port, *rest, **named):
    """Every name has an address that looks public; what the server listens to is no name."""
    if host in (None, "127.0.0.1"):
        return plain(host, port, *rest, **named)
    note(host)
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port or 0))]


def watch(event, details):
    if event == "socket.connect" and isinstance(details[1], tuple) and details[1][0] != "127.0.0.1":
        note(details[1][0])
        raise ConnectionRefusedError("nothing outside is to be asked")


socket.getaddrinfo = look_up
sys.addaudithook(watch)
'''
"""Loaded by the server's Python at its start: a resolver of its own, and a list of all that it asks outside."""


def address_of(content: bytes) -> str:
    return f"data:audio/mpeg;base64,{base64.b64encode(content).decode()}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders `open, one` and `two`, which programs may read, and beside them what is nobody's business."""
    place = tmp_path_factory.mktemp("place")
    for path in ("open, one/sub/Sö ng #1.mp3", "two/other.mp3", "secret/song.mp3", "open, one too/song.mp3"):
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TECHNO, place / path)
    (place / "open, one" / "link.mp3").symlink_to(place / "secret" / "song.mp3")
    (place / "open, one" / "linked").symlink_to(place / "secret")
    (place / "open, one" / "within.mp3").symlink_to(place / "two" / "other.mp3")
    (place / "open, one" / "round.mp3").symlink_to(place / "open, one" / "round.mp3")
    (place / "open, one" / "LICENSE").write_text("no music")
    return place


@pytest.fixture(scope="module")
def folders(place: Path) -> str:
    return os.pathsep.join(str(place / name) for name in ("open, one", "two"))


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the server asked outside of this machine."""
    return tmp_path_factory.mktemp("notes") / "asked"


@pytest.fixture(scope="module")
def site(folders: str, notes: Path) -> Iterator[str]:
    (notes.parent / "sitecustomize.py").write_text(RESOLVER)
    paths = os.pathsep.join(map(str, (notes.parent, ROOT)))
    yield from running(
        "fluxbeat", "serve", "--port", str(free_port()),
        FLUXBEAT_FOLDERS=folders, NOTES=str(notes), PYTHONPATH=paths, HF_HUB_OFFLINE="0",
    )  # fmt: skip


def in_a_thread(talk: Callable[[], Any]) -> Any:
    """Where a browser of this process is open, its thread already runs an event loop."""
    with ThreadPoolExecutor(1) as alone:
        return alone.submit(asyncio.run, talk()).result()


def over_mcp(site: str, tool: str, told: Any = None, **arguments: Any) -> Any:
    async def talk() -> Any:
        async with (
            streamable_http_client(f"{site}/{MCP}") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await session.call_tool(tool, arguments, progress_callback=told)

    return in_a_thread(talk)


def by_mcp(site: str, file: str) -> Any:
    """What MCP says, as JSON; `FluxBeatError` where it refuses."""
    answer = over_mcp(site, "analyze", file=file, model="cnn")
    if answer.isError:
        raise FluxBeatError(answer.content[0].text)
    return json.loads(answer.content[0].text)


gradio_client = cache(lambda site: Client(site, verbose=False))


def by_gradio_client(site: str, file: Any) -> Any:
    try:
        return gradio_client(site).predict(file, "cnn", api_name="/analyze")
    except AppError as error:
        raise FluxBeatError(str(error)) from error


WAYS = pytest.mark.parametrize("asked", [by_mcp, by_gradio_client])


def test_tools_say_what_they_take(site: str, place: Path) -> None:
    async def talk() -> Any:
        async with (
            streamable_http_client(f"{site}/{MCP.rstrip('/')}") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return (await session.list_tools()).tools

    tools = {tool.name: tool for tool in in_a_thread(talk)}
    assert set(tools) == {"analyze", "compare"}
    for tool in tools.values():
        assert f"below {place / 'open, one'} or below {place / 'two'}" in tool.description
        assert "all, cnn, crnn, vit" in tool.description
        assert tool.inputSchema["required"] == ["file"]


def test_tools_give_the_json_of_the_service(site: str) -> None:
    shares: list[float] = []

    async def told(share: float, whole: float | None, doing: str | None) -> None:
        shares.append(share)

    analysed = over_mcp(site, "analyze", told, file=address_of(TECHNO.read_bytes()), tempo_bpm=65)
    expected = analysis_of(site, tempo_bpm="65")
    assert json.loads(analysed.content[0].text) == {**expected, "file": "audio data"}
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    compared = over_mcp(site, "compare", file=address_of(TECHNO.read_bytes()), models=["vit", "cnn"])
    assert [each["model"]["name"] for each in json.loads(compared.content[0].text)] == ["vit", "cnn"]
    refused = over_mcp(site, "analyze", file=address_of(TECHNO.read_bytes()), model="oracle")
    assert refused.isError
    assert "no model 'oracle': there are all, cnn, crnn, vit" in refused.content[0].text
    elsewhere = over_mcp(site, "analyze", file=address_of(TECHNO.read_bytes()), model="hf://owner/repo")
    assert elsewhere.isError, "a tool names a model and never has one fetched"
    assert "no model 'hf://owner/repo'" in elsewhere.content[0].text


@WAYS
def test_a_song_below_the_folders_is_analysed_where_it_lies(site: str, place: Path, asked: Any) -> None:
    expected = {**analysis_of(site, model="cnn"), "file": "Sö ng #1.mp3"}
    song = place / "open, one" / "sub" / "Sö ng #1.mp3"
    for named in (str(song), song.as_uri(), "sub/Sö ng #1.mp3", f"{place}/two/../open, one/sub/Sö ng #1.mp3"):
        assert asked(site, named) == expected, named
    for named in ("within.mp3", "other.mp3"):
        assert asked(site, named)["file"] == "other.mp3"
    with pytest.raises(FluxBeatError, match='"LICENSE" is damaged or not an audio file'):
        asked(site, "LICENSE")


@WAYS
def test_nothing_else_is_opened(site: str, place: Path, asked: Any) -> None:
    """By whatever name, and in the same words whether or not there is such a file."""
    secret = place / "secret" / "song.mp3"
    named = [
        str(secret), secret.as_uri(), f"file://elsewhere{secret}.mp3", "../secret/song.mp3", "link.mp3",
        "linked/song.mp3", str(place / "open, one" / "linked" / "song.mp3"), str(place / "open, one too" / "song.mp3"),
        str(place / "secret" / "none.mp3"), "none.mp3", "sub", str(place / "two"), "round.mp3", "a\0b", "x" * 5000, "",
        "/proc/self/environ", "/dev/zero", f"/gradio_api/file={secret}", f"{site}/gradio_api/file={secret}",
        f"{site}/gradio_api/file=%2e%2e/%2e%2e{secret}", "data:audio/mpeg;base64,?", "-", "pipe:0",
    ]  # fmt: skip
    for name in named:
        with pytest.raises(FluxBeatError) as refused:
            asked(site, name)
        assert "no recording " in str(refused.value), name
        assert f"name a file below {place / 'open, one'} or " in str(refused.value)


def test_a_song_is_analysed_by_upload_whatever_it_weighs(site: str, tmp_path: Path) -> None:
    """MCP's own limit is 4 MiB of text, which is less than most songs are."""
    expected = {**analysis_of(site, model="cnn"), "file": TECHNO.name}
    path = httpx.post(f"{site}/gradio_api/upload", files={"files": (TECHNO.name, TECHNO.read_bytes())}).json()[0]
    for named in (path, f"{site}/gradio_api/file={path}", f"https://elsewhere.example/gradio_api/file={path}"):
        assert by_mcp(site, named) == expected
    assert by_gradio_client(site, handle_file(TECHNO)) == expected
    noise = io.BytesIO()
    soundfile.write(noise, np.random.default_rng(0).normal(0, 0.1, 6_000_000), 44_100, format="WAV")
    assert by_mcp(site, address_of(noise.getvalue()))["duration_s"] == pytest.approx(6_000_000 / 44_100, abs=0.001)
    too_much = httpx.post(f"{site}/{MCP}", content=bytes((64 << 20) + 1), headers={"Accept": "application/json"})
    assert too_much.status_code == 413


ADDRESSES = [
    "http://music.example/song.mp3", "https://music.example/song.mp3", "http://93.184.216.34/song.mp3",
    "http://127.0.0.1:9/song.mp3", "HTTP://music.example/song.mp3", "ftp://music.example/song.mp3",
    "//music.example/song.mp3", "http://huggingface.co/song.mp3", "file://music.example/song.mp3",
]  # fmt: skip


def test_no_address_is_looked_up_or_fetched_whoever_names_it(site: str, notes: Path) -> None:
    """Not even one that a resolver calls public: neither by a tool, nor by any function of the page."""
    for address in ADDRESSES:
        for asked in (by_mcp, by_gradio_client):
            with pytest.raises(FluxBeatError, match="no recording"):
                asked(site, address)
    config = httpx.get(f"{site}/config").json()
    file_like = {each["id"] for each in config["components"] if each["type"] in ("audio", "file", "uploadbutton")}
    takes_file = [
        each
        for each in config["dependencies"]
        if set(each["inputs"]) & file_like or each["api_name"] in ("analyze", "compare")
    ]
    assert len(takes_file) >= 5
    for address in ADDRESSES:
        for more in ({}, {"url": address}, {"is_stream": True}):
            file = {"path": address, "meta": {"_type": "gradio.FileData"}, **more}
            for function in takes_file:
                data = [file if position == 0 else None for position in range(len(function["inputs"]))]
                answer = json.loads(asked_of_gradio(site, function["id"], data).removeprefix("data: "))
                # what is called a stream Gradio hands on as it came, and then there is no such file
                assert not answer["success"] or "is_stream" in more, (function["api_name"], file)
        with pytest.raises(AudioDecodeError, match="does not exist"):
            analyze(address, "cnn")
    assert not notes.exists() or notes.read_text() == ""


def test_a_client_that_leaves_is_computed_no_further(site: str) -> None:
    arguments = {"file": address_of(silence(120)), "model": "vit"}
    call = {
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "analyze", "arguments": arguments, "_meta": {"progressToken": "p"}},
    }  # fmt: skip
    taken = {"Accept": "application/json, text/event-stream"}
    with httpx.stream("POST", f"{site}/{MCP}", json=call, headers=taken, timeout=60) as answer:
        lines = answer.iter_lines()  # whose end would be the client's leaving
        assert any("listening" in line for line in lines)
        assert httpx.get(f"{site}/api/v1/health").json()["running"] == 1
    end_s = time.monotonic() + 20
    while httpx.get(f"{site}/api/v1/health").json()["places_taken"]:
        assert time.monotonic() < end_s, "it goes on for nobody"
        time.sleep(0.1)


def test_a_desktop_client_starts_it_with_the_folders_it_may_read(place: Path) -> None:
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "fluxbeat", "mcp", str(place / "two")], cwd=ROOT, env=dict(os.environ)
    )

    async def talk() -> Any:
        async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            named = ("other.mp3", str(place / "secret" / "song.mp3"), "http://music.example/song.mp3")
            return [await session.call_tool("analyze", {"file": each, "model": "cnn"}) for each in named]

    analysed, *refused = in_a_thread(talk)
    assert json.loads(analysed.content[0].text)["file"] == "other.mp3"
    assert all(answer.isError and "no recording" in answer.content[0].text for answer in refused)


def test_no_folder_is_open_unless_it_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    closed = Programs(Service(WebSettings(), {"cnn": load("cnn")}))
    monkeypatch.chdir(place / "two")
    for named in ("other.mp3", str(place / "two" / "other.mp3")):
        with pytest.raises(FluxBeatError, match="FLUXBEAT_FOLDERS"):
            closed.recording(named)


def test_folders_are_read_from_the_environment(place: Path, folders: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUXBEAT_FOLDERS", folders)
    monkeypatch.setenv("HOME", str(place / "two"))
    assert read_settings().folders == (place / "open, one", place / "two")
    assert read_settings(folders=["~"]).folders == (place / "two",)
    monkeypatch.setenv("FLUXBEAT_FOLDERS", str(place / "nowhere"))
    with pytest.raises(ConfigMismatchError, match="FLUXBEAT_FOLDERS makes no sense.*nowhere"):
        read_settings()


def test_mcp_is_offered_where_it_is_installed_unless_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"mcp": "1.30.0"}

    def found(package: str) -> str:
        if package not in installed:
            raise PackageNotFoundError(package)
        return installed[package]

    monkeypatch.setattr("fluxbeat.web.programs.version", found)
    assert mcp_wanted(None)
    assert mcp_wanted(True)
    assert not mcp_wanted(False)
    installed.clear()
    assert not mcp_wanted(None)
    with pytest.raises(ConfigMismatchError, match=r"pip install 'fluxbeat\[mcp\]'"):
        mcp_wanted(True)
