"""The web app as a listener meets it: Chromium drives `python app.py`, with music that comes with the program."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from visiting import Visit
from web_driving import ANSWER_MS, CHANGE, TECHNO, Server

from fluxbeat.analysis.engine import analyze
from fluxbeat.audio.decoding import load_audio
from fluxbeat.audio.playback import playable_copy
from fluxbeat.charts.wording import segment_name

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

TITLES = ["Consensus", "CNN", "CRNN", "ViT"]  # of the models that come with the program, the default first
TABS = ("Timeline", "Tempo", "Compare")
TABS_OVER_TIME = ("Timeline", "Compare")
NEAR_PX = 4.0


@pytest.fixture(scope="module")
def visitor(browser: Any, server: Server) -> Iterator[Visit]:
    """Another page, on which every test opens a track of its own."""
    visit = Visit(browser, server.url)
    yield visit
    visit.leave()


def test_first_command_serves_the_page(listener: Visit) -> None:
    assert listener.page.title() == "FluxBeat"
    assert listener.page.locator(".fb-masthead h1").inner_text() == "FluxBeat"


def test_river_has_an_area_per_genre_with_its_own_colour_or_hatching(listener: Visit) -> None:
    listener.open("Timeline")
    areas = listener.page.evaluate(
        "document.querySelector('#timeline .js-plotly-plot').data.filter(one => one.meta.role === 'area')"
        ".map(one => ({label: one.meta.label, fill: one.fillcolor, hatching: one.fillpattern.shape,"
        "most: Math.max(...one.y), points: one.y.length}))"
    )
    chips = listener.page.locator("#timeline .fb-legend .fb-chip-name").all_inner_texts()
    drawn_somewhere = {area["label"] for area in areas if area["most"] > 0.1}
    assert drawn_somewhere <= set(chips) <= {area["label"] for area in areas}
    assert len({(area["fill"], area["hatching"]) for area in areas}) == len(areas)
    assert all(area["points"] >= 200 for area in areas)
    assert max(area["most"] for area in areas) > 0.05
    drawn = listener.page.locator("#timeline .scatterlayer .js-fill")
    assert drawn.count() >= len(drawn_somewhere)


@pytest.mark.parametrize("tab", TABS_OVER_TIME)
def test_playhead_follows_the_music_on_every_tab(listener: Visit, tab: str) -> None:
    listener.open(tab)
    listener.seek(5.0)
    listener.page.evaluate("document.querySelector('#player audio').play()")
    listener.page.wait_for_function("document.querySelector('#player audio').currentTime > 5.5")
    seen = []
    for _ in range(4):
        seen.append(listener.playhead(tab))
        time.sleep(0.3)
    listener.page.evaluate("document.querySelector('#player audio').pause()")
    for moment in seen:
        assert moment["moved"] == pytest.approx(moment["at"] / moment["duration"] * moment["width"], abs=NEAR_PX + 3)
        assert moment["width"] == pytest.approx(moment["plotted"], abs=1.0)
    assert seen[-1]["moved"] > seen[0]["moved"] + 10


@pytest.mark.parametrize("tab", TABS_OVER_TIME)
def test_click_moves_the_music_there(listener: Visit, tab: str) -> None:
    listener.open(tab)
    listener.seek(1.0)
    area = listener.area(tab.lower())
    listener.page.locator(f"#{tab.lower()} .fb-frame").first.scroll_into_view_if_needed()
    area = listener.area(tab.lower())
    listener.page.mouse.click(area["x"] + 0.75 * area["width"], area["y"] + area["height"] * 0.5)
    assert listener.at() == pytest.approx(0.75 * listener.duration(), abs=0.3)


def test_drag_scrubs(listener: Visit) -> None:
    listener.open("Timeline")
    area, mouse = listener.area(), listener.page.mouse
    listener.page.locator("#timeline .fb-frame").scroll_into_view_if_needed()
    area = listener.area()
    height = area["y"] + 60
    mouse.move(area["x"] + 0.2 * area["width"], height)
    mouse.down()
    analysed = [listener.at()]
    for share in (0.3, 0.4, 0.5):
        mouse.move(area["x"] + share * area["width"], height, steps=3)
        analysed.append(listener.at())
    mouse.up()
    assert analysed == pytest.approx([share * listener.duration() for share in (0.2, 0.3, 0.4, 0.5)], abs=0.3)
    mouse.move(area["x"] + 0.9 * area["width"], height)
    assert listener.at() == pytest.approx(0.5 * listener.duration(), abs=0.3)


def test_readers_of_the_screen_are_told_what_is_sure_where_the_music_stands(visitor: Visit) -> None:
    """The words are those of the segment, after moves that follow each other quickly too, while the music rests."""
    visitor.give(CHANGE)
    visitor.await_track(CHANGE.name)
    visitor.open("Timeline")
    segments = analyze(CHANGE).segments
    assert segments[0].labels != segments[-1].labels
    spoken = visitor.page.locator("#timeline .fb-stage-spoken")
    for segment in (segments[-1], segments[0], segments[-1]):
        visitor.seek((segment.start_s + segment.end_s) / 2)
        words = " and ".join(segment.labels) or segment_name(segment)
        sync_api.expect(spoken).to_have_text(words, timeout=10_000)


def test_keys_move_and_play(listener: Visit) -> None:
    listener.open("Timeline")
    frame, keyboard = listener.page.locator("#timeline .fb-frame"), listener.page.keyboard
    listener.seek(10.0)
    frame.focus()
    for key, expected in (("ArrowRight", 15), ("ArrowLeft", 10), ("Shift+ArrowRight", 11), ("Home", 0)):
        keyboard.press(key)
        assert listener.at() == pytest.approx(expected, abs=0.1), key
    keyboard.press("End")
    assert listener.at() == pytest.approx(listener.duration(), abs=0.2)
    keyboard.press("Home")
    keyboard.press("Space")
    listener.page.wait_for_function("!document.querySelector('#player audio').paused")
    keyboard.press("Space")
    listener.page.wait_for_function("document.querySelector('#player audio').paused")
    listener.seek(10.0)
    listener.page.wait_for_function(
        "document.querySelector('#timeline .fb-frame').getAttribute('aria-valuenow') === '10'"
    )
    assert frame.get_attribute("role") == "slider"
    assert re.match(r"10 seconds of \d+ seconds", frame.get_attribute("aria-valuetext"))


def test_zoom_keeps_the_playhead_right(listener: Visit) -> None:
    listener.open("Timeline")
    listener.seek(10.0)
    listener.page.locator("#timeline .fb-frame").focus()
    listener.page.keyboard.press("+")
    listener.page.keyboard.press("+")
    listener.page.wait_for_timeout(300)
    zoomed = listener.playhead("Timeline")
    assert zoomed["to"] - zoomed["from"] == pytest.approx(zoomed["duration"] / 1.6**2, rel=0.05)
    share = (zoomed["at"] - zoomed["from"]) / (zoomed["to"] - zoomed["from"])
    assert zoomed["moved"] == pytest.approx(share * zoomed["width"], abs=NEAR_PX)
    for _ in range(4):
        listener.page.keyboard.press("+")
    listener.page.wait_for_timeout(300)
    ticks = listener.page.locator("#timeline .xtick").all_text_contents()
    assert len(set(ticks)) == len(ticks) > 2, "the closest view tells moments within one second apart"
    for _ in range(4):
        listener.page.keyboard.press("-")
    listener.page.wait_for_timeout(300)
    zoomed = listener.playhead("Timeline")
    listener.open("Compare")
    same = listener.playhead("Compare")
    assert [same["from"], same["to"]] == pytest.approx([zoomed["from"], zoomed["to"]], abs=0.05)
    listener.open("Timeline")
    listener.page.locator("#timeline .fb-frame").focus()
    listener.page.keyboard.press("0")
    listener.page.wait_for_timeout(300)
    assert listener.playhead("Timeline")["from"] == pytest.approx(0.0, abs=0.01)


def test_box_zoom_is_one_drag_and_then_drags_scrub_again(listener: Visit) -> None:
    listener.open("Timeline")
    frame = listener.page.locator("#timeline .fb-frame")
    frame.hover()
    frame.locator(".modebar-btn").first.click()
    area, mouse, before = listener.area(), listener.page.mouse, listener.at()
    mouse.move(area["x"] + 0.25 * area["width"], area["y"] + 60)
    mouse.down()
    mouse.move(area["x"] + 0.75 * area["width"], area["y"] + 60, steps=8)
    mouse.up()
    listener.page.wait_for_timeout(400)
    zoomed = listener.playhead("Timeline")
    assert listener.at() == before
    assert [zoomed["from"], zoomed["to"]] == pytest.approx(
        [0.25 * zoomed["duration"], 0.75 * zoomed["duration"]], abs=0.3
    )
    mouse.click(area["x"] + 0.5 * area["width"], area["y"] + 60)
    assert listener.at() == pytest.approx(0.5 * zoomed["duration"], abs=0.3)
    listener.page.keyboard.press("0")


def test_legend_hides_a_genre_everywhere(listener: Visit) -> None:
    listener.open("Timeline")
    chip = listener.page.locator("#timeline .fb-legend .fb-chip").first
    label = chip.get_attribute("data-label")
    visible = (
        "label => [...document.querySelectorAll('.js-plotly-plot')].filter(one => one.clientWidth)"
        ".flatMap(one => one.data).filter(one => one.meta.role === 'area' && one.meta.label === label)"
        ".map(one => one.visible !== false)"
    )
    chip.click()
    assert chip.get_attribute("aria-pressed") == "false"
    listener.page.wait_for_timeout(200)
    assert listener.page.evaluate(visible, label) == [False]
    listener.open("Compare")
    listener.page.wait_for_timeout(300)
    assert listener.page.evaluate(visible, label) == [False] * len(TITLES)
    listener.open("Timeline")
    chip.focus()
    listener.page.keyboard.press("Space")
    listener.page.wait_for_timeout(200)
    assert chip.get_attribute("aria-pressed") == "true"
    assert listener.page.evaluate(visible, label) == [True]


def test_model_can_be_switched(listener: Visit) -> None:
    listener.open("Timeline")
    first = (
        "document.querySelector('#timeline .js-plotly-plot').data"
        ".filter(one => one.meta.role === 'area').map(one => one.y[50])"
    )
    subtitle = listener.page.locator("#timeline .fb-heading p")
    assert "heard by Consensus" in subtitle.inner_text()
    before = listener.page.evaluate(first)
    listener.choose_model("ViT")
    listener.page.wait_for_function(
        "document.querySelector('#timeline .fb-heading p').textContent.includes('heard by ViT')"
    )
    listener.page.wait_for_timeout(300)
    assert listener.page.evaluate(first) != before
    listener.choose_model("Consensus")
    listener.page.wait_for_function(
        "document.querySelector('#timeline .fb-heading p').textContent.includes('heard by Consensus')"
    )
    listener.page.wait_for_timeout(1000)
    listener.open("Compare")  # which the choice leaves as it is, with the player
    assert listener.page.locator(".fb-play").is_enabled()
    assert listener.duration() > 0


WORDS = """tab => {
  const number = colour => colour.match(/[\\d.]+/g).map(Number);
  const ground = element => {
    for (; element; element = element.parentElement) {
      const colour = number(getComputedStyle(element).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.9) return colour.slice(0, 3);
    }
    return number(getComputedStyle(document.body).backgroundColor).slice(0, 3);
  };
  const ink = one => number(getComputedStyle(one)[one.tagName === 'text' ? 'fill' : 'color']).slice(0, 3);
  return [...document.querySelectorAll(`#${tab} :is(h2, h3, p, span, button), #${tab} .xtick text`)]
    .filter(one => one.textContent.trim() && one.getClientRects().length && !one.closest('.fb-spoken, .fb-faint'))
    .map(one => [one.textContent, ink(one), ground(one.closest('.fb-frame') ?? one)]);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_are_readable_in_both_themes(listener: Visit, scheme: str) -> None:
    page = listener.page
    page.evaluate("dark => document.body.classList.toggle('dark', dark)", scheme == "dark")
    page.wait_for_timeout(300)
    for tab in TABS:
        listener.open(tab)
        seen = page.evaluate(WORDS, tab.lower())
        assert len(seen) > 5
        for words, ink, ground in seen:
            assert contrast(ink, ground) >= 4.5, (tab, words, ink, ground)
    paper = page.evaluate("document.querySelector('#compare .js-plotly-plot').layout.paper_bgcolor")
    page.evaluate("document.body.classList.remove('dark')")
    page.wait_for_timeout(300)
    assert paper == {"light": "#ffffff", "dark": "#1b1e26"}[scheme]


def contrast(one: list[float], other: list[float]) -> float:
    """WCAG 2 contrast of two sRGB colours, 0 to 255 per channel."""

    def luminance(colour: list[float]) -> float:
        scaled = np.array(colour) / 255
        linear = np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    high, low = sorted([luminance(one), luminance(other)], reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_bad_file_is_explained_and_the_page_goes_on(visitor: Visit, tmp_path: Path) -> None:
    visitor.give(TECHNO)
    visitor.await_track(TECHNO.name)
    bad = tmp_path / "notes.mp3"
    bad.write_text("These are words, and no music at all. " * 200)
    visitor.give(bad)
    notice = visitor.page.locator(".fb-notice[role=alert]")
    notice.wait_for(timeout=ANSWER_MS)
    assert "notes.mp3" in notice.inner_text()
    assert "not an audio file" in notice.inner_text()
    assert TECHNO.name in visitor.file()
    visitor.page.wait_for_function(f"document.querySelector('#player audio')?.currentSrc.includes('{TECHNO.name}')")
    visitor.give(CHANGE)
    visitor.await_track(CHANGE.name)
    assert not notice.is_visible()


def test_bad_file_is_explained_where_it_is_the_first_one(visitor: Visit, tmp_path: Path) -> None:
    bad = tmp_path / "empty.wav"
    bad.write_bytes(b"RIFF")
    visitor.give(bad)
    notice = visitor.page.locator(".fb-notice[role=alert]")
    notice.wait_for(timeout=ANSWER_MS)
    assert "empty.wav" in notice.inner_text()
    visitor.give(TECHNO)
    visitor.await_track(TECHNO.name)


def test_a_file_on_its_way_is_told_and_can_be_called_back(listener: Visit) -> None:
    page, held, shown = listener.page, list[Any](), listener.file()
    page.route("**/gradio_api/upload", lambda route: held.append(route))
    listener.give(CHANGE)
    status = page.locator("#status")
    status.get_by_text(f"Sending {CHANGE.name}").wait_for()
    assert page.evaluate("document.body.classList.contains('fb-locked')")
    status.get_by_role("button", name="Cancel").click()
    page.wait_for_function("!document.body.classList.contains('fb-locked')")
    assert not status.is_visible()
    page.unroute("**/gradio_api/upload")
    assert len(held) == 1
    page.wait_for_timeout(500)
    assert listener.file() == shown  # and stays
    assert not page.locator("#notice").is_visible()


def test_file_name_is_never_read_as_html(visitor: Visit, tmp_path: Path) -> None:
    name = "<img src=x onerror=document.title='hacked'> & ünï.mp3"
    odd = tmp_path / name
    shutil.copyfile(TECHNO, odd)
    visitor.give(odd)
    visitor.await_track("<img src=x")
    assert visitor.page.locator("#timeline .fb-track-name").get_attribute("title") == name
    assert visitor.page.locator("#timeline .fb-facts img").count() == 0
    assert visitor.page.title() == "FluxBeat"


def test_aiff_becomes_playable(visitor: Visit, tmp_path: Path) -> None:
    audio = load_audio(TECHNO, sample_rate_hz=44_100)
    aiff = tmp_path / "loop.aiff"
    soundfile.write(aiff, audio.samples[: 12 * 44_100], 44_100, format="AIFF", subtype="PCM_16")
    visitor.give(aiff)
    visitor.await_track("loop.aiff")
    visitor.page.wait_for_function("document.querySelector('#player audio').currentSrc.endsWith('.mp3')")
    visitor.page.wait_for_function("document.querySelector('#player audio').duration > 11")
    assert visitor.duration() == pytest.approx(12.0, abs=0.2)
    visitor.page.evaluate("document.querySelector('#player audio').play()")
    visitor.page.wait_for_function("document.querySelector('#player audio').currentTime > 0.3")


def test_what_the_browser_calls_video_can_be_dropped_anywhere(visitor: Visit, tmp_path: Path) -> None:
    """The player itself refuses video/webm; the name says WebM, what is inside is what counts."""
    webm = playable_copy(TECHNO, tmp_path / "session.webm")
    data = webm.read_bytes()
    visitor.page.evaluate(
        """bytes => {
          const held = new DataTransfer();
          held.items.add(new File([new Uint8Array(bytes)], 'session.webm', {type: 'video/webm'}));
          const drop = new DragEvent('drop', {dataTransfer: held, bubbles: true, cancelable: true});
          document.querySelector('.fb-masthead').dispatchEvent(drop);
        }""",
        list(data[: len(data) // 3]),
    )
    visitor.await_track("session.webm")


def test_newer_track_supersedes_the_one_before(visitor: Visit, tmp_path: Path) -> None:
    audio = load_audio(CHANGE, sample_rate_hz=22_050)
    long = tmp_path / "long.wav"
    soundfile.write(long, np.tile(audio.samples, 40), 22_050, subtype="PCM_16")
    visitor.give(long)
    visitor.page.wait_for_function(
        "document.querySelector('#status').textContent.includes('Listening')", timeout=ANSWER_MS
    )
    visitor.give(TECHNO)
    visitor.await_track(TECHNO.name)
    visitor.page.wait_for_timeout(1500)
    assert TECHNO.name in visitor.file()


@pytest.mark.parametrize("width", [360])
def test_phone_needs_no_sideways_scrolling(browser: Any, server: Server, width: int) -> None:
    visit = Visit(browser, server.url, width=width, height=780, scheme="dark")
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert visit.page.evaluate(overflow) <= 0
    visit.give(CHANGE)
    visit.await_track(CHANGE.name)
    assert visit.page.evaluate("document.body.classList.contains('dark')")
    for tab in TABS:
        visit.open(tab)
        visit.page.wait_for_timeout(200)
        assert visit.page.evaluate(overflow) <= 0, tab
        chart = visit.page.locator(f"#{tab.lower()} .fb-frame").first.bounding_box()
        assert chart["width"] > 0.8 * width
        assert chart["x"] + chart["width"] <= width
    visit.leave()
