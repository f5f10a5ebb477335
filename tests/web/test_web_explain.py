"""The Explain tab in the browser: the genre of a moment, seen, read, heard and weighed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from visiting import Visit
from web_driving import ANSWER_MS, CHANGE, Server

from fluxbeat.charts.wording import clock

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

SETTLED = "#explain .fb-explain:not([aria-busy])"


@pytest.fixture(scope="module")
def visit(browser: Any, server: Server) -> Iterator[Visit]:
    visit = Visit(browser, server.url)
    visit.give(CHANGE)
    visit.await_track(CHANGE.name)
    visit.seek(26.0)  # the piece begins as metal and ends calmly
    visit.open("Explain")
    visit.page.wait_for_selector(".fb-window .heatmaplayer", timeout=ANSWER_MS)
    visit.page.wait_for_selector(SETTLED, timeout=ANSWER_MS)
    yield visit
    visit.leave()


def settled(visit: Visit) -> None:
    visit.page.wait_for_selector(SETTLED, timeout=ANSWER_MS)


def asked_for(visit: Visit, words: str) -> None:
    """Until every model's picture is about these words."""
    visit.page.wait_for_function(
        "words => { const rows = [...document.querySelectorAll('.fb-explain-row')];"
        " return rows.length && rows.every(row => row.innerText.includes(words)); }",
        arg=words,
        timeout=ANSWER_MS,
    )


def test_every_model_explains_the_moment_of_the_player(visit: Visit) -> None:
    rows = visit.page.locator(".fb-explain-row")
    assert rows.count() == 4
    assert [rows.nth(index).get_attribute("data-model") for index in range(4)] == ["all", "cnn", "crnn", "vit"]
    images = visit.page.evaluate(
        "[...document.querySelectorAll('.fb-window .fb-plot')].map(plot => plot.data.map(trace => trace.z.length))"
    )
    assert images == [[80, 80]] * 4
    ticks = visit.page.locator(".fb-window .ytick text").all_text_contents()
    assert {"bass", "low mids", "voice", "cymbals"} <= set(ticks)
    for row in rows.all():
        badge, why = row.locator(".fb-trust"), row.locator(".fb-measured").inner_text()
        assert badge.is_visible() is ("fifth" in why)
        if badge.is_visible():
            assert badge.inner_text().startswith("Measured: what is marked counts")


def test_a_click_on_the_timeline_explains_the_music_there(visit: Visit) -> None:
    before = visit.page.locator("#explain select").input_value()
    box = visit.page.locator("#explain .fb-frame[role=slider]").bounding_box()
    visit.page.mouse.click(box["x"] + 0.12 * box["width"], box["y"] + box["height"] / 2)
    visit.page.wait_for_function(
        "before => document.querySelector('#explain select').value !== before", arg=before, timeout=ANSWER_MS
    )
    settled(visit)
    assert visit.page.locator("#explain select").input_value() in ("metal", "rock")
    start_s = visit.page.evaluate("document.querySelector('.fb-window .fb-plot').data[0].x[0] / 1000 - 86400")
    assert start_s < 0.2 * visit.duration()
    marked = visit.page.evaluate(
        "[...document.querySelectorAll('.fb-window .fb-plot')]"
        ".map(plot => Math.max(...plot.data[1].z.flat().map(Number)))"
    )
    assert max(marked) > 100


def test_a_region_in_words_moves_the_player_there(visit: Visit) -> None:
    first = visit.page.locator(".fb-regions button").first
    assert re.fullmatch(r"[a-z ]+, \d:\d\d( to \d:\d\d)?", first.inner_text())
    told = re.match(r"([\d.]+)–.* Hz", first.get_attribute("title"))
    assert told
    first.click()
    assert abs(visit.at() - float(told[1])) < 0.3


def test_pointing_at_an_image_reads_it(visit: Visit) -> None:
    row = visit.page.locator(".fb-explain-row").first
    box = row.locator(".fb-window").bounding_box()
    visit.page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.6 * box["height"])
    visit.page.wait_for_function(
        "document.querySelector('.fb-explain-row .fb-readout').textContent"
        ".match(/^[a-z ]+ \\([\\d,]+ Hz\\) at [\\d.]+ s: .*for it$/)"
    )


def test_another_genre_and_fewer_models_can_be_asked_for(visit: Visit) -> None:
    visit.page.locator("#explain select").select_option("classical")
    asked_for(visit, "classical")
    settled(visit)
    visit.page.get_by_role("button", name="ViT", exact=True).click()
    visit.page.wait_for_function("document.querySelectorAll('.fb-explain-row').length === 3", timeout=ANSWER_MS)
    visit.page.get_by_role("button", name="ViT", exact=True).click()
    visit.page.wait_for_function("document.querySelectorAll('.fb-explain-row').length === 4", timeout=ANSWER_MS)
    settled(visit)


def test_the_tempo_can_be_asked_for(visit: Visit) -> None:
    visit.page.locator("#explain select").select_option("tempo")
    asked_for(visit, "BPM")
    settled(visit)


def test_the_marks_can_be_made_paler(visit: Visit) -> None:
    shown = "document.querySelector('.fb-window .fb-plot').data[1].opacity"
    visit.page.locator("#explain input[type=range]").fill("20")
    visit.page.wait_for_function(f"{shown} === 0.2")
    visit.page.locator("#explain input[type=range]").fill("85")
    visit.page.wait_for_function(f"{shown} === 0.85")


LOUDNESS = """() => {
  // what each part of the loop would sound like: gains as they are now, by the part's name
  const made = window.loopGains = [];
  const Gain = window.GainNode;
  window.GainNode = class extends Gain { constructor(...given) { super(...given); made.push(this); } };
}"""


def test_what_counts_is_soloed_and_muted_in_a_loop_and_one_sound_plays_at_a_time(visit: Visit) -> None:
    page, row = visit.page, visit.page.locator(".fb-explain-row").first
    page.locator("#explain select").select_option("metal")
    asked_for(visit, "metal")
    settled(visit)
    page.evaluate(LOUDNESS)
    playing = "!document.querySelector('#player audio').paused"
    page.evaluate("document.querySelector('#player audio').play()")
    page.wait_for_function(playing)
    solo, mute, everything = (
        row.get_by_role("button", name=name, exact=True)
        for name in ("Only what counts", "Everything else", "Everything")
    )
    stop = row.get_by_role("button", name="Stop", exact=True)
    assert solo.bounding_box()["height"] >= 40
    solo.click()
    sync_api.expect(solo).to_have_attribute("aria-pressed", "true", timeout=ANSWER_MS)
    assert page.evaluate(playing) is False
    assert "in a loop" in row.locator(".fb-listen").inner_text()
    for button, gains in ((solo, [1, 0]), (mute, [0, 1]), (everything, [1, 1])):
        button.click()
        sync_api.expect(button).to_have_attribute("aria-pressed", "true")
        page.wait_for_function(
            "gains => loopGains.length === 2"
            " && loopGains.every((one, at) => Math.abs(one.gain.value - gains[at]) < 0.02)",
            arg=gains,
        )  # two nodes throughout: it is one loop, that goes on where it is
    stop.click()
    assert not stop.is_visible()
    assert everything.get_attribute("aria-pressed") == "false"
    mute.click()
    stop.wait_for()
    page.evaluate("document.querySelector('#player audio').play()")
    stop.wait_for(state="hidden")
    page.evaluate("document.querySelector('#player audio').pause()")


def test_a_chosen_genre_gives_way_where_it_is_absent(visit: Visit) -> None:
    page = visit.page
    page.locator("#explain select").select_option("metal")
    asked_for(visit, "metal")
    settled(visit)
    page.locator("#explain .fb-frame[role=slider]").scroll_into_view_if_needed()
    box = page.locator("#explain .fb-frame[role=slider]").bounding_box()
    page.mouse.click(box["x"] + 0.95 * box["width"], box["y"] + box["height"] / 2)
    page.wait_for_function("document.querySelector('#explain select').value !== 'metal'", timeout=ANSWER_MS)
    settled(visit)
    assert page.locator(".fb-absent").inner_text().startswith("No metal here: this is about ")


def test_the_whole_track_says_what_carried_each_segment(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Show what carried each segment").click()
    visit.page.wait_for_selector("#whole .heatmaplayer", timeout=ANSWER_MS)
    answer = visit.page.locator("#whole .fb-segments li").all_inner_texts()
    assert any("metal" in line for line in answer)
    assert "Hz" in visit.page.locator("#whole .fb-segments button").first.get_attribute("title")


def test_it_fits_a_phone_and_a_new_track_begins_anew(browser: Any, server: Server) -> None:
    visit = Visit(browser, server.url, width=390, scheme="dark")
    visit.page.get_by_role("tab", name="Explain").click()
    visit.give(CHANGE)
    visit.await_track(CHANGE.name)
    visit.page.get_by_role("tab", name="Explain").click()
    visit.page.wait_for_selector(".fb-window .heatmaplayer", timeout=ANSWER_MS)
    settled(visit)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    visit.leave()


def test_coming_back_to_the_tab_explains_where_the_player_is(visit: Visit) -> None:
    visit.page.get_by_role("tab", name="Timeline").click()
    visit.seek(24.0)
    visit.page.get_by_role("tab", name="Explain").click()
    visit.page.wait_for_function(
        "document.querySelector('.fb-window .fb-plot')?.data[0].x[0] / 1000 - 86400 > 15", timeout=ANSWER_MS
    )
    settled(visit)


LATE = """async () => {
  const {explain} = await import(new URL('static/fluxbeat/explain.js', document.baseURI));
  const host = document.createElement('section'), show = explain(host, () => {});
  host.id = 'late';
  document.body.replaceChildren(host);
  const model = {model: 'cnn', title: 'CNN', about: 'rock', regions: []}, pixels = btoa("a".repeat(160));
  const shared = {key: 'late', duration_s: 7200, window_s: 8, choices: [{label: 'rock'}]};
  const window = {start_s: 3725, window_s: 8, frames: 80, frame_rate_hz: 10, level: pixels,
    places: [], band_hz: [], registers: []};
  const river = {data: [], layout: {xaxis: {type: 'date'}, yaxis: {}, margin: {l: 34, r: 12, t: 6, b: 26}}};
  show({...shared, models: [{name: 'cnn', title: 'CNN'}], river});
  show({...shared, about: 'rock', start_s: 3725, rows: [{...model, map: pixels, window}]});
}"""


def test_times_over_an_hour_read_as_everywhere(browser: Any, server: Server) -> None:
    late = Visit(browser, server.url)
    late.page.evaluate(LATE)
    late.page.wait_for_selector("#late .fb-window .xtick text")
    ticks = late.page.locator("#late .fb-window .xtick text").all_text_contents()
    assert ticks == [clock(at_s) for at_s in range(3725, 3733)]
    assert ticks[0] == "1:02:05"
    strip = late.page.locator("#late .fb-frame:not(.fb-window) .xtick text").all_text_contents()
    assert strip == [clock(at_s) for at_s in range(0, 7201, 600)]
    late.close()
