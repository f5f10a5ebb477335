"""What strangers may send: names, calls, paths, checkpoints, a Hub. Each gets a clear answer and does no harm."""

from __future__ import annotations

import base64
import contextlib
import http.client
import http.server
import io
import json
import pickle
import re
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import numpy as np
import pytest
import soundfile
from api_asking import PLAIN, clicks, refused, send
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from hub_fixtures import hub
from local_hub import TOKEN, LocalHub, Trouble
from mutagen.id3 import ID3
from test_hub import CNN, cached_files
from test_load import Site, ended, started, tone, uploaded
from web_driving import EXAMPLES, ROOT, TECHNO
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from fluxbeat import analyze
from fluxbeat.audio.sound_files import SoundFile
from fluxbeat.errors import ModelLoadError
from fluxbeat.export.formats import FORMATS
from fluxbeat.export.writing import export, file_name
from fluxbeat.library.cache import AnalysisCache
from fluxbeat.library.job import LibraryJob
from fluxbeat.library.workers import ThreadWorkers
from fluxbeat.models import registry
from fluxbeat.web.api import build_api_alone
from fluxbeat.web.settings import WebSettings

__all__ = ["hub"]  # the fixture

NAMES = {
    "html": "<img src=x onerror=alert(1)>.mp3",
    "script": '"><script>alert(1)</script>.mp3',
    "controls": "a\x00b\x07\x1b[31m\r\nX-Evil: 1.mp3",
    "direction": "song\u202e3pm.exe",
    "path": "../../../../etc/passwd",
    "absolute": "/etc/shadow.mp3",
    "windows": "C:\\Windows\\..\\evil.mp3",
    "long": "x" * 4000 + ".mp3",
    "wide": "歌" * 1000,
    "dots": "..",
    "format": "%s%n{0}${HOME}`id`.mp3",
}
CLIP = tone(1)


def is_fit_to_be_shown(name: str) -> bool:
    return name.isprintable() and 0 < len(name) <= 100 and not set(name) & set("/\\\r\n\0\u202e")


# Names


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_name_of_an_upload_is_one_short_line_and_no_path(name: str) -> None:
    answered = send("/analyze?model=cnn", CLIP, name=name)
    assert answered.status_code == 200
    assert is_fit_to_be_shown(answered.json()["file"])
    assert "X-Evil" not in answered.headers
    answer = refused(send("/analyze?model=cnn", b"no music", name=name), 422)
    assert len(answer) < 300
    assert answer.isprintable()


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_name_of_an_export_is_one_header_and_one_file(name: str, tmp_path: Path) -> None:
    for kind in (kind for kind in FORMATS if "beats" not in kind):  # the clip has none
        answered = send(f"/export?model=cnn&format={kind}", TECHNO.read_bytes() if kind == "tags" else CLIP, name=name)
        assert answered.status_code == 200, answered.text
        assert "x-evil" not in answered.headers
        begin, _, quoted = answered.headers["content-disposition"].partition("''")
        assert begin == "attachment; filename*=UTF-8"
        assert re.fullmatch(r"[\w.%~-]+", quoted, re.ASCII)
        named = unquote(quoted)
        assert (tmp_path / named).parent == tmp_path
        (tmp_path / named).write_bytes(answered.content)
        assert named not in (".", "..")
        assert len(named.encode()) <= 255
        if kind == "html":
            assert b"<script>alert" not in answered.content
            assert b"<img src=x" not in answered.content
        if kind == "tags":
            assert not any("alert" in str(frame) for frame in ID3(io.BytesIO(answered.content)).values())


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_export_stays_in_its_folder_and_keeps_its_lines(name: str, tmp_path: Path) -> None:
    analysis = analyze(CLIP, model="cnn", name=name)
    kinds = [kind for kind, one in FORMATS.items() if one.suffix and "beats" not in kind]
    for kind in kinds:
        plain = analyze(CLIP, model="cnn", name="song.wav")
        written = export(analysis, kind, tmp_path / file_name(name, kind))
        assert written.parent == tmp_path
        beside = export(plain, kind, tmp_path / f"plain.{kind}")
        if kind != "html":
            assert len(written.read_bytes().splitlines()) == len(beside.read_bytes().splitlines())
    assert len(list(tmp_path.iterdir())) == 2 * len(kinds)


def test_names_in_a_library_are_shown_and_never_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUXBEAT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bytes").write_bytes(CLIP)
    files = [SoundFile(tmp_path / "bytes", name) for name in NAMES.values()]
    with contextlib.closing(ThreadWorkers()) as workers:
        job = LibraryJob(files, registry.load("cnn"), AnalysisCache(), workers)
        rows = [row for step in job.steps() for _, row in step.placed]
    assert len(rows) == len(NAMES)
    for row in rows:
        assert row.error is None
        assert row.title.isprintable()
        assert len(row.title) <= 200


# Calls


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("hop_s=nan", "query.hop_s"),
        ("hop_s=1e999", "query.hop_s"),
        ("hop_s=-1", "query.hop_s"),
        ("hop_s=" + "9" * 5000, "query.hop_s"),
        ("hop_s[]=1&hop_s=x", "query.hop_s"),
    ],
)
def test_numbers_that_are_none_name_the_parameter(query: str, where: str) -> None:
    answer = refused(send(f"/analyze?{query}", CLIP), 422)
    assert where in answer
    assert len(answer) < 1000


@pytest.mark.parametrize("model", ["../cnn", "/etc/passwd", "hf://a/b@c", "cnn\x00", "x" * 4000, "", "{}", "__class__"])
def test_model_is_one_of_those_on_offer_whatever_is_asked(model: str) -> None:
    answered = send("/analyze", CLIP, params={"model": model})
    assert "there are all, cnn, crnn, vit" in refused(answered, 404)
    assert len(answered.text) < 500


@pytest.mark.parametrize(
    "request_",
    [
        {"data": {"file": "a path in place of a file"}},
        {"json": {"file": "x"}},
        {"content": b"", "headers": {"Content-Type": "multipart/form-data"}},
        {"content": b"--b", "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
        {"content": b"[" * 100_000, "headers": {"Content-Type": "application/json"}},
        {"files": [("file", (f"{n}", b"")) for n in range(2000)]},
        {"files": {"file": ("", CLIP)}},
        {"data": {"x" * 100_000: "y"}, "files": {"file": ("a", CLIP)}},
    ],
    ids=range(8),
)
def test_a_body_of_the_wrong_kind_is_a_problem_and_never_a_failure(request_: dict[str, Any]) -> None:
    from api_asking import ask

    answered = ask("POST", "/analyze?model=cnn", PLAIN, **request_)
    assert answered.status_code in (200, 400, 422), answered.text[:300]
    if answered.status_code != 200:
        refused(answered, answered.status_code)
        assert len(answered.text) < 5000


@pytest.mark.parametrize("path", ["/analyze", "/compare", "/explain", "/export?format=csv"])
def test_what_the_server_says_names_no_file_of_it(path: str) -> None:
    answer = send(path, b"\x00" * 5000, name="song.mp3").text
    assert "song.mp3" in answer
    for part in ("/tmp", "/work", "/home", "fluxbeat-", str(ROOT), "Traceback", "site-packages"):
        assert part not in answer


# The web server


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    one = started(tmp_path_factory.mktemp("temporary"))
    yield one
    ended(one)


def raw(site: Site, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """A request whose path no client has tidied up."""
    host, port = site.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    with contextlib.closing(connection):
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()


FILES = [
    "/etc/passwd", "{root}/USER_GUIDE.md", "USER_GUIDE.md", "checkpoints/cnn/config.json", "../../../../etc/passwd",
    "%2e%2e/%2e%2e/%2e%2e/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:{port}/secret", "{examples}/../page.py",
    "{examples}/%2e%2e/page.py", "//etc/passwd", "{lock}", "{examples}", "/proc/self/environ", "\\\\host\\share",
]  # fmt: skip
FOLDERS = ["/static/", "/static/fluxbeat/", "/assets/", "/svelte/", "/api/v1/static-offline-docs/"]
PARENTS = ["../../../../../../etc/passwd", "%2e%2e/%2e%2e/page.py", "..%2f..%2fpage.py", "/etc/passwd", "..\\page.py"]


@pytest.mark.parametrize("path", ["/gradio_api/file=", "/gradio_api/file/"])
def test_files_that_are_not_offered_cannot_be_read(site: Site, path: str) -> None:
    (lock,) = Path(Client(site.url, verbose=False) and temporary(site)).glob("*/in-use")
    for wanted in FILES:
        asked = wanted.format(root=ROOT, examples=EXAMPLES, port=site.url.rpartition(":")[2], lock=lock)
        status, answer = raw(site, "GET", path + asked)
        assert status in (403, 404), asked
        assert b"root:" not in answer
        assert len(answer) < 1000


def temporary(site: Site) -> str:
    """What the server takes for the system's temporary files."""
    variables = Path(f"/proc/{site.process.pid}/environ").read_bytes().decode().split("\0")
    return next(one.removeprefix("TMPDIR=") for one in variables if one.startswith("TMPDIR="))


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_path_leads_out_of_a_folder_that_is_served(site: Site, folder: str) -> None:
    for parent in PARENTS:
        status, answer = raw(site, "GET", folder + parent)
        assert status in (400, 403, 404), folder + parent
        assert b"root:" not in answer
        assert b"import" not in answer


def test_the_server_fetches_nothing_for_a_stranger(site: Site) -> None:
    """Neither through Gradio's proxy nor by an address in place of an uploaded file."""
    asked: list[str] = []

    class Inside(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_HEAD = do_GET

    with http.server.HTTPServer(("127.0.0.1", 0), Inside) as inside:
        threading.Thread(target=inside.serve_forever, daemon=True).start()
        secret = f"http://127.0.0.1:{inside.server_port}/secret"
        for target in (secret, "http://169.254.169.254/latest", "https://evil.hf.space/x", "file:///etc/passwd"):
            assert raw(site, "GET", f"/gradio_api/proxy={target}")[0] == 400
        for path in (secret, f"{secret}.mp3"):
            for file in (
                {"path": path},
                {"path": path, "meta": {"_type": "gradio.FileData"}},
                {"path": None, "url": path},
            ):
                with pytest.raises((AppError, ValueError)):
                    Client(site.url, verbose=False).predict(file, "cnn", api_name="/analyze")
        inside.shutdown()
    assert asked == []


def test_nobody_gets_past_the_queue_or_at_what_is_for_developers(site: Site) -> None:
    call = json.dumps({"data": [uploaded(site.url, CLIP), "cnn"]}).encode()
    for path in ("/gradio_api/run/analyze", "/gradio_api/api/compare"):
        assert raw(site, "POST", path, call, Content_Type="application/json")[0] == 404
    for method, path in (("POST", "/gradio_api/vibe-edit"), ("GET", "/gradio_api/vibe-code"), ("GET", "/monitoring")):
        body = b'{"prompt": "x", "code": "x"}' if method == "POST" else None
        assert raw(site, method, path, body, Content_Type="application/json")[0] == 403
    call = b'{"component_id": 1, "fn_name": "__init__", "data": [], "session_hash": "a"}'
    assert raw(site, "POST", "/gradio_api/component_server", call, Content_Type="application/json")[0] == 404
    assert str(ROOT).encode() not in raw(site, "GET", "/config")[1]


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_an_upload_to_the_page_lies_in_the_servers_own_folder(site: Site, name: str) -> None:
    head = b'--b\r\ncontent-disposition: form-data; name="files"; filename="' + name.replace('"', "%22").encode()
    body = head + b'"\r\n\r\n' + CLIP + b"\r\n--b--\r\n"
    status, answer = raw(site, "POST", "/gradio_api/upload", body, Content_Type="multipart/form-data; boundary=b")
    assert status in (200, 400)
    if status == 400:
        assert name in ("..",)
        return
    (path,) = json.loads(answer)
    assert Path(path).resolve().is_relative_to(next(Path(temporary(site)).glob("fluxbeat-server-*")).resolve() / "page")
    assert Path(path).read_bytes() == CLIP
    file = {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
    found = Client(site.url, verbose=False).predict(file, "cnn", api_name="/analyze")
    assert is_fit_to_be_shown(found["file"])


# The key


KEY = "a long secret"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLUXBEAT_API_KEY", KEY)
        one = started(tmp_path_factory.mktemp("locked"))
    yield one
    ended(one)


def login(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()}


OPEN_WITHOUT_A_KEY = ["/api/v1/health"]
BEHIND_THE_KEY = [
    "/", "/config", "/gradio_api/info", "/gradio_api/call/analyze", "/gradio_api/queue/join", "/gradio_api/upload",
    f"/gradio_api/file={TECHNO}", "/gradio_api/mcp/", "/static/fluxbeat/fluxbeat.js", "/api/v1/models",
    "/api/v1/../config", "/api/v1", "//config", "/theme.css",
]  # fmt: skip


@pytest.mark.parametrize("path", BEHIND_THE_KEY)
def test_the_key_covers_everything_on_the_port(locked: Site, path: str) -> None:
    for method in ("GET", "POST", "HEAD", "OPTIONS"):
        for headers in ({}, login("no"), {"Authorization": "Basic ???"}, {"Cookie": "fluxbeat-page=x"}):
            assert raw(locked, method, path, **headers)[0] == 401, (method, headers)


def test_a_browser_gives_the_key_as_password_and_its_sockets_have_a_proof_of_it(locked: Site) -> None:
    asked = httpx.get(f"{locked.url}/")
    assert asked.headers["www-authenticate"].startswith("Basic ")
    home = httpx.get(f"{locked.url}/", headers=login(KEY))
    assert home.status_code == 200
    cookie = home.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert KEY not in cookie
    proof = cookie.split(";")[0]
    assert httpx.get(f"{locked.url}/config", headers={"Cookie": proof}).status_code == 200
    assert httpx.get(f"{locked.url}/api/v1/models", headers={"Cookie": proof}).status_code == 401, (
        "programs use the key"
    )
    live = locked.url.replace("http", "ws") + "/live"
    with pytest.raises(InvalidStatus, match="403"):
        connect(live)
    with connect(live, additional_headers={"Cookie": proof}) as socket:
        socket.send("{")
        assert json.loads(socket.recv())["type"] == "error"


def test_gradio_client_gives_the_key_as_a_header(locked: Site) -> None:
    with pytest.raises(Exception, match="credentials were not provided"):
        Client(locked.url, verbose=False)
    client = Client(locked.url, verbose=False, headers={"X-API-Key": KEY})
    assert client.predict(handle_file(TECHNO), "cnn", api_name="/analyze")["model"]["name"] == "cnn"


# A Hub that sends elsewhere


@pytest.fixture
def elsewhere() -> Iterator[LocalHub]:
    """Another server, which has the same repository."""
    server = LocalHub()
    server.publish("ann/rivers", CNN)
    yield server
    server.close()


@pytest.mark.parametrize("way", ["send_on", "send_gets_on", "send_questions_on"])
def test_a_token_never_goes_to_another_host_and_the_checksum_decides(
    hub: LocalHub, elsewhere: LocalHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    """The Hub itself sends downloads on to its stores: what counts is what comes."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    name = f"hf://ann/rivers@{hub.publish('ann/rivers', CNN)}"
    there = f"{elsewhere.url}/ann/rivers/resolve/main/model.safetensors" if way == "send_on" else elsewhere.url
    hub.trouble = Trouble(**{way: there})
    right = (CNN / "model.safetensors").read_bytes()
    wrong = {"model.safetensors": right[:-1] + bytes([right[-1] ^ 1])}
    (hub if way == "send_questions_on" else elsewhere).trouble.swap = wrong
    with pytest.raises(ModelLoadError, match="wrong checksum"):
        registry.load(name)
    assert all(path.stat().st_size < 1_000_000 for path in cached_files(tmp_path))
    elsewhere.trouble = Trouble()
    hub.trouble = Trouble(**{way: there})
    assert registry.load(name).info.revision == registry.load("cnn").info.revision
    assert elsewhere.asked
    assert elsewhere.tokens == set()
    assert hub.tokens == {TOKEN}


def zip_bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("data.pkl", bytes(100_000_000))
    return file.getvalue()


def test_an_upload_that_is_no_music_says_so_whatever_it_poses_as() -> None:
    for content in (pickle.dumps(print), zip_bomb(), b"<html>", b"#EXTM3U\nfile:///etc/passwd\n"):
        assert "not an audio file" in refused(send("/analyze?model=cnn", content, name="song.mp3"), 422)


def test_a_recording_of_numbers_that_are_none_is_answered() -> None:
    for value in (np.nan, np.inf, 1e38):
        file = io.BytesIO()
        soundfile.write(file, np.full(80_000, value, np.float32), 8000, format="WAV", subtype="FLOAT")
        answered = send("/analyze?model=cnn", file.getvalue())
        assert answered.status_code in (200, 422)
        json.loads(answered.text, parse_constant=lambda text: pytest.fail(f"{text} in the answer"))


def test_a_name_without_end_is_refused() -> None:
    assert send("/analyze", CLIP, name="歌" * 20_000).status_code == 400
    small = build_api_alone(WebSettings(max_body_bytes=100_000))
    assert "at most 100,000 bytes" in refused(send("/analyze", clicks(1), name="x" * 200_000, app=small), 413)


@pytest.mark.browser
def test_the_page_works_behind_the_key(browser: Any, locked: Site) -> None:
    context = browser.new_context(http_credentials={"username": "me", "password": KEY})
    page = context.new_page()
    page.goto(locked.url)
    page.locator("#timeline h2").wait_for(timeout=60_000)
    page.wait_for_function("document.querySelector('#timeline .js-plotly-plot')?.data?.length", timeout=60_000)
    context.close()
