"""Page and service on one port, as a real server: what browsers, gradio_client and Docker see of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from playwright.sync_api import Page, Request
from web_driving import ROOT, START_S, TECHNO

from fluxbeat.models.registry import bundled_names


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def running(*command: str, **variables: str) -> Iterator[str]:
    """A server in a process of its own, until the caller is done with its address."""
    port = command[command.index("--port") + 1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env={**os.environ, **variables})
    try:
        end = time.monotonic() + START_S
        while time.monotonic() < end and process.poll() is None:
            try:
                if httpx.get(f"{url}/api/v1/health").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
        assert process.poll() is None, "the server did not start"
        yield url
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """`uvicorn app:app`: the page and the service."""
    yield from running("uvicorn", "app:app", "--port", str(free_port()), "--timeout-graceful-shutdown", "1")


@pytest.fixture(scope="module")
def alone() -> Iterator[str]:
    """`fluxbeat serve --api-only`, with limits that can be reached."""
    yield from running(
        "fluxbeat", "serve", "--api-only", "--port", str(free_port()),
        FLUXBEAT_MAX_BODY_BYTES="3000000", FLUXBEAT_ANALYSES_AT_ONCE="1",
    )  # fmt: skip


@pytest.fixture
def page(browser: Any) -> Iterator[Page]:
    opened = browser.new_page()
    opened.asked = []
    opened.failed = []
    opened.on("request", lambda request: opened.asked.append(request))
    opened.on("pageerror", lambda error: opened.failed.append(str(error)))
    yield opened
    assert not opened.failed
    opened.close()


def outside(requests: list[Request]) -> list[str]:
    return [each.url for each in requests if not each.url.startswith(("http://127.0.0.1:", "data:", "blob:"))]


def analysis_of(url: str, **query: str) -> Any:
    with TECHNO.open("rb") as file:
        answered = httpx.post(f"{url}/api/v1/analyze", params=query, files={"file": file}, timeout=60)
    assert answered.status_code == 200
    return answered.json()


def test_page_and_service_share_the_port(site):
    assert "FluxBeat" in httpx.get(f"{site}/").text
    assert httpx.get(f"{site}/api/v1/nowhere").headers["content-type"] == "application/problem+json"
    assert httpx.get(f"{site}/openapi.json", follow_redirects=True).json()["servers"] == [{"url": "/api/v1"}]
    assert analysis_of(site, model="cnn")["model"]["name"] == "cnn"


def test_service_alone_answers_the_same_and_has_no_page(site, alone):
    assert analysis_of(alone) == analysis_of(site)
    home = httpx.get(f"{alone}/", follow_redirects=True)
    assert home.url.path == "/api/v1/docs"
    assert httpx.get(f"{alone}/config").headers["content-type"] == "application/problem+json"


def test_service_alone_imports_no_gradio():
    check = (
        "import sys; from fluxbeat.web.server import build_app; build_app(api_only=True); "
        "sys.exit('gradio' in sys.modules or 'fluxbeat.web.ui' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, env=os.environ, timeout=120).returncode == 0


@pytest.mark.browser
@pytest.mark.parametrize("where", ["site", "alone"])
def test_description_renders_without_any_outside_host(page, where, request):
    url = request.getfixturevalue(where)
    page.goto(f"{url}/docs")
    page.locator("#operations-analysis-analyze_recording .opblock-summary").click()
    page.get_by_role("button", name="Try it out").click()
    page.locator("input[type=file]").set_input_files(TECHNO)
    page.get_by_role("button", name="Execute").click()
    page.locator(".live-responses-table .response .response-col_status", has_text="200").wait_for()
    assert "electronic" in page.locator(".live-responses-table .response").inner_text()
    assert len(page.asked) > 4
    assert not outside(page.asked)


def test_too_much_is_refused_while_it_is_still_being_sent(alone):
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        while sent < 100_000_000:
            sent += 65_536
            yield bytes(65_536)

    host, port = alone.removeprefix("http://").split(":")
    head = "POST /api/v1/analyze HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as raw:
        raw.sendall(f"{head}Content-Length: 3000001\r\n\r\n".encode())
        assert b" 413 " in raw.recv(1000).splitlines()[0]
    with socket.create_connection((host, int(port)), timeout=30) as raw:
        raw.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        try:
            for piece in endless():
                raw.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            assert sent < 50_000_000
        else:
            raise AssertionError("all of it was taken")


def test_client_that_hangs_up_frees_its_place(alone, tmp_path):
    import numpy as np
    import soundfile

    long = tmp_path / "long.flac"
    soundfile.write(long, np.zeros(8000 * 3 * 3600, np.int16), 8000)
    assert long.stat().st_size < 3_000_000
    began = time.monotonic()
    with (
        pytest.raises(ConnectionError),
        httpx.stream(
            "POST", f"{alone}/api/v1/analyze", files={"file": long.open("rb")},
            headers={"Accept": "application/x-ndjson"}, timeout=60,
        ) as answer,
    ):  # fmt: skip
        for line in answer.iter_lines():
            if json.loads(line)["doing"] == "listening":
                raise ConnectionError("hung up")
    while httpx.get(f"{alone}/api/v1/health").json()["places_taken"]:
        assert time.monotonic() - began < 30
        time.sleep(0.05)


def test_gradio_client_finds_two_named_functions_and_no_others(site):
    described = Client(site, verbose=False).view_api(return_format="dict")
    assert list(described["named_endpoints"]) == ["/analyze", "/compare"]
    assert not described["unnamed_endpoints"]
    for endpoint in described["named_endpoints"].values():
        assert endpoint["parameters"][0]["python_type"]["type"] == "filepath"


def test_gradio_client_gets_the_json_of_the_service(site, tmp_path):
    client = Client(site, verbose=False)
    named = shutil.copy(TECHNO, tmp_path / "Sö'ng & co #1.mp3")
    answered = client.predict(handle_file(named), "cnn", api_name="/analyze")
    assert answered == {**analysis_of(site, model="cnn"), "file": "Sö'ng & co #1.mp3"}
    assert client.predict(file=handle_file(TECHNO), api_name="/analyze") == analysis_of(site)
    compared = client.predict(file=handle_file(TECHNO), models=["vit", "cnn"], api_name="/compare")
    assert compared[0] == analysis_of(site, model="vit")
    compared = client.predict(file=handle_file(TECHNO), api_name="/compare")
    assert [each["model"]["name"] for each in compared] == bundled_names()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"model": "oracle"}, "no model 'oracle': there are all, cnn, crnn, vit"),
        ({"model": ["cnn"]}, "models are given by name"),
        ({"file": "song.mp3"}, "no recording 'song.mp3': upload one"),
        ({"file": handle_file(ROOT / "LICENSE")}, '"LICENSE" is damaged or not an audio file'),
    ],
)
def test_gradio_client_is_told_what_is_wrong(site, arguments, sentence):
    with pytest.raises(AppError, match=re.escape(sentence)):
        Client(site, verbose=False).predict(**{"file": handle_file(TECHNO), **arguments}, api_name="/analyze")


def asked_of_gradio(site: str, function: int, data: list[Any]) -> str:
    """What the page's server says to one call as the page's own script would make it."""
    session = f"test{function}"
    call = {"data": data, "fn_index": function, "session_hash": session}
    httpx.post(f"{site}/gradio_api/queue/join", json=call)
    with httpx.stream("GET", f"{site}/gradio_api/queue/data", params={"session_hash": session}, timeout=30) as answer:
        for line in answer.iter_lines():
            if '"process_completed"' in line:
                return line
    raise AssertionError("no answer")


def test_files_that_nobody_uploaded_are_never_opened(site):
    """Neither by the functions for programs nor by those of the page, whatever a client writes."""
    secret = {"path": str(TECHNO), "orig_name": "mine.mp3", "meta": {"_type": "gradio.FileData"}}
    config = httpx.get(f"{site}/config").json()
    file_like = {c["id"] for c in config["components"] if c["type"] in ("audio", "file", "uploadbutton")}
    named = {"analyze", "compare"}
    takes_file = [
        each for each in config["dependencies"] if set(each["inputs"]) & file_like or each["api_name"] in named
    ]
    assert len(takes_file) >= 5
    for function in takes_file:
        data = [secret if position == 0 else None for position in range(len(function["inputs"]))]
        answer = json.loads(asked_of_gradio(site, function["id"], data).removeprefix("data: "))
        assert not answer["success"], function
        assert "not uploaded by a user" in json.dumps(answer["output"])


DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))


def instructions(word: str) -> list[str]:
    return re.findall(rf"^\s*{word}\s+(.*)$", DOCKERFILE, re.MULTILINE)


def test_image_holds_what_the_program_needs_and_nothing_else(tmp_path):
    copied = [name for line in instructions("COPY") for name in line.split()[:-1]]
    let_through = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {f"!{name}" for name in copied} == {line for line in let_through if line.startswith("!")}
    for name in copied:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    entry = json.loads(instructions("ENTRYPOINT")[0])
    assert entry[0] == "python"
    check = subprocess.run(
        [sys.executable, *entry[1:], "analyze", str(TECHNO), "--model", "cnn", "--json"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert check.returncode == 0, check.stderr
    assert json.loads(check.stdout)["model"]["source"] == "checkpoints/cnn"


def test_image_runs_as_nobody_special_on_a_python_that_is_supported():
    assert instructions("USER")
    assert instructions("USER")[-1] not in ("root", "0")
    python = tuple(map(int, re.search(r"python:(\d+)\.(\d+)", instructions("FROM")[-1]).groups()))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert python >= tuple(map(int, project["requires-python"].removeprefix(">=").split(".")))


def test_image_takes_the_requirements_with_the_torch_that_was_asked_for():
    assert instructions("ARG") == ["TORCH_BACKEND=cpu", "EXTRA="]
    (install,) = (line for line in instructions("RUN") if "install" in line)
    assert '--torch-backend "$TORCH_BACKEND" -r requirements.txt' in install
    pair = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith("torch")]
    assert pair == [f"{name}=={version(name).split('+')[0]}" for name in ("torch", "torchaudio")]


@pytest.mark.parametrize(("extra", "more"), [("", []), ("train", ["-r", "pyproject.toml", "--extra", "train"])])
def test_image_takes_an_extra_that_is_asked_for(extra, more):
    (install,) = (line for line in instructions("RUN") if "install" in line)
    words = "printf '%s\\n' " + install.partition("-r requirements.txt")[2]
    answer = subprocess.run(["sh", "-c", words], env={"EXTRA": extra}, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == more
    if extra:
        assert extra in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def test_health_check_of_the_image_asks_the_port_of_the_command(site):
    """`--port` of the container's first process, whose place another process takes here, or else the variable."""
    command = json.loads(instructions("HEALTHCHECK")[0].split("CMD ")[1])
    assert command[0] == "python"
    alive, dead = site.rpartition(":")[2], str(free_port())
    for variable, told, healthy in [
        (alive, [], True), (dead, [], False), (dead, ["--port", alive], True), (dead, [f"--port={alive}"], True),
        (alive, ["--port", dead, "--api-only"], False),
    ]:  # fmt: skip
        first = subprocess.Popen([sys.executable, "-c", "input()", "serve", *told], stdin=subprocess.PIPE)
        check = subprocess.run(
            [sys.executable, *(word.replace("/proc/1/", f"/proc/{first.pid}/") for word in command[1:])],
            env={**os.environ, "GRADIO_SERVER_PORT": variable}, capture_output=True, timeout=60,
        )  # fmt: skip
        first.communicate(b"\n", timeout=30)
        assert (check.returncode == 0) is healthy, (variable, told)
