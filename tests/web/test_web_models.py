"""The Models tab as a listener meets it: cards, speed, and weights fetched from a Hub on this machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from local_hub import LocalHub, Trouble
from visiting import Visit
from web_driving import ANSWER_MS, TECHNO, Server, serving

from fluxbeat.charts.colours import genre_paints, more_paints
from fluxbeat.errors import FluxBeatError
from fluxbeat.models.registry import checkpoints_folder, load
from fluxbeat.web.hub_fetching import MOST_FETCHED
from fluxbeat.web.security import may_fetch_weights
from fluxbeat.web.ui.model_facts import accuracy, model_facts
from fluxbeat.web.ui.offered_models import OfferedModels

sync_api = pytest.importorskip("playwright.sync_api")

OWN = ("all", "cnn", "crnn", "vit")


@pytest.fixture(scope="module")
def hub() -> Iterator[LocalHub]:
    server = LocalHub()
    yield server
    server.close()


@pytest.fixture(scope="module")
def server(hub: LocalHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app, whose Hub is the local one."""
    home = str(tmp_path_factory.mktemp("hub-home"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"HF_ENDPOINT": hub.url, "HF_HOME": home, "HF_HUB_DISABLE_XET": "1"}.items():
            patch.setenv(name, value)
        for name in ("FLUXBEAT_ALLOW_HUB", "FLUXBEAT_HUB_REPO", "SPACE_ID"):
            patch.delenv(name, raising=False)
        yield from serving("--port", "0")


@pytest.fixture(scope="module")
def visit(browser: Any, server: Server) -> Iterator[Visit]:
    visit = Visit(browser, server.url)
    open_tab(visit)
    yield visit
    visit.leave()


def open_tab(visit: Visit) -> None:
    visit.choose_tab("Models")
    visit.page.locator(".fb-model").first.wait_for()


def wanted(visit: Visit, address: str) -> None:
    visit.page.fill("#hub-address", address)
    visit.page.press("#hub-address", "Enter")


def card(visit: Visit, name: str) -> Any:
    return visit.page.locator(f".fb-model[data-model='{name}']")


@pytest.mark.browser
def test_cards_say_what_each_model_is_before_any_track_is_given(visit: Visit) -> None:
    cards = visit.page.locator(".fb-model")
    assert [one.get_attribute("data-model") for one in cards.all()] == list(OWN)
    for name in OWN:
        model, shown = load(name), card(visit, name).inner_text()
        assert f"{model.network.n_parameters:,} parameters" in shown
        assert model.info.revision in shown
        assert "MIT" in shown
        assert all(label in shown for label in model.network.config.labels)
        measured = next(row for row in model.network.config.metrics if row["measure"] == "accuracy")
        right = accuracy(model.network.config.metrics)
        assert f"first genre {right['words'].removesuffix(' songs')}" in shown
        assert f"Measured on {measured['n']} tracks that it never heard ({measured['split']})" in shown
        low, high = (f"{100 * end:.0f}" for end in measured["interval_95"])
        assert f"with 95 % certainty {low} to {high}" in right["why"]
        share = card(visit, name).locator(".fb-model-headlines strong").first
        assert right["why"].startswith(share.get_attribute("title"))
    assert "Mean of\nCNN 17 %, CRNN 67 %, ViT 17 %" in card(visit, "all").inner_text()
    assert "Mean of" not in card(visit, "cnn").inner_text()
    fold = card(visit, "cnn").locator("summary", has_text="Model card")
    fold.press("Enter")
    assert "What it must not be used for" in card(visit, "cnn").inner_text()
    fold.press("Enter")


@pytest.mark.browser
def test_speed_is_measured_on_demand(visit: Visit) -> None:
    assert card(visit, "cnn").get_by_text("not measured yet").count() == 1
    visit.page.get_by_role("button", name="Measure the speed").press("Enter")
    visit.page.wait_for_function(
        "[...document.querySelectorAll('.fb-model-facts')].every(one => one.textContent.includes('times as fast'))",
        timeout=ANSWER_MS,
    )
    sync_api.expect(visit.page.get_by_role("button", name="Measure the speed")).to_be_enabled(timeout=ANSWER_MS)


@pytest.mark.browser
def test_what_cannot_be_fetched_is_reported_in_place_and_changes_nothing(visit: Visit, hub: LocalHub) -> None:
    commit = hub.publish("ann/zoo", checkpoints_folder() / "cnn")
    failed = visit.page.locator(".fb-hub-message.fb-failed")
    for address, trouble, message in (
        ("nonsense", Trouble(), "is no Hub address"),
        ("ann/zoo@", Trouble(), "is no Hub address"),
        (f"ann/none@{commit}", Trouble(), "no such repository"),
        (f"ann/zoo@{commit}", Trouble(status=503), "out of order"),
        (f"ann/zoo@{commit}", Trouble(swap={"config.json": b"{}"}), "wrong checksum"),
    ):
        hub.trouble = trouble
        wanted(visit, address)
        failed.filter(has_text=message).wait_for(timeout=ANSWER_MS)
        assert visit.page.locator(".fb-model").count() == len(OWN)
    hub.trouble = Trouble()


@pytest.mark.browser
def test_the_same_mistake_made_twice_is_answered_twice(visit: Visit) -> None:
    answer = visit.page.locator(".fb-hub-message")
    for _ in range(3):
        wanted(visit, "nonsense")
        answer.filter(has_text="is no Hub address").wait_for(timeout=ANSWER_MS)
        visit.page.evaluate("document.querySelector('.fb-hub-message').textContent = ''")


@pytest.mark.browser
def test_an_earlier_answer_that_comes_late_does_not_cover_a_later_one(visit: Visit) -> None:
    """As Gradio sends the last answer of an event once more when the event ends."""
    answer = visit.page.evaluate("""() => {
      const element = document.createElement('div');
      element.innerHTML = '<div class="fb-panel fb-hub"></div>';
      let value = '';
      const panel = {kind: 'hub', events: [], element, trigger() {}, value: () => value};
      window.FluxBeat.adopt(panel);
      return [[2, 'second'], [1, 'first'], [3, 'third']].map(([answer, error]) => {
        value = JSON.stringify({allowed: true, answer, error});
        panel.draw();
        return element.querySelector('.fb-hub-message').textContent;
      });
    }""")
    assert answer == ["second", "second", "third"]


@pytest.mark.browser
def test_fetched_weights_hear_the_track_in_the_other_tabs(visit: Visit, hub: LocalHub) -> None:
    page = visit.page
    page.get_by_role("tab", name="Timeline").click()
    visit.give(TECHNO)
    visit.await_track(TECHNO.name)
    open_tab(visit)
    # the Hub's client counts in pieces of 10 MiB: the bar of a smaller file goes from nothing to all
    commit = hub.publish("ann/zoo", checkpoints_folder() / "vit", into="small")
    hub.trouble = Trouble(slow_s=0.05)
    wanted(visit, f"ann/zoo/small@{commit}")
    page.locator(".fb-hub progress").wait_for()
    page.wait_for_function("document.querySelector('.fb-hub progress').value > 0.05", timeout=ANSWER_MS)
    page.locator(".fb-hub-message.fb-done").wait_for(timeout=ANSWER_MS)
    hub.trouble = Trouble()
    name = f"zoo/small@{commit[:7]}"
    assert f"hf://ann/zoo/small@{commit}" in card(visit, name).inner_text()
    assert page.locator(".fb-model-choice select").input_value() == visit.page.locator(
        "#model input:checked"
    ).get_attribute("value")
    assert name in page.locator(".fb-model-choice option:checked").inner_text()
    page.get_by_role("tab", name="Timeline").click()
    page.wait_for_function(
        "name => document.querySelector('#timeline .fb-heading p').textContent.includes(name)",
        arg=name,
        timeout=ANSWER_MS,
    )
    visit.open("Compare")
    assert page.locator(f".fb-row[data-model='{name}']").count() == 1
    page.get_by_role("tab", name="Timeline").click()
    visit.give(TECHNO)
    visit.await_track(TECHNO.name)
    assert name in page.locator("#timeline .fb-heading p").text_content()
    open_tab(visit)


@pytest.mark.browser
def test_what_was_fetched_for_the_page_alone_does_not_listen_live_and_that_is_reported(visit: Visit) -> None:
    """After the test before: the fetched model is chosen."""
    chosen = visit.page.locator("#model input:checked").get_attribute("value")
    assert chosen not in OWN
    visit.choose_tab("Live")
    start = visit.page.locator(".fb-live-start")
    start.click()
    visit.page.locator(".fb-live-words").filter(has_text="Listening.").wait_for(timeout=ANSWER_MS)
    answer = visit.page.locator(".fb-live-instead")
    assert answer.inner_text().startswith(f"Heard by Consensus: {chosen} is of this page alone")
    assert visit.page.locator(".fb-live-trouble").is_hidden()
    start.click()
    assert answer.inner_text() == ""
    open_tab(visit)


@pytest.mark.browser
def test_another_page_does_not_get_what_this_one_fetched(browser: Any, server: Server, visit: Visit) -> None:
    other = Visit(browser, server.url, width=390, height=844, scheme="dark")
    open_tab(other)
    assert other.page.locator(".fb-model").count() == len(OWN)
    other.page.locator(".fb-model summary").nth(0).click()
    other.page.locator(".fb-model summary").nth(1).click()
    assert other.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert other.errors == []
    other.close()


@pytest.mark.browser
def test_who_comes_from_elsewhere_is_told_why_there_is_no_field(browser: Any, server: Server) -> None:
    context = browser.new_context(extra_http_headers={"X-Forwarded-For": "203.0.113.9"})
    page = context.new_page()
    page.goto(server.url)
    page.get_by_role("tab", name="Models").click()
    page.get_by_text("Only on the machine that runs this server").wait_for()
    assert page.locator("#hub-address").is_hidden()
    context.close()


def test_models_come_under_those_who_go_through_them_until_there_are_too_many() -> None:
    one = load("cnn")
    own, *fetched = (replace(one, info=replace(one.info, name=f"m{number}")) for number in range(MOST_FETCHED + 2))
    offered = OfferedModels([own])
    before, paints = offered.models, offered.paints
    offered.add(fetched[:2])
    offered.add(fetched[1:2])
    assert list(offered.models.values()) == [own, *fetched[:2]]
    assert list(before) == ["m0"], "who went through it then still does"
    assert offered.paints == paints
    with pytest.raises(FluxBeatError, match="no more than 32 fetched models"):
        offered.add(fetched)
    assert len(offered.models) == 3


def asking(client: str = "127.0.0.1", **headers: str) -> tuple[dict[str, str], str]:
    """The headers of a request, and where it comes from."""
    return {name.replace("_", "-"): value for name, value in {"host": "localhost:7860", **headers}.items()}, client


@pytest.mark.parametrize(
    ("request_", "allowed"),
    [
        (asking(), True),
        (asking("::1", host="[::1]:7860", origin="http://[::1]:7860"), True),
        (asking(host="127.0.0.1:7860", origin="http://127.0.0.1:7860"), True),
        (asking("192.168.1.7"), False),
        (asking(host="music.example.org"), False),
        (asking(host="localhost.evil.example"), False),
        (asking(origin="https://evil.example"), False),
        (asking(origin="null"), False),
        (asking(x_forwarded_for="127.0.0.1"), False),
        (asking(forwarded="for=127.0.0.1"), False),
        (asking(host=""), False),
        (({"host": "localhost"}, ""), False),
    ],
)
def test_only_this_machine_may_fetch(monkeypatch: pytest.MonkeyPatch, request_: Any, allowed: bool) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert may_fetch_weights(None, *request_) is allowed


def test_whoever_runs_the_server_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "ann/space")
    assert not may_fetch_weights(None, *asking())
    assert may_fetch_weights(True, *asking("203.0.113.9", host="music.example.org"))
    monkeypatch.delenv("SPACE_ID")
    assert not may_fetch_weights(False, *asking())


def test_later_labels_get_paints_and_take_nobodys() -> None:
    before = genre_paints(["rock", "pop"])
    after = more_paints(before, ["polka", "rock"])
    assert list(after) == ["polka"]
    assert after["polka"].fill not in {paint.fill for paint in before.values()}


def test_facts_of_a_model_without_card_or_numbers_say_so(tmp_path: Path) -> None:
    shutil.copytree(checkpoints_folder() / "cnn", tmp_path / "bare")
    (tmp_path / "bare" / "README.md").unlink()
    config = json.loads((tmp_path / "bare" / "config.json").read_text())
    (tmp_path / "bare" / "config.json").write_text(json.dumps({**config, "metrics": []}))
    facts = model_facts(load(tmp_path / "bare"))
    assert facts["headlines"] is None
    assert facts["card"] == []
    assert "none named" in dict(facts["facts"])["Licence"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.4454, "4 of 10"),
        (1.0, "10 of 10"),
        (0.9667, "more than 9 of 10"),
        (0.02, "fewer than 1 of 10"),
        (0.0, "0 of 10"),
    ],
)
def test_a_share_is_rounded_in_words_that_stay_true(value: float, words: str) -> None:
    metrics = [{"measure": "accuracy", "value": value, "n": 40, "split": "my own"}]
    assert accuracy(metrics) == {
        "words": f"right in {words} songs",
        "why": f"{100 * value:.0f} of 100. Measured on 40 tracks that it never heard (my own).",
    }
