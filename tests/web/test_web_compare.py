"""The Compare tab in the browser: the passages in which models disagree, played one by one, and the rivers below."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from test_web_browser import TITLES
from visiting import Visit
from web_driving import ANSWER_MS, CHANGE, TECHNO, Server

from fluxbeat.analysis.disagreement import disputed_passages
from fluxbeat.analysis.engine import compare
from fluxbeat.models.registry import load
from fluxbeat.web.ui.model_facts import accuracy

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def visit(browser: Any, server: Server) -> Iterator[Visit]:
    visit = Visit(browser, server.url, width=1440)
    visit.give(CHANGE)
    visit.await_track(CHANGE.name)
    visit.open("Compare")
    yield visit
    visit.leave()


def test_the_disputed_passages_come_first_each_with_who_says_what(visit: Visit) -> None:
    """The words are those of the analyses themselves."""
    found = disputed_passages(compare(CHANGE, ["all", "cnn", "crnn", "vit"]))
    items = visit.page.locator("#compare .fb-passage")
    assert items.count() == len(found) > 0
    for item, passage in zip(items.all(), found, strict=True):
        answer = [" ".join(line.split()) for line in item.locator(".fb-statement").all_inner_texts()]
        for statement, title in zip(passage.statements, TITLES, strict=True):
            words = " ".join(f"{genre.label} {genre.presence}" for genre in statement.genres) or "nothing sure"
            assert f"{title} {words}" in answer
    assert f"disagree in {'one passage' if len(found) == 1 else f'{len(found)} passages'}" in (
        visit.page.locator(".fb-debate-words").inner_text()
    )
    first, river = items.first.bounding_box(), visit.page.locator("#compare .fb-row").first.bounding_box()
    assert first["y"] + first["height"] < river["y"]
    fill = items.first.locator(".fb-named-genre").first.evaluate("one => getComputedStyle(one).backgroundColor")
    assert fill not in ("rgba(0, 0, 0, 0)", "rgb(255, 255, 255)")
    answer = items.first.locator(".fb-named").first.get_attribute("title")
    assert re.fullmatch(r"(\S+) \d+ %\. Hear what made it \1", answer)


def test_a_passage_is_played_alone_and_stops_at_its_end(visit: Visit) -> None:
    page, paused = visit.page, "document.querySelector('#player audio').paused"
    (passage, *_) = disputed_passages(compare(CHANGE, ["all", "cnn", "crnn", "vit"]))
    play = page.locator(".fb-passage-play").first
    box = play.bounding_box()
    assert min(box["width"], box["height"]) >= 40
    visit.seek(1.0)
    play.click()
    page.wait_for_function(f"!{paused}")
    assert visit.at() == pytest.approx(passage.start_s, abs=0.7)
    assert play.get_attribute("aria-label").startswith("Stop ")
    visit.seek(passage.end_s - 0.6)
    page.wait_for_function(paused, timeout=10_000)
    assert visit.at() == pytest.approx(passage.end_s, abs=0.3)
    sync_api.expect(play).to_have_attribute("aria-label", re.compile("^Play "))
    play.press("Enter")
    page.wait_for_function(f"!{paused}")
    play.press("Enter")
    page.wait_for_function(paused)
    # who moves elsewhere is no longer in the passage, and nothing stops there
    play.press("Enter")
    visit.seek(0.5)
    sync_api.expect(play).to_have_attribute("aria-label", re.compile("^Play "))
    assert not page.evaluate(paused)
    page.evaluate("document.querySelector('#player audio').pause()")


def test_each_model_has_its_river_and_how_often_it_is_right_and_no_duration(visit: Visit) -> None:
    rows = visit.page.locator("#compare .fb-row")
    assert rows.locator("h4").all_inner_texts() == TITLES
    for name, row in zip(("all", "cnn", "crnn", "vit"), rows.all(), strict=True):
        right = accuracy(load(name).network.config.metrics)
        shown = row.locator(".fb-accuracy")
        assert shown.inner_text() == right["words"]
        assert shown.get_attribute("title") == right["why"]
        assert "BPM" in row.inner_text() or "no steady beat" in row.inner_text()
        assert "took" not in row.inner_text()


def test_models_are_switched_off_and_one_alone_has_nobody_to_disagree_with(visit: Visit) -> None:
    page, switches = visit.page, visit.page.locator("#compare-models")
    for left, name in ((3, "ViT"), (2, "CRNN"), (1, "Consensus")):
        switches.get_by_text(name, exact=True).click()
        page.wait_for_function(f"document.querySelectorAll('#compare .fb-row').length === {left}")
    assert not page.locator(".fb-debate").is_visible()
    assert page.get_by_text("Switch on a second model").is_visible()
    for name in ("ViT", "CRNN", "Consensus"):
        switches.get_by_text(name, exact=True).click()
    page.wait_for_function("document.querySelectorAll('#compare .fb-row').length === 4")


def test_a_genre_of_a_passage_leads_to_what_made_it_so(visit: Visit) -> None:
    named = visit.page.locator(".fb-passage .fb-named").first
    label = named.locator(".fb-named-genre").inner_text()
    named.click()
    visit.page.wait_for_function(
        "label => document.querySelector('.fb-explain-row')?.innerText.includes(label)"
        " && document.querySelector('#explain select').value === label",
        arg=label, timeout=ANSWER_MS,
    )  # fmt: skip
    visit.open("Compare")


def test_where_they_agree_everywhere_a_sentence_says_so_on_a_phone_too(browser: Any, server: Server) -> None:
    visit = Visit(browser, server.url, width=390, height=844, scheme="dark")
    visit.give(TECHNO)
    visit.await_track(TECHNO.name)
    visit.open("Compare")
    words = visit.page.locator(".fb-debate-words")
    sync_api.expect(words).to_have_text("They agree from beginning to end: electronic.", timeout=ANSWER_MS)
    assert visit.page.locator(".fb-passage").count() == 0
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert visit.errors == []
    visit.close()
