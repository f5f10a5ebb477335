"""The REST service: the same answers as the command line, every error a problem document, every limit kept."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import schemathesis
import soundfile
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from web_driving import CHANGE, ROOT, TECHNO

from fluxbeat import __version__
from fluxbeat.analysis import Progress
from fluxbeat.api import PREFIX, ApiSettings, build_api_alone, settings_from
from fluxbeat.api.contract import AnalysisDocument
from fluxbeat.api.routes import analysis as analysis_routes
from fluxbeat.cli import main
from fluxbeat.errors import ConfigMismatchError
from fluxbeat.zoo import bundled_names

PLAIN = build_api_alone(ApiSettings())
PROBLEM = "application/problem+json"
LINES = {"Accept": "application/x-ndjson"}


def clicks(duration_s: float, rate_hz: int = 8000) -> bytes:
    """A WAV file with a click every half second."""
    t = np.arange(round(duration_s * rate_hz)) / rate_hz
    file = io.BytesIO()
    soundfile.write(file, 0.5 * np.sin(2 * np.pi * 220 * t) * (t % 0.5 < 0.05), rate_hz, format="WAV")
    return file.getvalue()


@pytest.fixture(autouse=True)
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where uploads go; nothing of them may be left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert not list(tmp_path.glob("fluxbeat-upload-*"))


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://test{PREFIX}", timeout=120)


def ask(method: str, path: str, app: FastAPI = PLAIN, **request: Any) -> httpx.Response:
    async def once() -> httpx.Response:
        async with client(app) as asking:
            return await asking.request(method, path, **request)

    return asyncio.run(once())


def send(path: str, content: bytes, name: str = "song.mp3", app: FastAPI = PLAIN, **request: Any) -> httpx.Response:
    return ask("POST", path, app, files={"file": (name, content)}, **request)


def refused(response: httpx.Response, status: int) -> str:
    """The sentence of a problem document."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    problem = response.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["type"] == "about:blank"
    return str(problem["detail"])


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


# ---- the same answers


@pytest.mark.parametrize("model", bundled_names())
def test_analyze_answers_what_the_command_line_prints(model, capsys):
    answered = send(f"/analyze?model={model}", CHANGE.read_bytes(), CHANGE.name)
    assert answered.status_code == 200
    assert answered.json() == printed(capsys, "analyze", str(CHANGE), "--model", model)


def test_hop_is_the_command_lines_hop(capsys):
    answered = send("/analyze?model=cnn&hop_s=2.5", TECHNO.read_bytes(), TECHNO.name).json()
    assert answered == printed(capsys, "analyze", str(TECHNO), "--model", "cnn", "--hop", "2.5")
    assert answered["timeline"]["hop_s"] == 2.5


def test_compare_answers_what_the_command_line_prints(capsys):
    answered = send("/compare", TECHNO.read_bytes(), TECHNO.name).json()
    assert [each["model"]["name"] for each in answered] == bundled_names()
    assert answered == printed(capsys, "compare", str(TECHNO))
    some = send("/compare?model=vit&model=cnn&model=vit", TECHNO.read_bytes(), TECHNO.name).json()
    assert some == [answered[2], answered[0]]


def test_models_are_what_the_command_line_lists(capsys):
    listed = ask("GET", "/models").json()
    assert listed == printed(capsys, "models")
    assert all(model["licence"] == "mit" and 0.3 < model["tempo_accuracy"]["value"] < 1 for model in listed)


def test_labels_say_which_model_names_them():
    labels = {entry["label"]: entry["models"] for entry in ask("GET", "/labels").json()}
    assert {"rock", "jazz", "classical", "electronic"} < set(labels)
    assert [known["model"] for known in labels["rock"]] == bundled_names()
    assert all(0 < known["threshold"] < 1 for models in labels.values() for known in models)


def test_health_says_ready_and_version():
    health = ask("GET", "/health").json()
    assert health == {
        "status": "ready", "version": __version__, "models": bundled_names(), "running": 0, "places_taken": 0,
    }  # fmt: skip


def test_typed_contract_is_exactly_the_engines_json():
    answered = send("/analyze?model=cnn", CHANGE.read_bytes()).json()
    assert AnalysisDocument.model_validate(answered).model_dump() == answered
    assert list(AnalysisDocument.model_validate(answered).model_dump()) == list(answered)
    with pytest.raises(ValueError, match="extra"):
        AnalysisDocument.model_validate({**answered, "mood": "sunny"})


def test_name_of_the_file_is_kept_and_its_folders_are_not():
    content = TECHNO.read_bytes()
    assert send("/analyze?model=cnn", content, "Sö'ng & co – 1.mp3").json()["file"] == "Sö'ng & co – 1.mp3"
    assert send("/analyze?model=cnn", content, "../../etc/passwd").json()["file"] == "passwd"
    assert send("/analyze?model=cnn", content, "x.raw").json()["file"] == "x.raw"


def test_silence_is_answered_with_a_warning_and_no_tempo():
    file = io.BytesIO()
    soundfile.write(file, np.zeros(10 * 8000), 8000, format="FLAC")
    answered = send("/analyze?model=cnn", file.getvalue()).json()
    assert answered["tempo"]["bpm"] is None
    assert any("silent" in warning for warning in answered["warnings"])


def test_eight_at_once_are_answered_as_one_after_the_other():
    recordings = [(TECHNO.read_bytes(), "cnn"), (CHANGE.read_bytes(), "crnn"), (clicks(20), "cnn"), (clicks(9), "vit")]
    one_by_one = [send(f"/analyze?model={model}", content).json() for content, model in recordings]

    async def together() -> list[Any]:
        async with client(PLAIN) as asking:
            answers = await asyncio.gather(
                *(
                    asking.post(f"/analyze?model={model}", files={"file": ("song.mp3", content)})
                    for content, model in recordings * 2
                )
            )
        return [each.json() for each in answers]

    assert asyncio.run(together()) == one_by_one * 2


# ---- progress


def test_long_recording_tells_its_progress_line_by_line():
    content = clicks(600)
    answered = send("/analyze?model=cnn", content, headers=LINES)
    assert answered.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answered.text.splitlines()]
    shares = [line["progress"] for line in lines[:-1]]
    assert len(shares) >= 3
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] <= 1
    assert lines[0]["doing"] == "waiting for its turn"
    assert {"listening", "asking the cnn model"} & {line["doing"] for line in lines[:-1]}
    assert lines[-1] == {"result": send("/analyze?model=cnn", content).json()}


def test_progress_that_ends_badly_ends_with_the_problem():
    answered = send("/analyze", b"no music", headers=LINES)
    assert answered.status_code == 200
    last = json.loads(answered.text.splitlines()[-1])
    assert last["problem"]["status"] == 422
    assert "not an audio file" in last["problem"]["detail"]


def test_no_progress_for_who_cannot_be_given_an_answer():
    assert "oracle" in refused(send("/analyze?model=oracle", clicks(5), headers=LINES), 404)


# ---- what cannot be answered


def test_not_audio_is_named_with_a_cure():
    detail = refused(send("/analyze", b"these are not the sounds you are looking for", "notes.mp3"), 422)
    assert detail.startswith('"notes.mp3" is damaged or not an audio file: choose a music file')
    assert "empty (0 bytes)" in refused(send("/compare", b""), 422)


def test_too_long_a_recording_is_refused_with_the_limit():
    strict = build_api_alone(ApiSettings(max_duration_s=10))
    assert send("/analyze?model=cnn", clicks(9.9), app=strict).status_code == 200
    detail = refused(send("/analyze?model=cnn", clicks(11), app=strict), 422)
    assert "is 0:00:11 long: the limit is 0:00:10" in detail


@pytest.mark.parametrize(
    "name", ["oracle", "checkpoints/cnn", "../checkpoints/cnn", "/etc", "hf://owner/repo@main", ""]
)
def test_models_are_only_the_bundled_ones(name):
    detail = refused(send("/analyze", TECHNO.read_bytes(), params={"model": name}), 404)
    assert "there are cnn, crnn, vit" in detail
    refused(send("/compare", TECHNO.read_bytes(), params={"model": ["cnn", name]}), 404)


@pytest.mark.parametrize("hop_s", ["0", "0.01", "601", "nan", "inf", "-1", "soon", ""])
def test_hop_out_of_range_names_the_parameter(hop_s):
    response = send("/analyze", TECHNO.read_bytes(), params={"hop_s": hop_s})
    assert "query.hop_s" in refused(response, 422)
    assert [each["where"] for each in response.json()["errors"]] == ["query.hop_s"]


def test_missing_file_says_which_field():
    for request in ({}, {"content": b"abc"}, {"data": {"file": "text"}}, {"files": {"track": ("a.mp3", b"abc")}}):
        assert "body.file" in refused(ask("POST", "/analyze", **request), 422)
    headers = {"content-type": "multipart/form-data"}
    refused(ask("POST", "/analyze", content=b"no boundary", headers=headers), 400)


def test_unknown_places_and_methods_are_problems_too():
    assert refused(ask("GET", "/nowhere"), 404) == "there is nothing at /api/v1/nowhere"
    assert refused(ask("GET", "/../../nowhere"), 404) == "there is nothing at /nowhere"
    response = ask("GET", "/analyze")
    assert refused(response, 405) == "GET is not possible here"
    assert response.headers["allow"] == "POST"


def test_crash_is_a_problem_that_tells_nothing_of_the_server(monkeypatch):
    def crash(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(analysis_routes, "analyze", crash)

    async def once(**headers: str) -> httpx.Response:
        transport = httpx.ASGITransport(PLAIN, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://test{PREFIX}") as asking:
            return await asking.post("/analyze", files={"file": ("a.wav", clicks(5))}, headers=headers)

    assert "secret" not in refused(asyncio.run(once()), 500)
    last = json.loads(asyncio.run(once(**LINES)).text.splitlines()[-1])
    assert last["problem"]["status"] == 500
    assert "secret" not in str(last)


# ---- limits


def asgi(
    app: FastAPI, headers: dict[str, str], receive: Callable[[], Any], path: str = "/analyze?model=cnn", kind="http"
):
    """One request by hand: what the service sent, until it is done."""
    sent: list[dict[str, Any]] = []

    async def keep(message: dict[str, Any]) -> None:
        sent.append(message)

    path, _, query = (PREFIX + path).partition("?")
    scope = {
        "type": kind, "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "scheme": "http",
        "method": "POST", "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1), "server": ("test", 80), "subprotocols": [],
    }  # fmt: skip

    async def go() -> list[dict[str, Any]]:
        await asyncio.wait_for(app(scope, receive, keep), 60)
        return sent

    return go()


def status(sent: list[dict[str, Any]]) -> int:
    return int(sent[0]["status"])


FORM = {"content-type": "multipart/form-data; boundary=b"}
HEAD = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
TAIL = b"\r\n--b--\r\n"


def test_announced_size_over_the_limit_is_refused_before_the_body_is_read():
    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was asked for")

    small = build_api_alone(ApiSettings(max_body_bytes=1000))
    sent = asyncio.run(asgi(small, {**FORM, "content-length": "1001"}, receive))
    assert status(sent) == 413
    assert json.loads(sent[1]["body"])["detail"].startswith("at most 1,000 bytes")


def test_unannounced_size_is_counted_and_reading_stops_at_the_limit():
    read = 0

    async def receive() -> dict[str, Any]:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": HEAD if read == 1 else b"x" * 10_000, "more_body": True}

    small = build_api_alone(ApiSettings(max_body_bytes=100_000))
    assert status(asyncio.run(asgi(small, FORM, receive))) == 413
    assert read == 11
    assert "at most 100,000 bytes" in refused(send("/analyze", bytes(100_001), app=small), 413)


def test_upload_that_stands_still_is_given_up():
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(30)
        return {"type": "http.request", "body": HEAD, "more_body": True}

    began = time.monotonic()
    impatient = build_api_alone(ApiSettings(upload_pause_s=0.2))
    assert status(asyncio.run(asgi(impatient, FORM, receive))) == 408
    assert time.monotonic() - began < 5


class Held:
    """An analysis that goes on until it is let go, and knows how many go on at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.release, self.cancelled = threading.Event(), threading.Event(), threading.Event()
        self.now, self.most = 0, 0
        self.paths: list[str] = []
        self._lock = threading.Lock()
        self._analyze = analysis_routes.analyze
        monkeypatch.setattr(analysis_routes, "analyze", self)

    def __call__(self, path: str, *arguments: Any, progress: Progress, **options: Any) -> Any:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.paths.append(path)
        self.begun.set()
        try:
            while not self.release.wait(0.01):
                progress(0.5, "holding")
        except BaseException:
            self.cancelled.set()
            raise
        finally:
            with self._lock:
                self.now -= 1
        return self._analyze(path, *arguments, progress=progress, **options)


def test_full_line_sends_the_next_away_and_then_serves_again(monkeypatch):
    held = Held(monkeypatch)
    busy = build_api_alone(ApiSettings(analyses_at_once=1, waiting_at_most=2))

    async def crowd() -> tuple[list[int], httpx.Response, Any]:
        async with client(busy) as asking:
            form = {"file": ("a.wav", clicks(5))}
            first = [asyncio.create_task(asking.post("/analyze?model=cnn", files=form)) for _ in range(3)]
            while (await asking.get("/health")).json()["places_taken"] < 3 or not held.begun.is_set():
                await asyncio.sleep(0.01)
            health = (await asking.get("/health")).json()
            fourth = await asking.post("/analyze?model=cnn", files=form)
            held.release.set()
            served = [(await each).status_code for each in first]
            served.append((await asking.post("/analyze?model=cnn", files=form)).status_code)
            return served, fourth, health

    served, fourth, health = asyncio.run(crowd())
    assert "try again" in refused(fourth, 429)
    assert int(fourth.headers["retry-after"]) > 0
    assert served == [200] * 4
    assert health["running"] == 1
    assert held.most == 1


@pytest.mark.parametrize("headers", [{}, LINES])
def test_client_that_leaves_ends_its_analysis_and_its_file_is_removed(monkeypatch, headers):
    held = Held(monkeypatch)
    alone = build_api_alone(ApiSettings(analyses_at_once=1, waiting_at_most=0))
    messages = iter([{"type": "http.request", "body": HEAD + clicks(5) + TAIL}])

    async def receive() -> dict[str, Any]:
        for message in messages:
            return message
        while not held.begun.is_set():
            await asyncio.sleep(0.01)
        assert Path(held.paths[0]).is_file()
        return {"type": "http.disconnect"}

    asyncio.run(asgi(alone, {**FORM, **headers}, receive))
    assert held.cancelled.is_set()
    assert not Path(held.paths[0]).exists()
    held.release.set()
    assert send("/analyze?model=cnn", clicks(5), app=alone).status_code == 200


def test_client_that_leaves_the_line_is_never_analysed(monkeypatch):
    held = Held(monkeypatch)
    alone = build_api_alone(ApiSettings(analyses_at_once=1, waiting_at_most=1))

    async def scene() -> None:
        async with client(alone) as asking:
            first = asyncio.create_task(asking.post("/analyze?model=cnn", files={"file": ("a.wav", clicks(5))}))
            while not held.begun.is_set():
                await asyncio.sleep(0.01)
            messages = iter([{"type": "http.request", "body": HEAD + clicks(5) + TAIL}])

            async def receive() -> dict[str, Any]:
                for message in messages:
                    return message
                await asyncio.sleep(0.2)
                return {"type": "http.disconnect"}

            await asgi(alone, FORM, receive)
            held.release.set()
            assert (await first).status_code == 200
            assert len(held.paths) == 1

    asyncio.run(scene())


def test_client_that_leaves_while_it_uploads_gives_its_place_back():
    alone = build_api_alone(ApiSettings(analyses_at_once=1, waiting_at_most=0))
    messages = iter([{"type": "http.request", "body": HEAD, "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> dict[str, Any]:
        return next(messages)

    asyncio.run(asgi(alone, FORM, receive))
    assert ask("GET", "/health", alone).json()["places_taken"] == 0


# ---- who may ask

LOCKED = build_api_alone(ApiSettings(key="schlüssel-7"))


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
    opened = build_api_alone(ApiSettings(key="k", cors_origins=("https://page.example",)))
    for answered in (
        ask("GET", "/health", opened, headers=page),
        ask("OPTIONS", "/analyze", opened, headers=preflight),
        ask("GET", "/models", opened, headers=page),
    ):
        assert answered.headers["access-control-allow-origin"] == "https://page.example"
    other = ask("GET", "/health", opened, headers={"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in other.headers


def test_settings_come_from_the_environment():
    given = {
        "FLUXBEAT_API_KEY": " secret ",
        "FLUXBEAT_CORS_ORIGINS": "https://a.example/, https://b.example",
        "FLUXBEAT_MAX_BODY_BYTES": "1000",
        "FLUXBEAT_MAX_DURATION_S": "90.5",
        "FLUXBEAT_ANALYSES_AT_ONCE": "3",
        "FLUXBEAT_WAITING_AT_MOST": "0",
        "FLUXBEAT_UPLOAD_PAUSE_S": "5",
    }
    origins = ("https://a.example", "https://b.example")
    assert settings_from(given) == ApiSettings("secret", origins, 1000, 90.5, 3, 0, 5.0)
    assert settings_from({}) == ApiSettings()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"`{variable}`" in readme for variable in given)
    for limit in (ApiSettings().max_body_bytes, round(ApiSettings().max_duration_s)):
        assert f"({limit:,})" in readme
    for variable, value in [
        ("FLUXBEAT_MAX_BODY_BYTES", "many"), ("FLUXBEAT_ANALYSES_AT_ONCE", "0"), ("FLUXBEAT_MAX_DURATION_S", "nan"),
    ]:  # fmt: skip
        with pytest.raises(ConfigMismatchError, match=f"{variable} must be .*{value}"):
            settings_from({variable: value})


# ---- the description

schema = schemathesis.openapi.from_asgi(f"{PREFIX}/openapi.json", build_api_alone(ApiSettings(max_duration_s=60)))


@schema.parametrize()
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_whatever_is_sent_the_answer_is_the_described_one(case):
    # no schema can say which bytes are music
    case.call_and_validate(excluded_checks=[positive_data_acceptance])


@pytest.mark.parametrize("path", ["/analyze", "/compare"])
def test_answer_to_real_music_is_the_described_one(path):
    case = schema[path]["POST"].Case(body={"file": clicks(12)}, media_type="multipart/form-data", query={"hop_s": 2})
    response = case.call()
    assert response.status_code == 200
    case.validate_response(response)


def test_description_names_keys_problems_and_operations():
    described = ask("GET", "/openapi.json").json()
    assert set(described["paths"]) >= {"/analyze", "/compare", "/models", "/labels", "/health"}
    assert described["servers"] == [{"url": PREFIX}]
    assert set(described["components"]["securitySchemes"]) == {"X-API-Key", "Bearer"}
    post = described["paths"]["/analyze"]["post"]
    assert {"400", "401", "404", "408", "413", "422", "429", "500"} < set(post["responses"])
    for code, response in post["responses"].items():
        assert set(response["content"]) == ({PROBLEM} if code >= "400" else {"application/json", LINES["Accept"]})
    names = [operation["operationId"] for path in described["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))


def test_service_alone_imports_no_gradio():
    check = (
        "import sys; from fluxbeat.server import build_app; build_app(api_only=True); "
        "sys.exit('gradio' in sys.modules or 'fluxbeat.ui' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, env=os.environ, timeout=120).returncode == 0
