"""The WebSocket /api/v1/live: music in as PCM, predictions out; what is wrong gets a clear answer and a close code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from fluxbeat.analysis.engine import analyze
from fluxbeat.audio.decoding import load_audio
from fluxbeat.models.registry import checkpoints_folder, load
from fluxbeat.web import live_socket
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.api import build_site
from fluxbeat.web.api.routes.live import router
from fluxbeat.web.live_socket import Ending, LiveSessions, UnreadSound
from fluxbeat.web.service import Service, start_service
from fluxbeat.web.settings import WebSettings
from fluxbeat.web.ui.app_shell import add_page
from fluxbeat.web.ui.example_tracks import FOLDER

METAL = FOLDER / "metal_muldjord_chaos_god.mp3"
ADDRESS = "/api/v1/live"
MODELS = {name: load(name) for name in ("cnn", "crnn", "vit")}
MICROPHONE = {"sample_rate_hz": 48_000, "channels": 1, "format": "s16le", "model": "cnn"}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = FastAPI()
    app.state.service = Service(WebSettings(), MODELS)
    app.include_router(router, prefix="/api/v1")
    with TestClient(app) as opened:
        yield opened


@pytest.fixture(scope="module")
def pcm() -> bytes:
    """Ten seconds of metal as a microphone gives them."""
    samples = load_audio(METAL, sample_rate_hz=48_000).samples[: 10 * 48_000]
    return np.round(samples * 32_767).astype("<i2").tobytes()


@contextmanager
def talking(client: TestClient, settings: Any = None, **headers: str) -> Iterator[Any]:
    with client.websocket_connect(ADDRESS, headers=headers) as socket:
        socket.send_text(json.dumps(MICROPHONE if settings is None else settings))
        yield socket


def ending(socket: Any) -> tuple[dict[str, Any], int]:
    """The last message, and the code of the close that follows it."""
    message = socket.receive_json()
    with pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_json()
    return message, closed.value.code


def until_end(socket: Any) -> list[dict[str, Any]]:
    messages = []
    while (message := socket.receive_json())["type"] == "prediction":
        messages.append(message)
    assert message == {"type": "end"}
    return messages


def test_metal_is_analysed_as_metal_while_it_plays(client: TestClient, pcm: bytes) -> None:
    with talking(client) as socket:
        ready = socket.receive_json()
        assert ready["type"] == "ready"
        assert ready["model"]["name"] == "cnn"
        assert "metal" in ready["labels"]
        assert (ready["window_s"], ready["hop_s"]) == (10.0, 0.5)
        messages = []
        for at in range(0, len(pcm), 96_000):
            socket.send_bytes(pcm[at : at + 96_000])
            if at >= 96_000:
                messages.append(socket.receive_json())
        socket.send_text('{"type": "stop"}')
        messages += until_end(socket)
        assert ending_code(socket) == 1000
    assert list(messages[-1]) == [
        "type", "start_s", "end_s", "probability", "bpm", "rival_bpm", "level_db", "silence", "kind", "warnings",
        "dropped_s",
    ]  # fmt: skip
    assert messages[-1]["end_s"] == pytest.approx(10.0, abs=0.1)
    assert max(messages[-1]["probability"], key=messages[-1]["probability"].get) == "metal"
    assert not messages[-1]["silence"]
    assert messages[-1]["dropped_s"] == 0.0
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32_768
    whole = analyze((samples, 48_000), "cnn").timeline
    assert messages[-1]["probability"]["metal"] == pytest.approx(
        whole.probability[-1][whole.labels.index("metal")], abs=0.02
    )


def ending_code(socket: Any) -> int:
    with pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_json()
    return int(closed.value.code)


def test_stereo_floats_are_understood(client: TestClient) -> None:
    samples = load_audio(METAL, sample_rate_hz=44_100).samples[: 4 * 44_100]
    stereo = np.repeat(samples[:, None], 2, axis=1).astype("<f4")
    with talking(client, {"sample_rate_hz": 44_100, "channels": 2, "format": "f32le", "hop_s": 0.9}) as socket:
        assert socket.receive_json()["model"]["name"] == "crnn"
        for at in range(0, len(stereo), 44_100):
            socket.send_bytes(stereo[at : at + 44_100].tobytes())
        socket.send_text('{"type": "stop"}')
        messages = until_end(socket)
    assert messages[-1]["end_s"] == pytest.approx(4.0, abs=0.1)
    assert messages[-1]["probability"]["metal"] > 0.5


@pytest.mark.parametrize("address", [ADDRESS, "/live"])
def test_a_model_that_only_the_hub_has_is_analysed_live_where_the_server_offers_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str
) -> None:
    """The REST service's address and the page's own take the names that $FLUXBEAT_HUB_REPO adds."""
    shutil.copytree(checkpoints_folder() / "cnn", tmp_path / "club")
    offered = [load("cnn"), load(tmp_path / "club")]
    monkeypatch.setattr("fluxbeat.web.service.load_all", lambda: offered)
    service = start_service(WebSettings())
    site = add_page(build_site(service), service)
    for model in ("club", "vit"):
        with TestClient(site).websocket_connect(address) as socket:
            socket.send_text(json.dumps({**MICROPHONE, "model": model}))
            answer = socket.receive_json()
        if model == "club":
            assert (answer["type"], answer["model"]["name"]) == ("ready", "club")
        else:
            assert answer["message"] == "model: expected one of cnn, club"


def test_silence_says_so(client: TestClient) -> None:
    with talking(client) as socket:
        socket.receive_json()
        socket.send_bytes(bytes(3 * 96_000))
        answer = socket.receive_json()
    assert answer["silence"]
    assert answer["level_db"] == -120.0
    assert answer["bpm"] is None
    assert not any(answer["probability"].values())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "sample_rate_hz: Field required"),
        ({**MICROPHONE, "sample_rate_hz": 100}, "sample_rate_hz: Input should be greater than or equal to 8000"),
        ({**MICROPHONE, "channels": 9}, "channels: Input should be less than or equal to 8"),
        ({**MICROPHONE, "format": "mp3"}, "format: Input should be 'f32le' or 's16le'"),
        ({**MICROPHONE, "model": "../secret"}, "model: expected one of cnn, crnn, vit"),
        ({**MICROPHONE, "hop_s": 0}, "hop_s: Input should be greater than or equal to 0.25"),
        ({**MICROPHONE, "colour": "red"}, "colour: Extra inputs are not permitted"),
        ([1, 2], "settings: Input should be an object"),
    ],
)
def test_senseless_settings_are_refused(client: TestClient, settings: Any, words: str) -> None:
    with talking(client, settings) as socket:
        message, code = ending(socket)
    assert message == {"type": "error", "code": 1008, "message": message["message"]}
    assert message["message"] == words
    assert code == 1008


def test_what_is_no_json_no_text_or_too_long_is_refused(client: TestClient) -> None:
    for send, words, code in (
        (lambda socket: socket.send_text("hello"), "Invalid JSON", 1008),
        (lambda socket: socket.send_bytes(b"\0\0"), "first message must be text", 1003),
        (lambda socket: socket.send_text(" " * 5000), "4,096 characters, got 5,000", 1009),
    ):
        with client.websocket_connect(ADDRESS) as socket:
            send(socket)
            message, closed = ending(socket)
        assert words in message["message"]
        assert closed == message["code"] == code


def test_wrong_sound_is_refused(client: TestClient, pcm: bytes) -> None:
    floats = {**MICROPHONE, "format": "f32le"}
    for settings, piece, words, code in (
        (MICROPHONE, pcm[:999], "whole frames of 2 bytes, got 999 bytes", 1007),
        (MICROPHONE, bytes(2**20 + 2), "1,048,576 bytes, got 1,048,578", 1009),
        (floats, b"\x00\x00\xc0\x7f" * 48_000, "48,000 samples that are NaN", 1007),
        (MICROPHONE, "play it again", 'only PCM and {"type": "stop"} are understood', 1003),
    ):
        with talking(client, settings) as socket:
            socket.receive_json()
            socket.send_text(piece) if isinstance(piece, str) else socket.send_bytes(piece)
            message, closed = ending(socket)
        assert words in message["message"]
        assert closed == message["code"] == code


def test_who_says_nothing_is_let_go(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_socket, "SETTINGS_WAIT_S", 0.2)
    monkeypatch.setattr(live_socket, "SOUND_WAIT_S", 0.2)
    with client.websocket_connect(ADDRESS) as socket:
        message, code = ending(socket)
        assert (message["message"], code) == ("no settings came within 0.2 s: send them as JSON first", 1008)
    with talking(client) as socket:
        socket.receive_json()
        message, code = ending(socket)
        assert (message["message"], code) == ("no sound came for 0.2 s: send silence to stay connected", 1008)


def test_there_is_room_for_so_many_and_places_are_given_back() -> None:
    app, sessions = FastAPI(), LiveSessions(AnalysisQueue(1, 0), most=2)

    @app.websocket(ADDRESS)
    async def live(socket: WebSocket) -> None:
        await sessions.serve(socket, MODELS)

    with TestClient(app) as client:
        for _ in range(3):
            with talking(client) as one, talking(client) as other:
                one.receive_json()
                other.receive_json()
                with client.websocket_connect(ADDRESS) as third:
                    message, code = ending(third)
                assert "2 others are listening already" in message["message"]
                assert code == 1013
                # a place comes back whoever ends the conversation: the server here, the client at the end
                other.send_bytes(b"\0")
                assert ending(other)[1] == 1007


def test_sound_that_comes_too_fast_loses_its_oldest_part() -> None:
    async def flood() -> tuple[tuple[bytes, int] | None, ...]:
        waiting = UnreadSound(most_frames=10, frame_bytes=2)
        for number in range(5):
            waiting.add(bytes([number] * 8))
        first = await waiting.take()
        waiting.add(bytes(range(40)))
        second = await waiting.take()
        waiting.add(b"ab")
        waiting.end(Ending(1000))
        return first, second, await waiting.take(), await waiting.take()

    first, second, third, last = anyio.run(flood)
    assert first == (bytes([2] * 4 + [3] * 8 + [4] * 8), 10)
    assert second == (bytes(range(20, 40)), 10)
    assert third == (b"ab", 0)
    assert last is None


def test_a_flood_is_answered_about_its_end_and_says_what_was_dropped(client: TestClient, pcm: bytes) -> None:
    """Forty seconds at once: at most five wait, the clock counts all of them."""
    with talking(client) as socket:
        socket.receive_json()
        for _ in range(4):
            for at in range(0, len(pcm), 960_000):
                socket.send_bytes(pcm[at : at + 960_000])
        socket.send_text('{"type": "stop"}')
        messages = until_end(socket)
    assert messages[-1]["end_s"] == pytest.approx(40.0, abs=0.2)
    assert all(before["dropped_s"] <= after["dropped_s"] for before, after in pairwise(messages))
    assert 0 < messages[-1]["dropped_s"] < 40
    assert messages[-1]["probability"]["metal"] > 0.5
