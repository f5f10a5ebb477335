"""How the app starts and stops, and which analysis a page waits for."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from web_driving import EXAMPLES, READY, ROOT, TECHNO, serving

from fluxbeat.analysis.engine import analyze
from fluxbeat.errors import AnalysisCancelled, FluxBeatError
from fluxbeat.models.registry import bundled_names, load
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.server import serve
from fluxbeat.web.service import Service
from fluxbeat.web.settings import WebSettings
from fluxbeat.web.ui import kept_tracks
from fluxbeat.web.ui.example_tracks import ExampleAnswers, read_examples
from fluxbeat.web.ui.jobs import Jobs, TrackJob
from fluxbeat.web.ui.kept_tracks import KeptTracks
from fluxbeat.web.ui.models_tab import ModelsState
from fluxbeat.web.ui.page import build_page
from fluxbeat.web.ui.track_results import TrackResults


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "app.py", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=180,
        env={**os.environ, **variables},
    )  # fmt: skip


@pytest.mark.parametrize(("file", "ours"), [("fluxbeat/web/server.py", True), ("library.py", False)])
def test_a_server_whose_own_calls_are_deprecated_fails_its_tests(file: str, ours: bool) -> None:
    warned = f"warnings.warn_explicit('soon gone', DeprecationWarning, {str(ROOT / file)!r}, 1)"
    program = f"import sys, warnings; {warned}; print({READY!r} + 'x', flush=True); sys.stdin.read()"
    server = serving(program=("-c", program))
    next(server)
    with pytest.raises(AssertionError, match="soon gone") if ours else nullcontext():
        next(server, None)


def one_sentence(failed: subprocess.CompletedProcess[str]) -> str:
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert failed.stderr.startswith("fluxbeat: ")
    assert failed.stderr.count("\n") == 1
    return failed.stderr


def test_port_in_use_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        answer = one_sentence(run("--port", port))
    assert f"port {port} on 127.0.0.1 cannot be listened on" in answer


def test_host_of_another_machine_is_refused_with_a_cure() -> None:
    with pytest.raises(FluxBeatError, match=r"try --host 127\.0\.0\.1"):
        serve("192.0.2.7", 0)


def test_a_server_without_models_names_what_is_missing_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUXBEAT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = dict(os.environ)
    with pytest.raises(FluxBeatError, match="no models found"):
        serve("127.0.0.1", 0)
    assert dict(os.environ) == before
    assert list(tmp_path.iterdir()) == []


def test_server_port_of_the_environment_is_read_and_the_flag_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "must be a number, got 'many'" in one_sentence(run(GRADIO_SERVER_PORT="many"))
    monkeypatch.setenv("GRADIO_SERVER_PORT", "70000")
    with pytest.raises(FluxBeatError, match="port 70000 .* must be 0-65535"):
        serve()
    with pytest.raises(FluxBeatError, match="port 80000 .* must be 0-65535"):
        serve(port=80_000)


def test_import_of_the_package_brings_no_web() -> None:
    check = "import sys, fluxbeat; sys.exit(any(name in sys.modules for name in ('gradio', 'fastapi', 'torch')))"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, timeout=60).returncode == 0


def test_every_example_is_there_small_and_licensed() -> None:
    examples = read_examples()
    assert len(examples) == len(json.loads((EXAMPLES / "examples.json").read_text(encoding="utf-8")))
    for example in examples:
        assert example.path.stat().st_size < 500_000
        assert example.title
        assert example.artist
        assert example.licence.startswith(("CC", "Public"))
        assert example.licence_url.startswith("https://")


def test_every_answer_about_an_example_names_what_its_card_promises() -> None:
    model = load("all")
    for example in read_examples():
        promised = [label for label in model.network.config.labels if re.search(rf"\b{label}\b", example.genre_hint)]
        found = analyze(example.path, model)
        named = {label for segment in found.segments for label in segment.labels}
        named |= {label for label in model.network.config.labels if re.search(rf"\b{label}\b", found.summary.lower())}
        assert promised, example.title
        assert set(promised) <= named, (example.title, example.genre_hint, found.summary)


def test_an_example_is_analysed_once_for_all_pages_and_each_page_has_a_track_of_its_own() -> None:
    examples, models = read_examples(), [load("cnn")]
    answers = ExampleAnswers(examples, models, AnalysisQueue(1, 1))
    assert answers.track(examples[0], 60.0).analyses == {}
    answers.begin().result(timeout=120)
    assert answers.begin().done()
    one, other = (answers.track(examples[0], 60.0) for _ in range(2))
    assert list(one.analyses) == ["cnn"]
    assert one.analyses["cnn"] is other.analyses["cnn"]
    assert one.token != other.token
    answers.remember(one.with_tempo(77.0))
    assert not answers.track(examples[0], 60.0).analyses["cnn"].tempo.corrected, "one listener's word is not another's"
    (known,) = one.answers(models, lambda *_: pytest.fail("it was analysed again"))
    assert known is one


def test_a_kept_track_is_found_by_its_token_alone_as_long_as_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0
    monkeypatch.setattr(kept_tracks.time, "monotonic", lambda: now_s)
    kept, songs = KeptTracks(100.0, at_most=2), [tmp_path / f"{n}.wav" for n in range(3)]
    for song in songs:
        song.touch()
    first, second, third = (TrackResults(str(song), song.name) for song in songs)
    kept.keep(first)
    assert kept.find(first.token).key == first.key
    assert kept.find("") is kept.find(first.key) is kept.find(second.token) is None
    now_s = 60.0
    kept.keep(second)
    kept.keep(third)
    assert kept.find(first.token) is None, "there was room for two"
    songs[1].unlink()
    assert kept.find(second.token) is None, "its file is gone"
    now_s = 161.0
    assert kept.find(third.token) is None, "it was kept long enough"


def test_newer_job_supersedes_and_cancel_ends() -> None:
    jobs, queue = Jobs[TrackJob](), AnalysisQueue(1, 1)
    first, other, second = (
        jobs.start(page, TrackJob(queue, TrackResults(f"{name}.wav", name)))
        for page, name in (("page", "a"), ("other", "b"), ("page", "c"))
    )
    assert len({job.track.key for job in (first, other, second)}) == 3
    assert first.stopped and not second.stopped
    with pytest.raises(AnalysisCancelled):
        first.report(0.5, "listening")
    assert jobs.newest("page") is second
    jobs.stop("page")
    assert second.stopped and jobs.newest("page") is None
    assert jobs.newest("other") is other and not other.stopped


def test_models_answer_in_turn_and_decoding_is_shared() -> None:
    models = [load(name) for name in reversed(bundled_names())]
    doing: list[tuple[float, str]] = []
    steps = list(TrackResults(str(TECHNO), "song").answers(models, lambda *told: doing.append(told)))
    names = [model.info.name for model in models]
    assert [list(step.analyses) for step in steps] == [names[: count + 1] for count in range(len(names))]
    shares = [share for share, _ in doing]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] <= 1
    last_played = max(index for index, (_, words) in enumerate(doing) if words == "listening")
    assert all(words != "listening" for _, words in doing[last_played + 1 :])


def test_the_answer_of_the_chosen_model_is_shown_once_and_a_choice_meanwhile_counts() -> None:
    models = {name: load(name) for name in ("cnn", "vit")}
    page = build_page(Service(WebSettings(), models))
    functions = {getattr(each.fn, "__qualname__", ""): each.fn for each in page.fns.values()}
    request: Any = SimpleNamespace(session_hash="page")
    event: Any = SimpleNamespace(index=1)

    async def shown() -> list[str]:
        functions["_Page.begin_example"](event, request)
        titles, results = [], None
        async for updates in functions["_Page.analyse"](None, "cnn", ["cnn", "vit"], ModelsState(), request):
            for component, value in updates.items():
                if component.elem_id == "timeline":
                    titles.append(json.loads(value)["model"])
                results = value if isinstance(value, TrackResults) else results
            if titles == ["CNN"]:
                functions["_Page.choose_model"](results, "vit", request)
        return titles

    assert asyncio.run(shown()) == ["CNN", "ViT"]


def test_analysis_that_is_not_wanted_any_more_ends() -> None:
    wanted = threading.Event()
    wanted.set()

    def report(share: float, words: str) -> None:
        if not wanted.is_set():
            raise AnalysisCancelled("no longer wanted")

    answers = TrackResults(str(TECHNO), "song").answers([load(name) for name in bundled_names()], report)
    next(answers)
    wanted.clear()
    with pytest.raises(AnalysisCancelled):
        next(answers)
