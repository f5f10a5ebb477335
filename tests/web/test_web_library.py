"""The Library tab as a listener meets it: a drop of songs becomes a table, and a row becomes a timeline."""

from __future__ import annotations

import base64
import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from web_driving import ANSWER_MS, EXAMPLES, TECHNO, Server, serving

from fluxbeat.analysis.engine import analyze
from fluxbeat.audio.sound_files import find_sound_files
from fluxbeat.models.registry import load
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.ui.library_tab import LibraryState, LibraryTab
from fluxbeat.web.ui.offered_models import OfferedModels
from fluxbeat.web.ui.track_results import TrackResults

sync_api = pytest.importorskip("playwright.sync_api")

BROKEN = "broken <i>ü.mp3"
DROP = """([selector, files]) => {
  const transfer = new DataTransfer();
  for (const [name, content] of files) {
    const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name, {type: 'audio/mpeg'}));
  }
  document.querySelector(selector).dispatchEvent(
    new DragEvent('drop', {bubbles: true, cancelable: true, dataTransfer: transfer}));
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLUXBEAT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield from serving("--port", "0")


@pytest.fixture(scope="module")
def page(browser: Any, server: Server) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", lambda asked: wrong.append(asked.url) if outside(asked.url) else None)
    opened.goto(server.url)
    opened.wait_for_selector("#tabs")
    yield opened
    opened.close()
    assert wrong == []


def outside(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "data:", "blob:"))


def drop(page: Any, selector: str, files: dict[str, bytes]) -> None:
    packed = [[name, base64.b64encode(content).decode()] for name, content in files.items()]
    page.evaluate(DROP, [selector, packed])


def await_table(page: Any, count: int) -> None:
    page.wait_for_function(
        "count => document.querySelector('.fb-library-words')?.textContent.startsWith(`${count} file`)"
        " && document.querySelectorAll('.fb-library-table tbody tr').length === count",
        arg=count, timeout=ANSWER_MS,
    )  # fmt: skip


def titles(page: Any) -> list[str]:
    return [str(text) for text in page.locator(".fb-library-open").all_inner_texts()]


@pytest.fixture(scope="module")
def filled(page: Any) -> Any:
    """The page after five songs and a broken one were dropped anywhere on it."""
    songs = {song.name: song.read_bytes() for song in sorted(EXAMPLES.glob("*.mp3"))[1:]}
    page.wait_for_selector(".fb-masthead h1")  # the page's script is there
    drop(page, ".fb-masthead", {BROKEN: b"la la la", **songs})
    await_table(page, 6)
    return page


@pytest.mark.browser
def test_six_dropped_songs_fill_the_table_and_the_broken_one_says_so(filled: Any) -> None:
    rows = filled.locator(".fb-library-table tbody tr")
    assert rows.count() == 6
    broken = rows.filter(has_text="broken").inner_text()
    assert BROKEN in broken
    assert "damaged or not an audio file" in broken
    metal = rows.filter(has_text="Chaos God").inner_text()
    assert all(words in metal for words in ("Muldjord", "0:28", "metal"))
    assert "85 or 170" in metal  # the beat, or twice as many
    assert "not quite sure" in metal and "clear" in metal
    assert rows.locator(".fb-small-river").count() == 5
    drawing = rows.filter(has_text="Chaos God").locator(".fb-small-river")
    assert drawing.get_attribute("aria-label").startswith("River of metal")
    assert 0 < len(drawing.evaluate("one => one.outerHTML")) < 6000
    assert filled.locator("#library-files").bounding_box()["height"] < 70
    assert filled.locator(".fb-library-words").inner_text() == "6 files heard by Consensus, 1 of them could not be."


@pytest.mark.browser
def test_filters_and_order_work_on_what_is_shown(filled: Any) -> None:
    genre, find = filled.get_by_label("Genre", exact=True), filled.get_by_label("Find", exact=True)
    genre.select_option("electronic")
    assert titles(filled) == ["Pulse (George Ellinas Remix)"]
    assert filled.get_by_text("1 of 6 shown").count() == 1
    genre.select_option("")
    filled.get_by_label("BPM from").fill("125")
    filled.get_by_label("BPM to").fill("135")
    assert sorted(titles(filled)) == ["Hacienda", "Pulse (George Ellinas Remix)"]
    filled.get_by_label("BPM from").fill("")
    filled.get_by_label("BPM to").fill("")
    find.fill("muldJORD")
    assert titles(filled) == ["Chaos God"]
    find.fill("")
    head = filled.get_by_role("columnheader", name="BPM")
    numbers = ".fb-library-table .fb-library-bpm"
    for direction, rising in (("ascending", True), ("descending", False)):
        head.get_by_role("button").press("Enter")
        assert head.get_attribute("aria-sort") == direction
        shown = [float(text) for text in filled.locator(numbers).all_inner_texts() if text]
        assert len(shown) == 5
        assert shown == sorted(shown, reverse=not rising)


@pytest.mark.browser
def test_csv_holds_the_whole_table(filled: Any, tmp_path: Path) -> None:
    with filled.expect_download() as waiting:
        filled.locator("#library-csv").click()
    waiting.value.save_as(tmp_path / "table.csv")
    with open(tmp_path / "table.csv", encoding="utf-8", newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    assert len(rows) == 6
    assert "damaged" in rows[BROKEN]["error"]
    assert rows[TECHNO.name]["title"] == "Pulse (George Ellinas Remix)"


@pytest.mark.browser
def test_table_fits_a_phone(filled: Any) -> None:
    filled.set_viewport_size({"width": 390, "height": 800})
    assert filled.evaluate("document.documentElement.scrollWidth") <= 390
    edges = filled.evaluate(
        "[...document.querySelectorAll('.fb-library-table :is(td, svg, button)')]"
        ".map(one => one.getBoundingClientRect()).filter(box => box.width).map(box => [box.left, box.right])"
    )
    assert all(0 <= left <= right <= 390 for left, right in edges)
    assert filled.locator(".fb-small-river").first.is_visible()
    assert filled.get_by_role("tab").filter(visible=True).all_inner_texts()[-4:] == [
        "Library",
        "Teach",
        "Live",
        "Models",
    ]
    filled.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.browser
def test_chosen_row_becomes_the_timeline(filled: Any) -> None:
    filled.get_by_role("button", name="Pulse").press("Enter")
    filled.wait_for_function(
        "name => document.querySelector('#timeline .fb-timeline')?.dataset.file?.includes(name)"
        " && document.querySelector('#timeline .js-plotly-plot')?.data?.length"
        " && document.querySelector('#timeline').offsetParent"
        " && !document.querySelector('.fb-status[aria-busy]')"
        " && document.querySelector('#player audio')?.duration > 25",
        arg=TECHNO.name, timeout=ANSWER_MS,
    )  # fmt: skip
    assert filled.get_by_role("tab", name="Timeline").get_attribute("aria-selected") == "true"
    filled.get_by_role("tab", name="Library").click()
    assert filled.locator(".fb-library-table tbody tr").count() == 6


@pytest.mark.browser
def test_chosen_folder_joins_the_table_with_its_paths_and_can_be_emptied(filled: Any, tmp_path: Path) -> None:
    folder = tmp_path / "Album"
    (folder / "CD 1").mkdir(parents=True)
    shutil.copy(TECHNO, folder / "CD 1" / "song.mp3")
    (folder / ".hidden.mp3").write_bytes(b"no")
    (folder / "cover.jpg").write_bytes(b"no")
    filled.locator(".fb-library input[webkitdirectory]").set_input_files(folder)
    await_table(filled, 7)
    assert filled.get_by_text("Album/CD 1/song.mp3").count() == 1
    filled.get_by_role("button", name="Empty the table").click()
    filled.locator(".fb-library-table").wait_for(state="hidden")
    assert not filled.locator("#library-csv").is_visible()


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LibraryTab:
    monkeypatch.setenv("FLUXBEAT_CACHE", str(tmp_path / "cache"))
    return LibraryTab(OfferedModels([load("cnn")]), AnalysisQueue(2, 0), max_duration_s=60.0)


def test_stopped_table_keeps_what_was_analysed(library: LibraryTab, tmp_path: Path) -> None:
    folder = tmp_path / "music"
    for number in range(40):
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.mp3").write_bytes(TECHNO.read_bytes()[: 150_000 + 700 * number])
    state = LibraryState(find_sound_files(folder))
    shown = []
    for drawn, _ in library.analyse(state, "cnn"):
        shown.append(json.loads(drawn))
        if shown[-1]["done"]:
            library.stop(state)
    assert shown[0]["running"]
    last = shown[-1]
    assert not last["running"]
    assert 0 < last["done"] == len(last["rows"]) < last["total"] == 40


def test_a_longer_recording_than_the_server_takes_is_a_row_that_says_so(library: LibraryTab, tmp_path: Path) -> None:
    for name, seconds in (("short.wav", 15), ("long.wav", 65)):
        soundfile.write(tmp_path / name, np.random.default_rng(1).normal(0, 0.1, seconds * 8000), 8000)
    *_, (drawn, _) = library.analyse(LibraryState(find_sound_files(tmp_path)), "cnn")
    errors = {row["path"]: row["error"] for row in json.loads(drawn)["rows"]}
    assert "the limit is 1:00" in errors["long.wav"]
    assert errors["short.wav"] is None


def test_unusable_cache_is_reported_in_the_tab(
    library: LibraryTab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUXBEAT_CACHE", str(TECHNO))
    ((drawn, _),) = library.analyse(LibraryState(find_sound_files(EXAMPLES)), "cnn")
    assert "FLUXBEAT_CACHE" in json.loads(drawn)["error"]


def test_a_tempo_set_on_a_song_is_in_its_row_and_when_it_is_opened_again(library: LibraryTab, tmp_path: Path) -> None:
    folder = tmp_path / "music"
    folder.mkdir()
    shutil.copy(TECHNO, folder / "techno.mp3")
    state = LibraryState(find_sound_files(folder))
    for _ in library.analyse(state, "cnn"):
        pass
    path = str(state.files[0].path)
    for bpm, corrected in ((65.0, True), (None, False)):
        drawn, _ = library.corrected(state, path, bpm)
        (row,) = json.loads(drawn)["rows"]
        assert row["bpm"] == pytest.approx(bpm or 130.0, abs=0.2)
        _, known = library.chosen(state, 0, "cnn")
        assert known.tempo.corrected is corrected
        assert known.tempo.bpm == pytest.approx(row["bpm"], abs=0.01)
    assert (row["tempo"], row["rival"]) == ("130", "")


def test_chosen_row_brings_the_analysis_that_is_known(library: LibraryTab) -> None:
    state = LibraryState(find_sound_files(EXAMPLES))
    for _ in library.analyse(state, "cnn"):
        pass
    index = [file.path for file in state.files].index(TECHNO)
    file, known = library.chosen(state, index, "cnn")
    assert file.path == TECHNO
    again = analyze(TECHNO, "cnn")
    assert [one.labels for one in known.segments] == [one.labels for one in again.segments]
    assert known.tempo.bpm == pytest.approx(again.tempo.bpm, abs=0.1)
    # one thread or two: the last digit may differ
    assert np.abs(known.timeline.probability - again.timeline.probability).max() < 1e-3
    models, done = [load("crnn"), load("cnn")], set()
    song = TrackResults(str(TECHNO), "Pulse", {"cnn": known})
    answers = list(song.answers(models, lambda share, doing: done.add(doing)))
    assert [list(analysed.analyses) for analysed in answers] == [["cnn"], ["cnn", "crnn"]]
    assert done == {"listening", "asking the CRNN model"}
