"""The page around the stage: what it opens with, the header, the player that never leaves, and how it waits."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image
from test_web_browser import contrast
from visiting import Visit
from web_driving import ANSWER_MS, CHANGE, TECHNO, Server

from fluxbeat.analysis.summary import whole_bpm
from fluxbeat.audio.decoding import load_audio
from fluxbeat.models.registry import load
from fluxbeat.web.ui.example_tracks import read_examples

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

OPENING = read_examples()[0]
TARGETS = """selector => [...document.querySelectorAll(`${selector} :is(button, select, input)`)]
  .filter(one => one.getClientRects().length && one.type !== 'file').map(one => {
    const box = one.getBoundingClientRect();
    return {name: one.getAttribute('aria-label') ?? one.textContent, width: box.width, height: box.height,
      left: box.left, right: box.right, middle: (box.top + box.bottom) / 2};
  })"""
LEAST_TARGET_PX = 40
RIVER = """document.querySelector('#timeline .js-plotly-plot').data.filter(one => one.meta.role === 'area')
  .flatMap(one => one.y.map((high, at) => [at / one.y.length, high]))"""
PLAYING = "!document.querySelector('#player audio').paused"


@pytest.fixture(scope="module")
def opened(browser: Any, server: Server) -> Iterator[Visit]:
    """A page on which nobody has given anything, where the first test finds it as it opened."""
    visit = Visit(browser, server.url, width=1440)
    visit.await_track(OPENING.title)
    yield visit
    visit.leave()


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty minutes of music."""
    path = tmp_path_factory.mktemp("long") / "long.wav"
    audio = load_audio(CHANGE, sample_rate_hz=22_050)
    soundfile.write(path, np.tile(audio.samples, 40), 22_050, subtype="PCM_16")
    return path


def box(visit: Visit, selector: str) -> dict[str, float]:
    return dict(visit.page.locator(selector).first.bounding_box())


def test_the_first_example_is_drawn_and_one_big_button_plays_it(opened: Visit) -> None:
    page = opened.page
    about = page.locator(".fb-about").inner_text()
    assert "Nothing leaves this machine" in about
    assert all(label in about for label in load("all").network.config.labels)
    big, area = box(opened, ".fb-big-play"), box(opened, "#timeline .fb-frame")
    assert big["width"] >= 80
    assert area["x"] < big["x"] < area["x"] + area["width"]
    page.locator(".fb-big-play").click()
    page.wait_for_function(PLAYING)
    assert page.locator(".fb-big-play").is_hidden()
    page.keyboard.press("Space")
    page.wait_for_function(f"!({PLAYING})")


def test_the_header_is_one_row_and_opens_and_records_with_one_button_each(opened: Visit) -> None:
    assert box(opened, ".fb-masthead")["height"] <= 64
    tabs, tools = box(opened, "#tabs [role=tablist]"), box(opened, ".fb-tools")
    assert tabs["y"] + tabs["height"] <= 64
    assert tabs["x"] + tabs["width"] <= tools["x"]
    named = [one["name"] for one in opened.page.evaluate(TARGETS, ".fb-tools")]
    assert len([name for name in named if "ecord" in name]) == len([name for name in named if "pen" in name]) == 1
    assert opened.page.locator("input[type=file]:not(#open-files)").evaluate_all(
        "all => all.filter(one => one.getClientRects().length).length"
    ) == 0  # fmt: skip


def test_the_chosen_tab_is_readable(opened: Visit) -> None:
    page = opened.page
    chosen = page.locator("#tabs [role=tab][aria-selected=true]")
    seen = chosen.evaluate(
        "one => [getComputedStyle(one).color, getComputedStyle(one).backgroundColor].map(c => c.match(/\\d+/g).map(Number).slice(0, 3))"  # noqa: E501
    )
    assert contrast(*seen) >= 4.5


def test_an_example_is_two_clicks_away_and_the_keyboard_stays_where_it_was(opened: Visit) -> None:
    page = opened.page
    page.get_by_role("button", name="Examples").press("Enter")
    card = page.locator(".fb-example").nth(2)
    assert "CC" in card.inner_text()
    assert card.locator("a").get_attribute("href").startswith("https://creativecommons.org/")
    top = box(opened, "#timeline .fb-frame")["y"]
    title = card.locator(".fb-example-title").inner_text()
    card.locator("button").press("Enter")
    assert page.evaluate("document.activeElement.className").endswith("fb-examples-button")
    opened.await_track(title)
    assert page.locator(".fb-examples").is_hidden()
    assert page.locator(".fb-about").is_hidden()
    assert box(opened, "#timeline .fb-frame")["y"] <= top
    assert page.evaluate("document.activeElement.className").endswith("fb-examples-button")


def test_the_player_stays_on_the_screen_and_tells_what_sounds(listener: Visit) -> None:
    page = listener.page
    for tab in ("Models", "Timeline"):
        listener.choose_tab(tab)
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        bar = box(listener, ".fb-bar")
        assert bar["y"] + bar["height"] == pytest.approx(900, abs=1)
        height = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--fb-bar-height')")
        assert float(height.removesuffix("px")) == pytest.approx(bar["height"], abs=1)
    page.evaluate("window.scrollTo(0, 0)")
    listener.seek(12.0)
    sync_api.expect(page.locator(".fb-time b")).to_have_text("0:12")
    sync_api.expect(page.locator(".fb-bar-genre").first).to_have_text(re.compile("^electronic, (clear|likely)$"))
    assert page.locator(".fb-bar-bpm input").input_value() == "130"


def test_space_plays_from_anywhere_but_where_it_has_its_own_meaning(listener: Visit) -> None:
    page = listener.page
    page.locator("body").click(position={"x": 4, "y": 400})
    page.keyboard.press("Space")
    page.wait_for_function(PLAYING)
    page.locator(".fb-bar-bpm input").focus()
    page.keyboard.press("Space")
    assert page.evaluate(PLAYING)
    page.keyboard.press("Escape")
    page.locator(".fb-play").click()
    page.wait_for_function(f"!({PLAYING})")
    page.get_by_role("button", name="Save …").focus()
    page.keyboard.press("Space")
    assert not page.evaluate(PLAYING)
    page.keyboard.press("Escape")


def test_what_plays_next_stops_what_played_before(listener: Visit) -> None:
    page = listener.page
    page.evaluate(
        """async () => {
          const {alone} = await import(new URL('static/fluxbeat/sound_now.js', document.baseURI));
          window.other = alone(new Audio(document.querySelector('#player audio').src));
          document.querySelector('#player audio').play();
        }"""
    )
    page.wait_for_function(PLAYING)
    page.evaluate("other.play()")
    page.wait_for_function(f"!other.paused && !({PLAYING})")
    page.locator(".fb-play").click()
    page.wait_for_function(f"other.paused && {PLAYING}")
    page.locator(".fb-play").click()


def number(listener: Visit) -> int:
    return int(listener.page.locator(".fb-bar-bpm input").input_value())


def test_the_tempo_is_halved_doubled_and_taken_back_in_the_bar(listener: Visit) -> None:
    page, found = listener.page, number(listener)
    page.get_by_role("button", name="Halve the tempo").click()
    assert number(listener) == pytest.approx(found / 2, abs=1)
    page.get_by_role("button", name="Double the tempo").click()
    page.get_by_role("button", name="Double the tempo").click()
    assert number(listener) == pytest.approx(found * 2, abs=1)
    listener.open("Tempo")
    assert "your choice" in page.locator(".fb-own-choice").inner_text()
    listener.open("Compare")
    sync_api.expect(page.locator("#compare")).to_contain_text(f"{number(listener)} BPM", timeout=ANSWER_MS)
    page.get_by_role("button", name="Back to the tempo").click()
    assert number(listener) == found
    sync_api.expect(page.locator("#compare")).not_to_contain_text(f"{2 * found} BPM", timeout=ANSWER_MS)


def test_the_answer_to_an_earlier_tempo_never_undoes_a_later_one(listener: Visit) -> None:
    """Three clicks at once: the first one's answer comes when the third is already shown."""
    page, found = listener.page, number(listener)
    page.evaluate(
        """() => {
          const field = document.querySelector('.fb-bar-bpm input');
          const [halve, double] = ['Halve', 'Double'].map(name => document.querySelector(`[aria-label^=${name}]`));
          for (const one of [halve, double, double]) one.click();
          window.seen = new Set([field.value]);
          setInterval(() => window.seen.add(field.value), 5);
        }"""
    )
    listener.open("Compare")
    sync_api.expect(page.locator("#compare")).to_contain_text(f"{2 * found} BPM", timeout=ANSWER_MS)
    assert page.evaluate("[...window.seen]") == [str(2 * found)]
    page.get_by_role("button", name="Back to the tempo").click()
    sync_api.expect(page.locator("#compare")).not_to_contain_text(f"{2 * found} BPM", timeout=ANSWER_MS)


def test_the_tempo_is_tapped_typed_and_clicked_along(listener: Visit) -> None:
    listener.open("Tempo")
    page = listener.page
    page.locator("body").click(position={"x": 4, "y": 400})
    for _ in range(6):
        page.keyboard.press("t")
        page.wait_for_timeout(500)
    tapped = page.get_by_role("button", name=re.compile(r"^Set [\d.]+"))
    bpm = float(re.search(r"[\d.]+", tapped.inner_text())[0])
    assert 40 < bpm < 125  # the waits are at least half a second
    tapped.click()
    assert number(listener) == int(whole_bpm(bpm))
    field = page.get_by_label("type your own")
    field.fill("97.5")
    field.press("Enter")
    sync_api.expect(page.locator(".fb-own-choice")).to_contain_text("98 BPM")
    page.get_by_role("button", name="Back to the tempo").click()
    click = page.get_by_role("button", name="Click on the beats")
    click.click()
    sync_api.expect(click).to_have_attribute("data-clicked", re.compile(r"\d+"), timeout=8000)
    click.click()
    page.locator(".fb-play").click()


def test_a_link_to_the_moment_is_kept_and_followed_and_a_reload_keeps_the_track(
    listener: Visit, browser: Any, server: Server
) -> None:
    page = listener.page
    listener.seek(13.5)
    page.wait_for_function("location.hash === '#t=13.5'")
    token = page.evaluate("sessionStorage.getItem('fluxbeat-track')")
    assert len(token) >= 32
    page.reload()
    page.wait_for_selector(".fb-cancel", state="attached")
    listener.await_track(TECHNO.name)
    page.wait_for_function("Math.abs(document.querySelector('#player audio').currentTime - 13.5) < 0.1")
    page.goto("about:blank")
    page.go_back()
    listener.await_track(TECHNO.name)
    assert page.evaluate("sessionStorage.getItem('fluxbeat-track')") == token
    other = Visit(browser, f"{server.url}#t=20")
    other.await_track(OPENING.title)
    other.page.wait_for_function("Math.abs(document.querySelector('#player audio').currentTime - 20) < 0.1")
    assert other.page.evaluate("sessionStorage.getItem('fluxbeat-track')") != token
    other.close()


def test_a_new_track_locks_the_old_one_at_once_and_cancel_gives_it_back(listener: Visit, long: Path) -> None:
    page = listener.page
    listener.choose_tab("Timeline")
    before = page.evaluate("document.querySelector('#player audio').currentSrc")
    tops = box(listener, "#timeline .fb-frame")["y"]
    listener.give(long)
    assert page.evaluate("document.body.classList.contains('fb-locked') && document.querySelector('#timeline').inert")
    page.wait_for_function("document.body.classList.contains('fb-so-far')", timeout=ANSWER_MS)
    assert re.fullmatch(r"(0:30|4:00) of 19:\d\d so far\.", page.locator("#timeline h2").inner_text())
    river = page.evaluate(RIVER)
    assert max(most for share, most in river if share < 0.02) > 0.2
    assert max(most for share, most in river if share > 0.25) == 0
    sync_api.expect(page.locator("#timeline")).to_have_css("opacity", "1")
    page.locator(".fb-waiting", has_text="Listening").wait_for(timeout=ANSWER_MS)
    page.locator(".fb-left", has_text=re.compile(r"^\d+:\d\d left$")).wait_for(timeout=ANSWER_MS)
    assert box(listener, "#timeline .fb-frame")["y"] == tops
    page.locator(".fb-cancel").click()
    page.wait_for_function("!document.body.classList.contains('fb-locked')", timeout=ANSWER_MS)
    listener.await_track(TECHNO.name)
    assert not page.evaluate("document.body.classList.contains('fb-so-far')")
    assert page.evaluate("document.querySelector('#player audio').currentSrc") == before
    page.wait_for_timeout(2000)
    assert page.locator(".fb-status").is_hidden(), "it was really cancelled"


def test_show_mode_leaves_the_river_alone_on_the_screen(listener: Visit) -> None:
    page = listener.page
    page.locator("body").click(position={"x": 4, "y": 400})
    page.keyboard.press("f")
    page.wait_for_function("document.body.classList.contains('fb-show')")
    for hidden in (".fb-masthead", ".fb-bar", "#save", "#tabs [role=tablist]"):
        assert not page.locator(hidden).is_visible(), hidden
    stage = page.locator("#timeline .fb-stage")
    page.wait_for_function("document.querySelectorAll('#timeline .fb-layer-name:not([hidden])').length === 1")
    page.wait_for_timeout(500)
    assert stage.bounding_box()["height"] > 0.95 * page.viewport_size["height"]
    image = Image.open(io.BytesIO(stage.screenshot())).convert("RGB")
    ground = max(image.getcolors(image.width * image.height))[1]
    shown = np.abs(np.asarray(image, np.int16) - np.array(ground, np.int16)).max(axis=2) > 30
    assert shown.mean() > 0.15, "the streams are seen, not only their names"
    page.keyboard.press("Escape")
    page.wait_for_function("!document.body.classList.contains('fb-show')")
    assert page.locator(".fb-bar").is_visible()


def test_record_opens_the_one_microphone_and_stops_it_from_any_tab(listener: Visit) -> None:
    page = listener.page
    page.locator(".fb-play").click()
    record, sign, stop = page.locator(".fb-record"), page.locator(".fb-live-chip"), page.locator(".fb-live-start")
    record.click()
    sync_api.expect(stop).to_have_text("Stop", timeout=ANSWER_MS)
    sync_api.expect(record).to_be_hidden(timeout=ANSWER_MS)
    assert not page.evaluate(PLAYING)
    assert not sign.is_visible(), "one sign and one stop in each place"
    assert stop.evaluate("one => one === document.activeElement")
    listener.choose_tab("Models")
    sync_api.expect(sign).to_be_visible()
    sign.get_by_role("button", name="Stop the microphone").click()
    sync_api.expect(record).to_be_visible(timeout=ANSWER_MS)


@pytest.mark.parametrize("scheme", ["dark"])
def test_a_phone_has_all_of_the_player_in_two_rows_of_targets_for_a_thumb(
    browser: Any, server: Server, scheme: str
) -> None:
    visit = Visit(browser, server.url, width=390, height=844, scheme=scheme)
    visit.await_track(OPENING.title)
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert visit.page.evaluate(overflow) <= 0
    targets = [one for part in (".fb-bar", ".fb-tools", "#save") for one in visit.page.evaluate(TARGETS, part)]
    assert {"Play", "Halve the tempo", "Click on the beats", "Save …"} <= {one["name"] for one in targets}
    for one in targets:
        if not one["name"].startswith("Tempo in beats"):
            assert min(one["width"], one["height"]) >= LEAST_TARGET_PX, one
        assert 0 <= one["left"] <= one["right"] <= 390, one
    middles = sorted(one["middle"] for one in visit.page.evaluate(TARGETS, ".fb-bar"))
    assert sum(after - before > 20 for before, after in pairwise(middles)) <= 1, "more than two rows"
    assert box(visit, ".fb-bar")["height"] <= 130
    visit.page.locator(".fb-examples-button").click()
    visit.choose_model("ViT")
    visit.page.get_by_role("button", name="Save …").click()
    shown = box(visit, "#save-list")
    assert shown["y"] >= 0
    assert shown["y"] + shown["height"] <= box(visit, ".fb-bar")["y"]
    assert visit.errors == []
    visit.close()
