"""The Live tab as a listener meets it: Chromium's fake microphone plays real music to the real app."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from web_driving import ANSWER_MS, EXAMPLES, FLAGS, Server, chromium

from fluxbeat.audio.decoding import load_audio

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

METAL = EXAMPLES / "metal_muldjord_chaos_god.mp3"
CLASSICAL = EXAMPLES / "classical_john_michel_ave_maria.mp3"
RATE_HZ = 44_100
PAUSE_S, MUSIC_S = 3, 5
WATCH = """() => {
  // when sound begins in what is sent, and when the newest edge of the picture fills and empties
  const watched = window.watched = {began: [], ended: [], filled: [], emptied: [], behind: []};
  let loud = false, full = false, sent = 0, rate = 48000;
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (data) {
    if (typeof data === 'string') { rate = JSON.parse(data).sample_rate_hz; sent = 0; }
    else {
      if (!sent) this.addEventListener('message', event => {
        const {type, end_s: end} = JSON.parse(event.data);
        if (type === 'prediction') watched.behind.push(sent / rate - end);
      });
      sent += data.length;
      const now = data.some(sample => Math.abs(sample) > 300);
      if (now !== loud) (now ? watched.began : watched.ended).push(performance.now() - 1000 * data.length / rate);
      loud = now;
    }
    return send.call(this, data);
  };
  setInterval(() => {
    const canvas = document.querySelector('.fb-live-river canvas');
    if (!canvas?.width) return;
    const column = canvas.getContext('2d').getImageData(canvas.width - 4, 0, 1, canvas.height - 30).data;
    let inked = 0;
    for (let at = 3; at < column.length; at += 4) inked += column[at] > 128;
    const now = inked > 16;      // of some 250 in sure music, 26 where the model is least sure, 2 in silence
    if (now !== full) (now ? watched.filled : watched.emptied).push(performance.now());
    full = now;
  }, 40);
}"""


@pytest.fixture(scope="module")
def chromium_hearing() -> Callable[..., Any]:
    """Chromium with this file as its microphone."""

    @contextmanager
    def opened(server: Server, sound: Path, width: int = 1280, without: str = "") -> Iterator[Any]:
        flags = [flag for flag in FLAGS if not (without and without in flag)]
        flags += [] if without == "fake-device" else [f"--use-file-for-fake-audio-capture={sound}"]
        permissions = [] if without == "fake-ui" else ["microphone"]
        with sync_api.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium(), args=flags)
            page = browser.new_context(viewport={"width": width, "height": 900}, permissions=permissions).new_page()
            outside: list[str] = []
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            local = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")
            page.on("request", lambda asked: None if asked.url.startswith(local) else outside.append(asked.url))
            page.on("websocket", lambda made: None if made.url.startswith(local) else outside.append(made.url))
            page.add_init_script(f"({WATCH})()")
            page.goto(server.url)
            page.get_by_role("tab", name="Live").click()
            page.locator(".fb-live-start").wait_for()
            yield page
            assert outside == []
            assert errors == []
            browser.close()

    return opened


@pytest.fixture(scope="module")
def metal_in_pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Metal for a while, then nothing, over and over."""
    path = tmp_path_factory.mktemp("microphone") / "pieces.wav"
    music = load_audio(METAL, sample_rate_hz=RATE_HZ).samples[: MUSIC_S * RATE_HZ]
    soundfile.write(path, np.append(music, np.zeros(PAUSE_S * RATE_HZ)), RATE_HZ, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def cello(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("microphone") / "cello.wav"
    soundfile.write(path, load_audio(CLASSICAL, sample_rate_hz=RATE_HZ).samples, RATE_HZ, subtype="PCM_16")
    return path


def top_genre(page: Any) -> str:
    return str(page.locator(".fb-live .fb-meter-name").nth(1).inner_text())


def test_what_plays_appears_and_the_recording_is_analysed_in_full(
    server: Server, chromium_hearing: Callable[..., Any], cello: Path
) -> None:
    with chromium_hearing(server, cello) as page:
        start = page.locator(".fb-live-start")
        assert start.inner_text() == "Start listening"
        start.focus()
        page.keyboard.press("Enter")
        page.wait_for_function(
            "document.querySelectorAll('.fb-live .fb-now .fb-meter-name')[0]?.textContent === 'classical'",
            timeout=ANSWER_MS,
        )
        page.wait_for_function("document.querySelector('.fb-live-time').textContent >= '0:06'")
        assert top_genre(page) == "classical"
        assert re.fullmatch(r"−\d+ dB", page.locator(".fb-live-level .fb-meter-number").inner_text())
        assert start.inner_text() == "Stop"
        chip = page.locator(".fb-live-chip")
        for tab in ("Timeline", "Library", "Models"):
            page.get_by_role("tab", name=tab).click()
            assert chip.is_visible()
            assert re.fullmatch(r"Microphone open\s+0:\d\d\s+Stop", chip.inner_text())
        box, stop = chip.bounding_box(), chip.get_by_role("button", name="Stop the microphone")
        assert 0 < box["x"] and box["y"] + box["height"] <= 900  # whole on the screen, however far the page is scrolled
        assert stop.bounding_box()["height"] >= 40
        stop.focus()
        page.keyboard.press("Enter")
        assert not chip.is_visible()
        page.get_by_role("tab", name="Live").click()
        assert start.inner_text() == "Listen again"
        inked = page.evaluate(
            "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)",
            page.locator(".fb-live-river canvas").element_handle(),
        )
        assert page.locator(".fb-live-river").is_visible() and inked
        page.get_by_role("button", name="See it in the Timeline").wait_for(timeout=ANSWER_MS)
        answer = page.locator(".fb-live-kept p").inner_text()
        length = re.fullmatch(r"0:(\d\d) were recorded\. It is your track now, and is analysed in full\.", answer)
        assert length
        page.get_by_role("button", name="See it in the Timeline").focus()
        page.keyboard.press("Enter")
        page.wait_for_function(
            "document.querySelector('#timeline .fb-timeline')?.dataset.file?.startsWith('Live recording')"
            " && document.querySelector('#timeline .js-plotly-plot')?.data?.length",
            timeout=ANSWER_MS,
        )
        assert page.get_by_role("tab", name="Timeline").get_attribute("aria-selected") == "true"
        # the player reads the recording's length on its own time
        page.wait_for_function("document.querySelector('#player audio').duration > 0", timeout=ANSWER_MS)
        played = page.evaluate("document.querySelector('#player audio').duration")
        assert played == pytest.approx(int(length[1]), abs=1.01)
        assert page.locator("#timeline .fb-legend .fb-chip-name").first.inner_text() == "classical"


def test_recording_can_be_saved_as_a_sound_file(
    server: Server, chromium_hearing: Callable[..., Any], cello: Path, tmp_path: Path
) -> None:
    with chromium_hearing(server, cello, width=390) as page:
        page.locator(".fb-live-start").click()
        page.wait_for_function("document.querySelector('.fb-live-time').textContent >= '0:04'", timeout=ANSWER_MS)
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(overflow) <= 0
        page.locator(".fb-live-start").click()
        assert page.evaluate(overflow) <= 0
        with page.expect_download() as download:
            page.get_by_role("button", name="Save as a file").click()
        kept = tmp_path / download.value.suggested_filename
        download.value.save_as(kept)
    assert re.fullmatch(r"Live recording \d{4}-\d\d-\d\d \d\d-\d\d\.wav", kept.name)
    found = soundfile.info(kept)
    assert (found.channels, found.subtype) == (1, "PCM_16")
    assert 3.9 < found.duration < 8
    assert np.abs(soundfile.read(kept)[0]).max() > 0.05


def test_sound_and_silence_reach_the_screen_within_two_seconds(
    server: Server, chromium_hearing: Callable[..., Any], metal_in_pieces: Path
) -> None:
    """From the first sound the page hears to colour at the river's edge, and from the last to none."""
    with chromium_hearing(server, metal_in_pieces) as page:
        page.locator(".fb-live-start").click()
        page.wait_for_function("watched.emptied.length >= 2", timeout=ANSWER_MS)
        page.wait_for_function("document.querySelector('.fb-live-words').textContent.startsWith('Silence')")
        watched = page.evaluate("watched")
    whole = watched["began"][1 : len(watched["ended"])]  # the last sound may have begun a moment ago
    delay = {
        "sound": [delay_after(at, watched["filled"]) for at in whole],
        "silence": [delay_after(at, watched["emptied"]) for at in watched["ended"][:2]],
        "answer": watched["behind"],
    }
    print({name: np.round(values, 2).tolist() for name, values in delay.items() if name != "answer"})
    assert 0 < np.median(delay["sound"]) < 2.0
    assert 0 < np.median(delay["silence"]) < 2.0
    assert 0 <= np.median(delay["answer"]) < 0.5


def delay_after(moment_ms: float, events_ms: list[float]) -> float:
    return next((event for event in events_ms if event > moment_ms), np.inf) / 1000 - moment_ms / 1000


@pytest.mark.parametrize(
    ("without", "answer"),
    [("fake-ui", "The microphone was refused. Allow it"), ("fake-device", "No microphone was found. Connect one")],
)
def test_no_microphone_is_reported_in_place_and_the_page_goes_on(
    server: Server, chromium_hearing: Callable[..., Any], cello: Path, without: str, answer: str
) -> None:
    with chromium_hearing(server, cello, without=without) as page:
        page.locator(".fb-live-start").click()
        trouble = page.locator(".fb-live-trouble[role=alert]")
        trouble.wait_for()
        assert answer in trouble.inner_text()
        assert page.locator(".fb-live-start").inner_text() == "Start listening"
        assert not page.locator(".fb-live-kept").is_visible()


def test_a_server_that_goes_away_leaves_the_recording(
    server: Server, chromium_hearing: Callable[..., Any], cello: Path
) -> None:
    """The last test: it ends the server."""
    with chromium_hearing(server, cello) as page:
        page.locator(".fb-live-start").click()
        page.wait_for_function("document.querySelector('.fb-live-time').textContent >= '0:02'", timeout=ANSWER_MS)
        server.process.kill()
        trouble = page.locator(".fb-live-trouble")
        trouble.wait_for()
        assert "connection to FluxBeat was lost" in trouble.inner_text()
        assert page.get_by_role("button", name="Save as a file").is_visible()
