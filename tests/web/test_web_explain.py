"""The Explain tab in the browser: the genre of a moment, seen, read, heard and weighed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from test_web_browser import Visit
from web_driving import ANSWER_MS, CHANGE, Server

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
    assert visit.outside == []
    assert visit.errors == []
    visit.close()


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
    pictures = visit.page.evaluate(
        "[...document.querySelectorAll('.fb-window .fb-plot')].map(plot => plot.data.map(trace => trace.z.length))"
    )
    assert pictures == [[80, 80]] * 4
    ticks = visit.page.locator(".fb-window .ytick text").all_text_contents()
    assert {"250", "1,000", "4,000"} <= set(ticks)
    for index in range(4):
        assert "fifth" in rows.nth(index).inner_text()
        assert rows.nth(index).locator(".fb-trust").inner_text().startswith("This picture is")


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
    assert "Hz" in first.inner_text()
    seconds = float(first.inner_text().split("–")[0])
    first.click()
    assert abs(visit.at() - seconds) < 0.3


def test_pointing_at_a_picture_reads_it(visit: Visit) -> None:
    row = visit.page.locator(".fb-explain-row").first
    box = row.locator(".fb-window").bounding_box()
    visit.page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.6 * box["height"])
    visit.page.wait_for_function(
        "document.querySelector('.fb-explain-row .fb-readout').textContent.includes('Hz: speaks for it')"
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


def test_what_counts_and_the_rest_can_be_heard(visit: Visit) -> None:
    visit.page.locator("#explain select").select_option("metal")
    asked_for(visit, "metal")
    settled(visit)
    row = visit.page.locator(".fb-explain-row").first
    for name in ("The window", "Only what counts", "Only the rest"):
        with visit.page.expect_response(lambda answer: ".wav" in answer.url, timeout=ANSWER_MS) as sent:
            row.get_by_role("button", name=name).click()
        assert sent.value.ok
        row.get_by_text("Playing …").wait_for(timeout=ANSWER_MS)


def test_the_whole_track_says_what_carried_each_segment(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Show what carried each segment").click()
    visit.page.wait_for_selector("#whole .heatmaplayer", timeout=ANSWER_MS)
    said = visit.page.locator("#whole .fb-segments li").all_inner_texts()
    assert any("metal" in line and "Hz" in line for line in said)


def test_it_fits_a_phone_and_a_new_track_begins_anew(browser: Any, server: Server) -> None:
    visit = Visit(browser, server.url, width=390, scheme="dark")
    visit.page.get_by_role("tab", name="Explain").click()
    visit.page.get_by_text("what in the sound speaks for its genres").wait_for()
    visit.give(CHANGE)
    visit.page.wait_for_selector(".fb-window .heatmaplayer", timeout=ANSWER_MS)
    settled(visit)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert visit.outside == [] and visit.errors == []
    visit.close()


def test_coming_back_to_the_tab_explains_where_the_player_is(visit: Visit) -> None:
    visit.page.get_by_role("tab", name="Timeline").click()
    visit.seek(24.0)
    visit.page.get_by_role("tab", name="Explain").click()
    visit.page.wait_for_function(
        "document.querySelector('.fb-window .fb-plot')?.data[0].x[0] / 1000 - 86400 > 15", timeout=ANSWER_MS
    )
    settled(visit)
