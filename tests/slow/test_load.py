"""Many at once, those who leave, and what a killed server leaves behind: real servers in processes of their own."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from api_asking import LINES
from test_api_served import free_port
from visiting import Visit
from web_driving import ROOT, START_S, TECHNO

from fluxbeat.web.temporary_folder import GRADIO_VARIABLE, LOCK_FILE, PREFIX, remove_left, sweep

CROWD = 64
MOST_MORE_BYTES = 400_000_000


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the servers of this file take for the system's temporary files."""
    return tmp_path_factory.mktemp("temporary")


@dataclass(frozen=True)
class Site:
    """A server of this file."""

    url: str
    process: subprocess.Popen[bytes]

    def memory_bytes(self, field: str) -> int:
        """`VmRSS` is what the process holds, `VmHWM` the most that it ever held."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.search(rf"{field}:\s+(\d+) kB", status)[1])


def started(place: Path, *arguments: str) -> Site:
    """A server whose temporary files lie in `place`."""
    port = str(free_port())
    inherited = {name: value for name, value in os.environ.items() if name != GRADIO_VARIABLE}
    process = subprocess.Popen(
        [sys.executable, "-m", "fluxbeat", "serve", "--port", port, *arguments],
        cwd=ROOT, env={**inherited, "TMPDIR": str(place)},
    )  # fmt: skip
    end_s = time.monotonic() + START_S
    while time.monotonic() < end_s and process.poll() is None:
        try:
            httpx.get(f"http://127.0.0.1:{port}/api/v1/health")
            return Site(f"http://127.0.0.1:{port}", process)
        except httpx.TransportError:
            time.sleep(0.2)
    process.kill()
    raise AssertionError("the server did not start")


def ended(site: Site) -> None:
    site.process.terminate()
    try:
        site.process.wait(20)
    finally:
        site.process.kill()


@pytest.fixture(scope="module")
def running(place: Path) -> Iterator[Site]:
    one = started(place)
    yield one
    ended(one)


@pytest.fixture
def site(running: Site) -> str:
    return running.url


def tone(n: int) -> bytes:
    """Two seconds and a bit of a tone: every n has another length and another pitch."""
    t = np.arange(16_000 + 80 * n) / 8000
    file = io.BytesIO()
    soundfile.write(file, 0.5 * np.sin(2 * np.pi * (110 + 13 * n) * t), 8000, format="WAV")
    return file.getvalue()


def silence(minutes: float) -> bytes:
    """Music that takes long to hear and little to send."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(round(8000 * 60 * minutes), np.int16), 8000, format="FLAC")
    return file.getvalue()


def uploads_in(place: Path) -> list[Path]:
    return list(place.glob(f"{PREFIX}*/fluxbeat-upload-*"))


def answers_of_a_crowd(url: str) -> list[list[dict[str, Any]]]:
    """The lines that each of 64 clients is sent who all upload at once."""

    async def one(asking: httpx.AsyncClient, n: int) -> list[dict[str, Any]]:
        files = {"file": (f"tone {n}.wav", tone(n))}
        answered = await asking.post(f"{url}/api/v1/analyze?model=cnn", files=files, headers=LINES)
        assert answered.status_code == 200
        return [json.loads(line) for line in answered.text.splitlines()]

    async def all_at_once() -> list[list[dict[str, Any]]]:
        limits = httpx.Limits(max_connections=CROWD)
        async with httpx.AsyncClient(timeout=120, limits=limits) as asking:
            return await asyncio.gather(*(one(asking, n) for n in range(CROWD)))

    return asyncio.run(all_at_once())


def test_64_uploads_at_once_are_all_answered_each_with_its_own_and_in_turn(running: Site, place: Path) -> None:
    site = running.url
    alone = httpx.post(f"{site}/api/v1/analyze?model=cnn", files={"file": ("tone 7.wav", tone(7))}, timeout=60).json()
    before_bytes = running.memory_bytes("VmRSS")
    told = answers_of_a_crowd(site)
    for n, lines in enumerate(told):
        result = lines[-1]["result"]
        assert result["file"] == f"tone {n}.wav"
        assert result["duration_s"] == pytest.approx(2 + n / 100, abs=0.005), "everybody's own recording"
        before = [line["before"] for line in lines[:-1] if "before" in line]
        assert before, "where one stands is said"
        assert before == sorted(before, reverse=True), "nobody is overtaken"
    assert told[7][-1]["result"] == alone
    assert max(line.get("before", 0) for lines in told for line in lines) >= CROWD // 2
    assert running.memory_bytes("VmHWM") - before_bytes < MOST_MORE_BYTES
    assert httpx.get(f"{site}/api/v1/health").json()["places_taken"] == 0
    assert not uploads_in(place)


def test_those_who_leave_the_queue_are_taken_out_and_the_rest_move_up(site: str, place: Path) -> None:
    async def scene() -> tuple[list[int], float]:
        long, short = silence(30), tone(1)
        async with httpx.AsyncClient(timeout=120) as asking:

            async def wait(content: bytes, places: list[int]) -> None:
                files = {"file": ("a", content)}
                async with asking.stream("POST", f"{site}/api/v1/analyze", files=files, headers=LINES) as answer:
                    async for line in answer.aiter_lines():
                        if "before" in (message := json.loads(line)):
                            places.append(message["before"])

            async def taken(count: int) -> None:
                while (await asking.get(f"{site}/api/v1/health")).json()["places_taken"] != count:
                    await asyncio.sleep(0.02)

            first = [asyncio.create_task(wait(long, [])) for _ in range(2)]
            await taken(2)
            middle = asyncio.create_task(wait(long, []))
            await taken(3)
            places: list[int] = []
            last = asyncio.create_task(wait(short, places))
            while not places:
                await asyncio.sleep(0.02)
            began_s = time.monotonic()
            middle.cancel()
            while places[-1]:
                await asyncio.sleep(0.02)
            for each in first:
                each.cancel()
            await last
            return places, time.monotonic() - began_s

    places, waited_s = asyncio.run(scene())
    assert list(dict.fromkeys(places)) == [1, 0]
    assert waited_s < 10, "half an hour of music was given up"
    end_s = time.monotonic() + 10
    while uploads_in(place):
        assert time.monotonic() < end_s, "work ends at its next report, and its recording goes with it"
        time.sleep(0.05)


def number_of(url: str, function: str) -> int:
    """Gradio's number for a named function."""
    known = httpx.get(f"{url}/config", timeout=60).json()["dependencies"]
    return next(each["id"] for each in known if each["api_name"] == function)


def gradio_says(url: str, session: str, number: int, data: list[Any]) -> Iterator[dict[str, Any]]:
    """What Gradio's queue tells a page that asks for a function, until it is done; a page that is closed has left."""
    joined = httpx.post(
        f"{url}/gradio_api/queue/join", json={"data": data, "fn_index": number, "session_hash": session}, timeout=60
    )
    assert joined.status_code == 200, joined.text
    with httpx.stream("GET", f"{url}/gradio_api/queue/data?session_hash={session}", timeout=120) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                message = json.loads(line.removeprefix("data: "))
                yield message
                if message["msg"] == "process_completed":
                    return


def desc(message: dict[str, Any]) -> str:
    """The words of a progress message."""
    return " ".join(str(unit["desc"]) for unit in message.get("progress_data") or ())


def uploaded(url: str, content: bytes, name: str = "a.wav") -> dict[str, Any]:
    path = httpx.post(f"{url}/gradio_api/upload", files={"files": (name, content)}, timeout=60).json()[0]
    return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}


def test_64_pages_at_once_are_all_answered_each_with_its_own_and_in_turn(site: str) -> None:
    analyze = number_of(site, "analyze")

    def one(n: int) -> list[dict[str, Any]]:
        return list(gradio_says(site, f"page{n}", analyze, [uploaded(site, tone(n), f"tone {n}.wav"), "cnn", 0]))

    with ThreadPoolExecutor(CROWD) as pool:
        told = list(pool.map(one, range(CROWD)))
    for n, messages in enumerate(told):
        done = messages[-1]
        assert done["success"], done
        assert done["output"]["data"][0]["file"] == f"tone {n}.wav"
        assert done["output"]["data"][0]["duration_s"] == pytest.approx(2 + n / 100, abs=0.005)
    waited = {desc(message) for messages in told for message in messages}
    assert any("others before you" in words for words in waited), "where one stands is told"


@pytest.mark.browser
def test_a_listener_reads_how_many_go_first(browser: Any, site: str) -> None:
    visit = Visit(browser, f"{site}/")
    long = uploaded(site, silence(90), "long.flac")
    analyze = number_of(site, "analyze")
    others = [gradio_says(site, f"other{n}", analyze, [long, "vit", 0]) for n in range(4)]
    for each in others:
        next(each)
    visit.give(TECHNO)
    words = visit.page.locator(".fb-waiting")
    words.get_by_text("Waiting: 2 others before you.").wait_for()
    visible = visit.page.evaluate(
        "(() => { let shown = 1; for (let e = document.querySelector('.fb-waiting'); e; e = e.parentElement)"
        " shown *= getComputedStyle(e).opacity; return shown; })()"
    )
    assert visible == 1
    others[3].close()  # this page is closed
    words.get_by_text("Waiting: 1 other before you.").wait_for()
    began_s = time.monotonic()
    for each in others:
        each.close()
    visit.await_track(TECHNO.name)
    assert time.monotonic() - began_s < 20, "what nobody waits for is given up"
    assert words.inner_text() == ""
    assert visit.errors == []
    visit.close()


# What a killed server leaves


def half_an_upload(url: str, path: str) -> socket.socket:
    """Begins to send a file of 4 MB and stops in its middle."""
    host, port = url.removeprefix("http://").split(":")
    raw = socket.create_connection((host, int(port)), timeout=30)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    part = b'--b\r\ncontent-disposition: form-data; name="files"; filename="a.wav"\r\n\r\n'
    raw.sendall(head.encode() + b"Content-Length: 4000000\r\n\r\n" + part + bytes(2_000_000))
    return raw


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != LOCK_FILE]


def test_what_a_killed_server_leaves_is_gone_after_the_next_start_and_nothing_else(tmp_path: Path) -> None:
    own = {tmp_path / "gradio" / "song.mp3", tmp_path / "fluxbeat-notes.txt", tmp_path / f"{PREFIX}mine" / "a.txt"}
    for path in own:
        path.parent.mkdir(exist_ok=True)
        path.write_text("somebody's own")
    killed, other = started(tmp_path), started(tmp_path, "--api-only")
    try:
        folders = {path.parent for path in tmp_path.glob(f"*/{LOCK_FILE}")}
        assert len(folders) == 2
        with half_an_upload(killed.url, "/gradio_api/upload"), half_an_upload(killed.url, "/api/v1/analyze"):
            uploaded(killed.url, tone(1))
            end = time.monotonic() + 30
            while not any(files_in(folder) for folder in folders) and time.monotonic() < end:
                time.sleep(0.05)
            (left,) = [folder for folder in folders if files_in(folder)]
            end_s = time.monotonic() + 20
            while sum(path.stat().st_size for path in files_in(left)) < 1_000_000:
                assert time.monotonic() < end_s, "the upload in progress lies in the server's own folder"
                time.sleep(0.05)
            killed.process.send_signal(signal.SIGKILL)
            killed.process.wait()
        assert files_in(left)
        again = started(tmp_path)
        try:
            assert not left.exists()
            assert httpx.get(f"{again.url}/").status_code == 200
            assert httpx.get(f"{other.url}/api/v1/health").status_code == 200
            now = {path.parent for path in tmp_path.glob(f"*/{LOCK_FILE}")}
            assert len(now) == 2, "that of the server which runs is still there"
            assert len(now & folders) == 1
        finally:
            ended(again)
    finally:
        killed.process.kill()
        ended(other)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == own, "who ends in peace leaves nothing"


ANALYSES = f"""
import time, fluxbeat
fluxbeat.analyze({str(TECHNO)!r}, "cnn")
began = time.monotonic()
for _ in range(34):
    fluxbeat.analyze({str(TECHNO)!r}, "cnn")
print(time.monotonic() - began)
"""


def test_a_busy_machine_takes_no_more_than_its_share_of_the_time() -> None:
    """Beside a full load half of the machine is left; threads that spin while they wait would burn most of it."""

    def taken_s() -> float:
        done = subprocess.run([sys.executable, "-c", ANALYSES], cwd=ROOT, capture_output=True, check=True, timeout=600)
        return float(done.stdout)

    quiet_s = taken_s()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        assert taken_s() < 3 * quiet_s
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_links_and_folders_without_a_lock_are_left_alone(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / LOCK_FILE).touch()
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere, target_is_directory=True)
    (tmp_path / f"{PREFIX}starting").mkdir()
    left = tmp_path / f"{PREFIX}left"
    left.mkdir()
    (left / LOCK_FILE).touch()
    (left / "outside").symlink_to(elsewhere, target_is_directory=True)
    remove_left(tmp_path)
    assert not left.exists()
    assert (elsewhere / LOCK_FILE).is_file()
    assert (tmp_path / f"{PREFIX}starting").is_dir()


def test_files_go_by_age_while_the_server_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (LOCK_FILE, "page/a/song.mp3", "library/x/table.csv", "old.tmp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    later_s = time.time() + 100
    sweep(tmp_path, 3600)
    assert (tmp_path / "old.tmp").exists()
    monkeypatch.setattr(time, "time", lambda: later_s)
    sweep(tmp_path, 50)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")} == {
        LOCK_FILE, "page", "library",
    }  # fmt: skip
