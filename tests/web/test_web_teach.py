"""The Teach tab as a listener meets it: songs dropped on genres become a model, and a wrong answer is mended."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from test_datasets import bursts, chords, save
from test_web_library import drop
from tiny_models import loaded, tiny
from web_driving import ANSWER_MS, Server, serving

from fluxbeat.audio.sound_files import SoundFile
from fluxbeat.models.checkpoint import load_checkpoint, save_checkpoint
from fluxbeat.models.fingerprint_file import read_fingerprints
from fluxbeat.web import analysis_queue
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.ui import teach_tab
from fluxbeat.web.ui.library_tab import LibraryState
from fluxbeat.web.ui.models_tab import ModelsState, ModelsTab
from fluxbeat.web.ui.offered_models import OfferedModels
from fluxbeat.web.ui.teach_tab import ORIGIN, TeachTab

sync_api = pytest.importorskip("playwright.sync_api")
SONGS = 5


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    folder = tmp_path_factory.mktemp("songs")
    makers = {"chords": chords, "bursts": bursts}
    return {
        genre: [save(folder / f"{genre} artist {n} - {genre} {n}.wav", make(n)) for n in range(SONGS + 1)]
        for genre, make in makers.items()
    }


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one tiny CRNN."""
    save_checkpoint(tiny("crnn"), tmp_path / "models" / "crnn")
    monkeypatch.setenv("FLUXBEAT_CHECKPOINTS", str(tmp_path / "models"))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    return tmp_path / "models"


class Page:
    """The tab without a browser, for one open page."""

    def __init__(self, name: str = "one", offered: OfferedModels | None = None, longest_s: float = 60.0) -> None:
        queue = self.queue = AnalysisQueue(2, 4)
        with gr.Blocks():
            self.offered = offered or OfferedModels([loaded(tiny("crnn"), "crnn")])
            self.tab = TeachTab(self.offered, ModelsTab(self.offered, queue, False, 60), queue, longest_s, kept_s=60)
        self.request: Any = SimpleNamespace(session_hash=name, headers={}, client=None)
        self.state: Any = None
        self.models = ModelsState()

    def ask(self, **event: Any) -> dict[str, Any]:
        view, self.state = self.tab.ask(self.state, SimpleNamespace(**event), self.request)
        return dict(json.loads(view))

    def give(self, genre: str, paths: list[Path]) -> dict[str, Any]:
        told = json.dumps({"genre": genre, "names": [path.name for path in paths]})
        view, self.state = self.tab.add([str(path) for path in paths], told, self.state, self.request)
        return dict(json.loads(view))

    def teach(self) -> dict[str, Any]:
        *_, (view, _, models, *_) = list(self.tab.teach(self.state, self.models, ["crnn"]))
        if isinstance(models, ModelsState):
            self.models = models
        return dict(json.loads(view))


def test_songs_become_a_model_of_this_page_and_a_correction_another(
    models: Path, songs: dict[str, list[Path]], tmp_path: Path
) -> None:
    page = Page()
    page.ask(do="genre", name="chords")
    for genre, files in songs.items():
        page.give(genre, files[:SONGS])
    view = page.teach()
    first = view["result"]["name"]
    assert view["result"]["counts"] == [["bursts", SONGS], ["chords", SONGS]]
    assert "songs by artists that it had not learned from" in view["result"]["sentences"][0]
    assert page.models.fetched == (first,)
    network, info = page.offered.models[first].network, page.offered.models[first].info
    assert network.config.labels == ("bursts", "chords") and info.source == ORIGIN
    archive = Path(view["result"]["url"].removeprefix("gradio_api/file=").replace("%20", " "))
    with zipfile.ZipFile(archive) as content:
        content.extractall(tmp_path / "unpacked")
    checkpoint, revision = load_checkpoint(tmp_path / "unpacked" / "your-genres")
    assert (checkpoint.config, revision) == (network.config, info.revision)
    assert len(read_fingerprints(tmp_path / "unpacked" / "your-genres")) == 2 * SONGS

    other = Page("other", page.offered)
    assert other.tab._models.names(other.models) == ["crnn"], "another page has nothing of it"
    library = LibraryState(files=[SoundFile(path, path.name) for path in (songs["chords"][SONGS], songs["bursts"][0])])
    event = SimpleNamespace(indices=[0, 1, 7], genre="chords ")
    _, page.state, _ = page.tab.add_rows(page.state, library, event, page.request)
    *_, (again, _, page.models, *_) = list(page.tab.teach_again(page.state, page.models, ["crnn"]))
    result = json.loads(again)["result"]
    assert result["counts"] == [["bursts", SONGS - 1], ["chords", SONGS + 2]], "the last word of a song holds"
    assert page.models.fetched == (result["name"],) and first not in page.offered.models
    page.tab.leave(page.request)
    assert list(page.offered.models) == ["crnn"], "a closed page takes its model with it"


def test_what_cannot_be_learned_from_is_told_where_it_was_given(
    models: Path, songs: dict[str, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Page(longest_s=10.0)
    assert "no name for a genre" in page.ask(do="genre", name="a" * 101)["error"]
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF nothing")
    page.give("chords", [*songs["chords"][:2], broken, save(tmp_path / "long.wav", chords(3, 11.0))])
    page.give("bursts", songs["bursts"][:1])
    view = page.teach()
    told = {song["name"]: song["problem"] for genre in view["genres"] for song in genre["songs"] if song["problem"]}
    assert set(told) == {"broken.wav", "long.wav"} and "the limit is 0:10" in told["long.wav"]
    assert "'bursts' has 1 song, every genre needs 2" in view["error"] and view["result"] is None
    page.give("bursts", songs["bursts"][1:2])
    view = page.teach()
    assert "Too few songs to say how good it is" in view["result"]["sentences"][0]
    view = page.ask(do="remove", index=0)
    assert sum(len(genre["songs"]) for genre in view["genres"]) == 5
    monkeypatch.setattr(teach_tab, "MOST_SONGS", 6)
    assert "no more than 6 songs" in page.give("bursts", songs["bursts"][2:5])["error"]
    assert page.ask(do="anew")["genres"] == []


def test_who_stops_keeps_what_was_read(models: Path, songs: dict[str, list[Path]]) -> None:
    page = Page()
    for genre, files in songs.items():
        page.give(genre, files)
    steps = page.tab.teach(page.state, page.models, [])
    next(steps)
    page.tab.stop(page.state)
    views = [json.loads(step[0]) for step in steps]
    assert views[-1]["error"].startswith("Stopped.") and views[-1]["result"] is None
    assert page.offered.models.keys() == {"crnn"}
    assert page.teach()["result"] is not None, "and may begin again"


def test_a_page_that_has_to_wait_before_it_learns_is_not_taken_for_stopped(
    models: Path, songs: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analysis_queue, "LOOK_EVERY_S", 0.01)
    page = Page()
    for genre, files in songs.items():
        page.give(genre, files[:2])
    steps = page.tab.teach(page.state, page.models, [])
    while not json.loads(next(steps)[0])["busy"]["words"].startswith("Learning"):
        pass
    others = ExitStack()
    for _ in range(page.queue.at_once):
        others.enter_context(page.queue.turn_of_thread(threading.Event()))
    threading.Timer(0.2, others.close).start()
    view = json.loads(list(steps)[-1][0])
    assert view["error"] == "" and view["result"] is not None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLUXBEAT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield from serving("--port", "0")


@pytest.mark.browser
def test_a_listener_teaches_two_genres_and_mends_an_answer(
    browser: Any, server: Server, songs: dict[str, list[Path]], tmp_path: Path
) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.set_default_timeout(ANSWER_MS)  # the first click waits for all of the page
    page.goto(server.url)
    page.get_by_role("tab", name="Models").click()
    page.get_by_role("button", name="Teach it genres of your own").click()
    page.locator("#teach-genre").wait_for(timeout=ANSWER_MS)
    begin = page.locator(".fb-teach-begin")
    for genre in songs:
        page.fill("#teach-genre", genre)
        page.press("#teach-genre", "Enter")
        page.locator(f".fb-teach-genre[aria-label={genre}]").wait_for(timeout=ANSWER_MS)
    assert begin.is_disabled(), "there is nothing to learn from yet"
    drop(page, ".fb-teach-genre[aria-label=chords]", {path.name: path.read_bytes() for path in songs["chords"][:SONGS]})
    drop(page, ".fb-teach-genre[aria-label=bursts]", {path.name: path.read_bytes() for path in songs["bursts"][:SONGS]})
    for genre in songs:
        page.locator(f".fb-teach-genre[aria-label={genre}] .fb-teach-songs li").nth(SONGS - 1).wait_for(
            timeout=ANSWER_MS
        )
    begin.click()
    ready = page.locator(".fb-teach-result h3")
    ready.wait_for(timeout=ANSWER_MS)
    name = ready.inner_text().removesuffix(" is ready")
    assert "songs by artists that it had not learned from" in page.locator(".fb-teach-result").inner_text()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the checkpoint").click()
    download.value.save_as(tmp_path / "own.zip")
    assert "your-genres/config.json" in zipfile.ZipFile(tmp_path / "own.zip").namelist()

    page.get_by_role("tab", name="Library").click()
    page.locator("#library-files").wait_for(timeout=ANSWER_MS)
    drop(page, "#library", {songs["chords"][SONGS].name: songs["chords"][SONGS].read_bytes(), "x.txt": b""})
    row = page.locator(".fb-library-table tbody tr").filter(has_text="chords")
    row.locator(".fb-teach-box").wait_for(timeout=ANSWER_MS)
    by_taught_model = page.locator(".fb-library-words").filter(has_text=f"by {name}")
    by_taught_model.wait_for(timeout=ANSWER_MS)
    row.locator(".fb-teach-box").check()
    page.get_by_label("Genre of the ticked songs").fill("bursts")
    page.get_by_label("Genre of the ticked songs").press("Enter")
    page.wait_for_function(
        "before => !document.querySelector('.fb-teach-result h3').textContent.startsWith(before)",
        arg=name,
        timeout=ANSWER_MS,
    )
    assert page.locator(".fb-teach-result").inner_text().count(f"{SONGS + 1} bursts") == 1
    page.get_by_role("tab", name="Library").click()
    page.locator(".fb-library-open").first.click()
    page.locator("#timeline .fb-heading h2").wait_for(timeout=ANSWER_MS)
    assert page.locator("#model input:checked").get_attribute("value") != name
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("tab", name="Teach").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert wrong == []
    page.close()
