"""The Explain tab with models that know different genres."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import soundfile
from tiny_classifiers import GENRES, save_classifier
from web_driving import CHANGE

from fluxbeat.analysis.engine import analyze
from fluxbeat.audio.decoding import load_audio
from fluxbeat.charts.wording import percent
from fluxbeat.explanation.regions import REGISTERS
from fluxbeat.models.registry import LoadedModel, checkpoints_folder, load
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.ui import explain_tab, jobs
from fluxbeat.web.ui.explain_tab import BY_SOUND, TEMPO, ExplainTab
from fluxbeat.web.ui.offered_models import OfferedModels
from fluxbeat.web.ui.track_results import TrackResults

explaining = importlib.import_module("fluxbeat.explanation.explain")
"""The module, whose function has the same name."""


@pytest.fixture(scope="module")
def dancer(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A model that names the music of its metal salsa, and knows nothing else by the others' names."""
    folder = tmp_path_factory.mktemp("models") / "dancer"
    shutil.copytree(checkpoints_folder() / "cnn", folder)
    config = json.loads((folder / "config.json").read_text())
    config["labels"] = ["salsa" if label == "metal" else f"{label} dance" for label in config["labels"]]
    (folder / "config.json").write_text(json.dumps(config))
    return load(folder)


@pytest.fixture(scope="module")
def explainer(dancer: LoadedModel) -> ExplainTab:
    offered = OfferedModels([load("cnn")])
    offered.add([dancer])
    return ExplainTab(offered, AnalysisQueue(1, 0))


@pytest.fixture(scope="module")
def results(dancer: LoadedModel) -> TrackResults:
    return TrackResults(str(CHANGE), CHANGE.name, {"cnn": analyze(CHANGE, "cnn"), "dancer": analyze(CHANGE, dancer)})


def asked(
    explainer: ExplainTab, results: TrackResults, about: str, *models: str, start_s: float = 2.0, moved: bool = False
) -> dict[str, Any]:
    event: Any = SimpleNamespace(about=about, start_s=start_s, moved=moved, models=list(models or ("cnn", "dancer")))
    view = explainer.explained(results, event, lambda *_: None)
    assert "error" not in view
    return view


@pytest.mark.parametrize(("about", "knows", "does_not"), [("metal", "cnn", "dancer"), ("salsa", "dancer", "cnn")])
def test_who_knows_the_genre_explains_it_and_who_does_not_says_so(explainer, results, about, knows, does_not):
    view = asked(explainer, results, about)
    rows = {row["model"]: row for row in view["rows"]}
    assert list(rows) == ["cnn", "dancer"]
    assert rows[knows]["about"] == view["about"] == about
    assert rows[knows]["window"]["frames"] > 0
    assert f"does not know {about}" in rows[does_not]["missing"]
    assert {"metal", "salsa"} <= {choice["label"] for choice in view["choices"]}


def test_without_a_choice_the_strongest_genre_of_any_is_explained(explainer, results):
    assert asked(explainer, results, "")["about"] in ("metal", "salsa")


def test_a_genre_that_no_model_left_knows_gives_way_to_the_strongest(explainer, results):
    view = asked(explainer, results, "salsa", "cnn")
    assert view["about"] == "metal"
    assert [row["model"] for row in view["rows"]] == ["cnn"]
    assert "missing" not in view["rows"][0]


def test_tempo_is_everybodys(explainer, results):
    assert not [row for row in asked(explainer, results, TEMPO)["rows"] if "missing" in row]


def test_a_chosen_genre_stays_where_it_is_present_and_gives_way_where_it_is_absent(explainer, results):
    """The song begins as metal and ends calmly; who asks for metal there all the same is answered."""
    assert asked(explainer, results, "metal", "cnn", moved=True)["about"] == "metal"
    later = asked(explainer, results, "metal", "cnn", start_s=19.0, moved=True)
    assert later["absent"] == "metal"
    assert later["about"] != "metal"
    stubborn = asked(explainer, results, "metal", "cnn", start_s=19.0)
    assert (stubborn["about"], stubborn["absent"]) == ("metal", "")


def test_the_badge_is_what_the_numbers_beside_it_say(explainer, results):
    """The marks count where the answer falls by a tenth more than it does without a random fifth."""
    seen = set()
    for start_s in (2.0, 19.0):
        labels = [choice["label"] for choice in asked(explainer, results, "", "cnn", start_s=start_s)["choices"]]
        for label in labels[:5]:
            row = asked(explainer, results, label, "cnn", start_s=start_s)["rows"][0]
            if not row["badge"]:
                assert "speaks for" in row["why"] or "hardly here" in row["why"]
                continue
            _, marked, random, _ = (int(number) for number in re.findall(r"(\d+) %", row["why"]))
            seen.add(row["badge"])
            if abs(random - marked - 10) > 1 and abs(random - marked + 10) > 1:
                counts = random - marked > 10
                assert row["badge"].endswith("counts") is counts, row["why"]
    assert "what is marked counts" in seen


def test_where_nothing_speaks_for_a_genre_there_is_no_badge_and_a_sentence(explainer, results, monkeypatch):
    monkeypatch.setattr(explain_tab, "strength", lambda found: np.zeros_like(found.evidence))
    (row,) = asked(explainer, results, "metal", "cnn")["rows"]
    assert row["badge"] == "" and row["regions"] == [] and not row["speaks"]
    assert row["why"] == "Nothing in this window speaks for metal."


def test_places_are_words_with_hz_for_pointing(explainer, results):
    (row,) = asked(explainer, results, "metal", "cnn")["rows"]
    names = {name for _, name in REGISTERS} | {"all registers"}
    assert row["regions"]
    for region in row["regions"]:
        assert region["words"].split(",")[0] in names
        assert "Hz" not in region["words"] and "Hz" in region["exactly"]
        assert "%" not in region["part"] and "%" in region["share"]


def test_both_parts_of_the_sound_make_the_window(explainer, results):
    event: Any = SimpleNamespace(model="cnn", about="metal", start_s=2.0, ticket=7)
    answer = json.loads(asyncio.run(explainer.play(results, event)))
    assert answer["ticket"] == 7
    parts = {name: soundfile.read(unquote(url.partition("file=")[2]))[0] for name, url in answer["urls"].items()}
    window = load_audio(CHANGE, sample_rate_hz=44_100).samples[2 * 44_100 :][: len(parts["rest"])]
    assert parts["attended"] + parts["rest"] == pytest.approx(window, abs=2e-4)
    assert all(np.abs(part).max() > 0.05 for part in parts.values())


class SlowPage:
    """The tab for one page, with a classifier of the Hub that takes its time for every question."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        model, self.asked, answers = load(save_classifier(folder, "hubert")), 0, explaining.asker
        offered = OfferedModels([load("cnn")])
        offered.add([model])
        self.tab = ExplainTab(offered, AnalysisQueue(1, 4))
        self.results = TrackResults(str(CHANGE), CHANGE.name, {model.info.name: analyze(CHANGE, model)})
        self.request: Any = SimpleNamespace(session_hash="one")

        def slow(network: Any, label: int) -> Any:
            def ask(sounds: Any) -> Any:
                time.sleep(0.1)
                self.asked += 1
                return answers(network, label)(sounds)

            return ask

        monkeypatch.setattr(explaining, "asker", slow)
        monkeypatch.setattr(jobs, "REPORTED_EVERY_S", 0.02)

    async def views(self, about: str = "jazz", stop_at: float = 2.0) -> list[dict[str, Any]]:
        """What the page is told; it has enough once so much is done."""
        event: Any = SimpleNamespace(about=about, start_s=2.0, moved=False, models=["sounds"])
        views = []
        async for view in self.tab.explain(self.results, event, self.request):
            views.append(json.loads(view) if isinstance(view, str) else {})
            if views[-1].get("busy", {}).get("share", 0.0) >= stop_at:
                self.tab.stop(self.request)
        return views


def test_of_a_slow_model_it_is_told_how_far_it_is_and_the_sound_is_not_asked_for_again(tmp_path, monkeypatch):
    page = SlowPage(tmp_path / "sounds", monkeypatch)
    *busy, last = asyncio.run(page.views())
    shares = [view["busy"]["share"] for view in busy]
    assert len(set(shares)) > 3 and shares == sorted(shares) and shares[-1] < 1.0
    assert busy[-1]["busy"]["words"] == "sounds is listening without parts of the sound"
    assert [row["model"] for row in last["rows"]] == ["sounds"]
    asked, event = page.asked, SimpleNamespace(model="sounds", about="jazz", start_s=2.0, ticket=1)
    assert set(page.tab.sound(page.results, event)["urls"]) == {"attended", "rest"}
    assert page.asked == asked


def test_who_stops_waits_no_longer_and_a_new_question_takes_the_place_of_one_before(tmp_path, monkeypatch):
    page = SlowPage(tmp_path / "sounds", monkeypatch)
    *_, last = asyncio.run(page.views(stop_at=0.1))
    assert "stopped" in last and "rows" not in last
    assert page.asked < 6, "a stopped explanation goes on asking"

    async def two() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        first = asyncio.create_task(page.views("jazz"))
        await asyncio.sleep(0.2)
        return await asyncio.gather(first, page.views("rock"))

    first, second = asyncio.run(two())
    assert first[-1] == {}, "an answer that nobody waits for is not shown over a newer one"
    assert second[-1]["about"] == "rock"


def test_a_classifier_of_the_hub_is_explained_by_parts_of_the_sound(tmp_path):
    model = load(save_classifier(tmp_path / "sounds", "hubert"))
    offered = OfferedModels([load("cnn")])
    offered.add([model])
    analysis = analyze(CHANGE, model)
    results = TrackResults(str(CHANGE), CHANGE.name, {"sounds": analysis})
    view = asked(ExplainTab(offered, AnalysisQueue(1, 0)), results, "jazz", "sounds", "cnn")
    rows = {row["model"]: row for row in view["rows"]}
    told = analysis.timeline.probability[2, GENRES.index("jazz")]
    assert rows["sounds"]["percent"] == percent(told), "of the window that begins at 2 s"
    assert rows["sounds"]["badge"] == ""
    assert rows["sounds"]["why"] == (
        BY_SOUND if rows["sounds"]["speaks"] else "Nothing in this window speaks for jazz."
    )
    assert {one["label"] for one in view["choices"]} == {*GENRES, *load("cnn").network.config.labels}
    assert "badge" in rows["cnn"]
