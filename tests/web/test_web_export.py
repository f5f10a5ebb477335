"""Exports as a listener meets them: the report opened from a disk without internet, and the app's Save menu."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from mutagen.id3 import ID3
from PIL import Image
from test_export import image
from visiting import Visit
from web_driving import CHANGE, TECHNO, Server

from fluxbeat.analysis.engine import analyze
from fluxbeat.analysis.result import TrackAnalysis
from fluxbeat.analysis.track import read_track
from fluxbeat.audio.decoding import load_audio
from fluxbeat.charts.wording import clock
from fluxbeat.errors import AudioDecodeError
from fluxbeat.export.formats import FORMATS
from fluxbeat.export.writing import export
from fluxbeat.models.registry import load
from fluxbeat.web.ui.track_results import TrackResults

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

DRAWN = """() => ['timeline', 'curve', 'spread'].every(id => {
  const chart = document.getElementById(id);
  return chart.data?.length && chart.querySelectorAll('.scatterlayer path').length;
})"""

WATCHED = """() => {
  const message = document.querySelector('.fb-save-message');
  window.told = [];
  new MutationObserver(() => window.told.push(message.textContent)).observe(message, {childList: true, subtree: true});
}"""


@pytest.fixture(scope="module")
def analysis() -> TrackAnalysis:
    return analyze(CHANGE, "cnn")


@pytest.fixture(scope="module")
def report(analysis: TrackAnalysis, tmp_path_factory: pytest.TempPathFactory) -> Path:
    image_list = [("What made it say metal", image("red")), ("What made it say classical", image("blue"))]
    return export(analysis, "html", tmp_path_factory.mktemp("report") / "song.html", images=image_list)


class Reader:
    """A report opened by double-click on a machine without internet."""

    def __init__(self, browser: Any, report: Path, width: int = 1200, **options: Any) -> None:
        viewport = {"width": width, "height": 900}
        self.context = browser.new_context(viewport=viewport, offline=True, **options)
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.failed: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("requestfailed", lambda request: self.failed.append(request.url))
        self.page.on("pageerror", lambda error: self.failed.append(str(error)))
        self.page.on("console", lambda answer: self.failed.append(answer.text) if answer.type == "error" else None)
        self.page.goto(report.as_uri())

    def await_charts(self) -> None:
        self.page.wait_for_function(DRAWN)

    def paper(self) -> list[str]:
        """Colours behind the page's sections and behind its first chart."""
        return list(
            self.page.evaluate(
                "() => [getComputedStyle(document.querySelector('section')).backgroundColor,"
                " getComputedStyle(document.querySelector('#timeline .main-svg')).backgroundColor]"
            )
        )


def test_report_draws_its_charts_offline_and_asks_for_nothing(
    browser: Any, report: Path, analysis: TrackAnalysis
) -> None:
    reader = Reader(browser, report)
    reader.await_charts()
    traces = reader.page.evaluate("() => document.querySelector('#timeline').data.map(one => one.meta)")
    assert {meta["label"] for meta in traces if meta["role"] == "area"} == set(analysis.timeline.labels)
    assert reader.page.locator("h1").inner_text() == CHANGE.name
    assert reader.page.locator("#genres tbody tr").count() == len(analysis.genres)
    assert reader.page.locator("#genres tr.active").count() == sum(genre.active for genre in analysis.genres)
    assert reader.page.locator("#segments tbody tr").count() == len(analysis.segments)
    assert analysis.model.revision in reader.page.locator("footer").inner_text()
    sizes = reader.page.evaluate(
        "() => [...document.querySelectorAll('#explanations img')].map(one => one.naturalWidth)"
    )
    assert sizes == [40, 40]
    assert [url for url in reader.asked if not url.startswith(("data:", "blob:"))] == [report.as_uri()]
    assert reader.failed == []
    reader.context.close()


def test_report_of_two_hours_labels_its_first_hour_as_a_clock_does(
    browser: Any, analysis: TrackAnalysis, tmp_path: Path
) -> None:
    longer = 7200 / analysis.duration_s
    timeline = replace(analysis.timeline, start_s=analysis.timeline.start_s * longer)
    there = export(replace(analysis, duration_s=7200.0, timeline=timeline), "html", tmp_path / "set.html")
    reader = Reader(browser, there)
    reader.await_charts()
    ticks = """name => [...document.querySelectorAll(`#${name} .xtick text`)].map(one => one.textContent)"""
    whole = [clock(at_s) for at_s in range(0, 7201, 900)]
    assert [reader.page.evaluate(ticks, name) for name in ("timeline", "curve")] == [whole, whole]
    reader.page.locator("#timeline .nsewdrag").first.hover(position={"x": 200, "y": 50})
    title = reader.page.locator(
        "#timeline .hoverlayer .legendtitletext, #timeline .hoverlayer text"
    ).first.text_content()
    assert title in [clock(at_s) for at_s in range(3600)]
    reader.page.locator("#timeline [data-title^='Zoom in']").click()
    reader.page.wait_for_function("document.querySelectorAll('#timeline .xtick text')[0].textContent === '30:00'")
    assert reader.page.evaluate(ticks, "timeline") == [clock(at_s) for at_s in range(1800, 5401, 600)]
    assert reader.failed == []
    reader.context.close()


def test_report_saves_a_chart_as_an_image(browser: Any, report: Path) -> None:
    reader = Reader(browser, report, accept_downloads=True)
    reader.await_charts()
    with reader.page.expect_download() as download:
        reader.page.locator("#timeline [data-title^='Download']").click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")
    assert reader.failed == []
    reader.context.close()


def test_report_follows_the_system_into_the_dark_and_the_button_out_of_it(browser: Any, report: Path) -> None:
    reader = Reader(browser, report, color_scheme="dark")
    reader.await_charts()
    assert reader.paper() == ["rgb(27, 30, 38)"] * 2
    reader.page.get_by_role("button", name="Switch between light and dark").press("Enter")
    assert reader.paper() == ["rgb(255, 255, 255)"] * 2
    reader.context.close()


def test_report_fits_a_phone(browser: Any, report: Path) -> None:
    reader = Reader(browser, report, width=390)
    reader.await_charts()
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= 390
    reader.context.close()


def test_report_reads_without_scripts(browser: Any, report: Path) -> None:
    reader = Reader(browser, report, java_script_enabled=False)
    for table in ("#genres", "#segments"):
        assert reader.page.locator(f"{table} tbody tr").last.is_visible()
    assert reader.failed == []
    reader.context.close()


def saved(visit: Visit, kind: str, folder: Path) -> Path:
    """Choose a format in the Save menu with the keyboard, and keep what comes."""
    opener = visit.page.get_by_role("button", name="Save …")
    opener.press("Enter")
    assert opener.get_attribute("aria-expanded") == "true"
    with visit.page.expect_download() as download:
        visit.page.locator(f"#save [data-kind={kind}]").press("Enter")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    assert visit.page.locator("#save-list").is_hidden()
    assert visit.page.locator(".fb-save-message").inner_text() == f"Ready: {path.name}"
    return path


def test_save_menu_offers_every_format_and_escape_closes_it(listener: Visit) -> None:
    page = listener.page
    page.get_by_role("button", name="Save …").click()
    shown = page.locator("#save-list button").evaluate_all("all => all.map(one => one.dataset.kind)")
    assert shown == ["html", "explained", *(kind for kind in FORMATS if kind != "html")]
    page.keyboard.press("Escape")
    assert page.locator("#save-list").is_hidden()
    assert page.evaluate("document.activeElement.textContent") == "Save …"


def test_downloads_read_back_as_what_the_page_shows(listener: Visit, tmp_path: Path) -> None:
    table = saved(listener, "csv", tmp_path)
    assert table.name == f"{TECHNO.stem}.fluxbeat.csv"
    rows = list(csv.DictReader(table.open(newline="")))
    found = json.loads(saved(listener, "json", tmp_path).read_text())
    assert found["file"] == TECHNO.name
    assert found["model"]["name"] == "all"
    assert [float(row["start_s"]) for row in rows] == found["timeline"]["start_s"]
    copy = saved(listener, "tags", tmp_path)
    assert copy.name == f"{TECHNO.stem}.fluxbeat.mp3"
    assert ID3(copy)["TBPM"].text == [str(round(found["tempo"]["bpm"]))]
    assert np.array_equal(load_audio(copy).samples, load_audio(TECHNO).samples)


def test_report_of_the_page_is_of_the_model_that_is_chosen(listener: Visit, browser: Any, tmp_path: Path) -> None:
    listener.choose_model("ViT")
    listener.page.wait_for_function("document.querySelector('#timeline .fb-heading p').textContent.includes('ViT')")
    reader = Reader(browser, saved(listener, "html", tmp_path))
    reader.await_charts()
    assert "heard by ViT" in reader.page.locator("header").inner_text()
    assert reader.failed == []
    reader.context.close()
    listener.choose_model("Consensus")


def images_of(report: Path) -> list[tuple[str, Image.Image]]:
    """Captions and pictures, read back from the file itself."""
    figures = re.findall(
        r'<img[^>]*src="data:image/png;base64,([^"]+)".*?<figcaption>(.*?)</figcaption>',
        report.read_text("utf-8"),
        re.DOTALL,
    )
    return [(caption.strip(), Image.open(io.BytesIO(base64.b64decode(content)))) for content, caption in figures]


def test_report_with_explanations_holds_an_image_of_each_genre_that_is_present(listener: Visit, tmp_path: Path) -> None:
    listener.choose_model("CNN")
    listener.page.wait_for_function("document.querySelector('#timeline .fb-heading p').textContent.includes('CNN')")
    found = json.loads(saved(listener, "json", tmp_path).read_text())
    listener.page.evaluate(WATCHED)
    images = images_of(saved(listener, "explained", tmp_path))
    present = [genre["label"] for genre in found["genres"] if genre["active"]]
    assert [caption.split(":")[0] for caption, _ in images] == [f"What speaks for {label}" for label in present[:4]]
    assert all(image.width > 600 and len(image.getcolors(1 << 24)) > 100 for _, image in images)
    told = listener.page.evaluate("window.told")
    assert f"Looking for what speaks for {present[0]} …" in told
    assert listener.page.locator("#save progress").is_hidden()
    listener.choose_model("Consensus")


def test_another_track_ends_what_was_being_made(browser: Any, server: Server, tmp_path: Path) -> None:
    visit = Visit(browser, server.url, width=390, scheme="dark")
    visit.give(TECHNO)
    visit.await_track(TECHNO.name)
    visit.page.get_by_role("button", name="Save …").click()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    downloads: list[Any] = []
    visit.page.on("download", lambda download: downloads.append(download))
    begun = """() => {
      document.querySelector('#save [data-kind=explained]').click();
      document.querySelector('.fb-save-opener').click();
      return [document.querySelector('.fb-save-message').textContent, document.querySelector('#save-list').hidden];
    }"""
    words, hidden = visit.page.evaluate(begun)
    assert words.startswith("Making it")
    assert hidden, "one thing at a time"
    visit.give(CHANGE)
    visit.await_track(CHANGE.name)
    assert visit.page.locator("#save progress").is_hidden()
    assert visit.page.locator(".fb-save-message").inner_text() == ""
    before = len(downloads)  # a quick machine may have been done with it before the other track came
    report = saved(visit, "explained", tmp_path)
    assert report.name == f"{CHANGE.stem}.fluxbeat.html"
    assert len(downloads) == before + 1
    assert visit.errors == []
    visit.close()


def test_a_kept_analysis_is_explained_from_its_file(analysis: TrackAnalysis, tmp_path: Path) -> None:
    model = load("cnn")
    kept = TrackResults(str(CHANGE), CHANGE.name, {"cnn": analysis})
    analysed = read_track(CHANGE, model.network.config.features)
    assert np.array_equal(kept.track(model.network.config.features).log_mel, analysed.log_mel)
    with pytest.raises(AudioDecodeError, match="does not exist"):
        TrackResults(str(tmp_path / "gone.mp3"), "gone.mp3", {"cnn": analysis}).track(model.network.config.features)


def test_what_cannot_be_saved_is_reported_in_the_page(listener: Visit, tmp_path: Path) -> None:
    silence = tmp_path / "silence.wav"
    soundfile.write(silence, np.zeros(22_050 * 9), 22_050)
    listener.give(silence)
    listener.await_track("silence.wav")
    answer = listener.page.locator(".fb-save-message")
    assert answer.inner_text() == ""
    for _ in range(2):
        listener.page.get_by_role("button", name="Save …").click()
        listener.page.locator("#save [data-kind=tags]").click()
        listener.page.wait_for_selector(".fb-save:not([aria-busy]) .fb-failed")
        assert "silence.wav: no genre is sure and there is no steady beat" in answer.inner_text()
    assert saved(listener, "audacity", tmp_path).read_text() == "0.000000\t9.000000\tsilence\n"
