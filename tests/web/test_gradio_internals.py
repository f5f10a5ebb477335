"""What leans on Gradio's insides does what it is there for, with the Gradio that is installed."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from visiting import Visit
from web_driving import ANSWER_MS

gr = pytest.importorskip("gradio")
expect = pytest.importorskip("playwright.sync_api").expect

import uvicorn  # noqa: E402
from fastapi import FastAPI  # noqa: E402
from gradio.events import api  # noqa: E402

from fluxbeat.web.settings import WebSettings  # noqa: E402
from fluxbeat.web.ui.gradio_internals import (  # noqa: E402
    allow_events_at_once,
    asks_whether_wanted,
    fetch_nothing,
    file_url,
    folder_to_serve,
    guard_paths,
    served_url,
)

SENT = """(async () => {
  const file = new File(['a song'], 'sö ng.txt', {type: 'text/plain'}), form = new FormData();
  form.append('files', file, file.name);
  const [path] = await (await fetch(gradio.uploadAddress(), {method: 'POST', body: form})).json();
  return gradio.sentFile(path, file);
})()"""
CROWD = 45
"""More than Gradio lets in at once by itself."""


class Page:
    """A small page whose functions tell what they see."""

    def __init__(self) -> None:
        self.inside, self.release = 0, threading.Event()
        self.wanted: list[bool] = []
        with gr.Blocks() as self.blocks:
            self.shown = gr.HTML("")
            for function in (self.read, self.wait, self.notice, self.serve):
                api(function, api_name=function.__name__, concurrency_limit=None)
        self.blocks.queue()
        guard_paths(self.blocks)
        fetch_nothing()
        allow_events_at_once(self.blocks, CROWD)

    def read(self, file: gr.FileData) -> str:  # Gradio hands on what it checked as a dict
        return Path(file["path"]).read_text()

    async def wait(self) -> int:
        self.inside += 1
        while not self.release.is_set():
            await asyncio.sleep(0.01)
        return self.inside

    async def notice(self) -> str:
        wanted = asks_whether_wanted()
        for _ in range(2000):
            self.wanted.append(wanted())
            if not self.wanted[-1]:
                break
            await asyncio.sleep(0.01)
        return "done"

    def serve(self) -> str:
        written = folder_to_serve(self.shown, "test-") / "sö ng.txt"
        written.write_text("a song")
        return served_url(self.shown, written)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page()


@pytest.fixture(scope="module")
def url(page: Page) -> Iterator[str]:
    server = uvicorn.Server(
        uvicorn.Config(gr.mount_gradio_app(FastAPI(), page.blocks, path="/"), port=0, log_level="warning")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    page.release.set()
    server.should_exit = True
    thread.join(10)


def joined(url: str, function: str, session: str, data: list[Any]) -> None:
    known = httpx.get(f"{url}/config", timeout=60).json()["dependencies"]
    number = next(each["id"] for each in known if each["api_name"] == function)
    call = {"data": data, "fn_index": number, "session_hash": session}
    assert httpx.post(f"{url}/gradio_api/queue/join", json=call, timeout=60).status_code == 200


def answer(url: str, function: str, *data: Any) -> dict[str, Any]:
    joined(url, function, function, list(data))
    with httpx.stream("GET", f"{url}/gradio_api/queue/data?session_hash={function}", timeout=60) as told:
        for line in told.iter_lines():
            message = json.loads(line.removeprefix("data: ") or "{}") if line else {}
            if message.get("msg") == "process_completed":
                return dict(message)
    raise AssertionError("no answer")


def test_paths_that_nobody_uploaded_are_not_read(url: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    refused = answer(url, "read", {"path": str(secret), "meta": {"_type": "gradio.FileData"}})
    assert not refused["success"]
    assert "secret" not in json.dumps(refused["output"].get("data"))
    sent = httpx.post(f"{url}/gradio_api/upload", files={"files": ("a.txt", b"uploaded")}, timeout=60).json()[0]
    read = answer(url, "read", {"path": sent, "meta": {"_type": "gradio.FileData"}})
    assert read["output"]["data"] == ["uploaded"]


@pytest.mark.parametrize("more", [{}, {"url": "http://music.example/b"}])
def test_an_address_in_place_of_a_file_is_neither_looked_up_nor_fetched(
    url: str, more: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up, plain = [], socket.getaddrinfo

    def look_up(host: Any, *rest: Any, **named: Any) -> Any:
        looked_up.append(host)
        return plain("127.0.0.1", *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    file = {"path": "http://music.example/a.mp3", "meta": {"_type": "gradio.FileData"}, **more}
    refused = answer(url, "read", file)
    assert "fetches no address" in refused["output"]["error"]
    assert set(looked_up) <= {"127.0.0.1"}


def test_as_many_events_as_our_queue_has_places_wait_at_the_same_time(page: Page, url: str) -> None:
    for number in range(CROWD):
        joined(url, "wait", f"wait {number}", [])
    end_s = time.monotonic() + 60
    while page.inside < CROWD:
        assert time.monotonic() < end_s, f"only {page.inside} were let in"
        time.sleep(0.05)
    page.release.set()


def test_an_event_knows_when_its_caller_has_left(page: Page, url: str) -> None:
    joined(url, "notice", "leaving", [])
    with httpx.stream("GET", f"{url}/gradio_api/queue/data?session_hash=leaving", timeout=60) as told:
        lines = told.iter_lines()
        assert any("process_starts" in line for line in lines)
        assert all(page.wanted)
    end_s = time.monotonic() + 60
    while not page.wanted or page.wanted[-1]:
        assert time.monotonic() < end_s, "nobody told it"
        time.sleep(0.05)


def test_outside_of_an_event_everything_is_wanted() -> None:
    assert asks_whether_wanted()()


def test_a_written_file_is_served_under_its_own_name(url: str) -> None:
    told = answer(url, "serve")["output"]["data"][0]
    assert httpx.get(f"{url}/{told}", timeout=60).text == "a song"


@pytest.fixture(scope="module")
def visit(browser: Any, server: Any) -> Iterator[Visit]:
    visit = Visit(browser, server.url)
    visit.page.wait_for_selector("#tabs [role=tab]")
    yield visit
    visit.leave()


def ask(visit: Visit, expression: str, given: Any = None) -> Any:
    """Of the module, which is `gradio` in the expression."""
    script = "import(new URL('static/fluxbeat/gradio_page.js', document.baseURI))"
    return visit.page.evaluate(f"given => {script}.then(gradio => {expression})", given)


@pytest.mark.browser
def test_the_page_sends_files_as_gradio_takes_them(visit: Visit, server: Any) -> None:
    assert ask(visit, "gradio.mostBytes()") == WebSettings().max_body_bytes
    told = ask(visit, SENT)
    known = gr.FileData.model_validate(told, context={"validate_meta": True})
    assert (known.orig_name, known.size, known.mime_type) == ("sö ng.txt", 6, "text/plain")
    assert visit.page.evaluate("at => fetch(at).then(answer => answer.text())", file_url(known.path)) == "a song"


@pytest.mark.browser
def test_arrow_keys_move_among_tabs(visit: Visit) -> None:
    page = visit.page
    page.locator("#tabs [role=tab][aria-selected=true]").focus()
    for key, name in (
        ("ArrowRight", "Tempo"),
        ("ArrowLeft", "Timeline"),
        ("End", "Models"),
        ("ArrowRight", "Timeline"),
    ):
        page.keyboard.press(key)
        expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
        assert page.evaluate("document.activeElement.textContent.trim()") == name


@pytest.mark.browser
def test_in_show_mode_no_tabs_are_seen_and_the_page_has_no_margin(visit: Visit) -> None:
    tabs, main = visit.page.locator("#tabs .tab-wrapper"), visit.page.locator(".gradio-container main")
    sides = "one => getComputedStyle(one).paddingLeft + getComputedStyle(one.querySelector('.column')).paddingBottom"
    assert tabs.is_visible() and main.evaluate(sides) != "0px0px"
    visit.page.evaluate("document.body.classList.add('fb-show')")
    assert not tabs.is_visible() and main.evaluate(sides) == "0px0px"
    visit.page.evaluate("document.body.classList.remove('fb-show')")


@pytest.mark.browser
def test_a_question_put_while_the_stream_of_answers_closes_is_answered(visit: Visit) -> None:
    """The stream closes a moment after the last answer: of 60 questions put then, one or two used to be lost."""
    visit.choose_tab("Models")
    visit.page.wait_for_selector("#hub-address")
    visit.page.evaluate(
        """() => {
          const field = document.querySelector('#hub-address'), message = document.querySelector('.fb-hub-message');
          window.put = 0;
          const next = () => { field.value = `bad${++window.put}`; field.form.requestSubmit(); };
          new MutationObserver((_, watch) => {
            if (!message.textContent.includes(`bad${window.put}'`)) return;
            if (window.put < 60) setTimeout(next, Math.random() * 30);
            else { watch.disconnect(); window.answered = true; }
          }).observe(message, {childList: true, subtree: true});
          next();
        }"""
    )
    visit.page.wait_for_function("window.answered", timeout=ANSWER_MS)


@pytest.mark.browser
@pytest.mark.parametrize("width", [1200, 360])
def test_the_page_has_what_its_script_looks_for(browser: Any, server: Any, width: int) -> None:
    visit = Visit(browser, server.url)
    visit.page.set_viewport_size({"width": width, "height": 800})
    visit.page.wait_for_selector("#tabs [role=tab]")

    assert ask(visit, "gradio.chosenModel()") == "all"
    assert ask(visit, "gradio.openedTab()") == "timeline"
    offered = "new Promise(done => gradio.onModels(models => models.length && done(models)))"
    assert [model["chosen"] for model in ask(visit, offered)].count(True) == 1
    assert ask(visit, "gradio.openTab('library')")
    assert not ask(visit, "gradio.openTab('nowhere')")
    assert visit.page.locator("#tabs [role=tab]").filter(visible=True).count() == 8, "none is put into a menu"
    assert ask(visit, "gradio.openTab('timeline')")
    ask(visit, "gradio.chooseModel('vit')")
    visit.page.wait_for_function("document.querySelector('.fb-model-choice select').value === 'vit'")
    visit.close()
