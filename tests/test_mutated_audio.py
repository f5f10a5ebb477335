"""Broken sound files are read as far as they go or refused in one sentence; and what would find otherwise does find."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz_audio import Examine, Making, Outcome, Report, Task, Watch, packaged_ffmpeg, run
from mutated_audio import RECIPES, STRATEGIES, MutatedAudio

from fluxbeat.audio import load_audio
from fluxbeat.sound_files import SOUND_SUFFIXES

FILES = 200


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> MutatedAudio:
    return MutatedAudio(tmp_path_factory.mktemp("seeds"))


@pytest.fixture(scope="module")
def report(maker: MutatedAudio, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """200 files, through decoding and analysis."""
    with Watch(Making(packaged_ffmpeg())) as watch:
        return run(maker, watch, range(FILES), tmp_path_factory.mktemp("mutants"))


def test_two_hundred_broken_files_break_nothing(report: Report) -> None:
    assert report.findings == []
    assert report.files == FILES
    assert report.workers == 1, "no file ended the process that read it"
    assert report.slowest[0] < 20
    assert report.largest[0] < 2000


def test_broken_files_are_neither_all_refused_nor_all_accepted(report: Report) -> None:
    for kind in ("accepted", "refused"):
        assert report.count(kind) > FILES / 10
    assert report.warned > FILES / 20
    assert len(report.refusals) >= 4, "they are refused for more than one reason"


def test_the_report_says_the_same_to_a_person_and_to_a_program(report: Report) -> None:
    told = json.loads(report.json())
    assert told["files"] == FILES
    assert told["findings"] == []
    assert sum(kinds.get("refused", 0) for kinds in told["by_format"].values()) == report.count("refused")
    said = list(report.lines())
    assert f"refused {report.count('refused'):,}" in said
    assert said[-1] == "0 finding(s)"


def test_each_format_and_each_way_of_breaking_occurs(report: Report) -> None:
    assert set(report.by_format) == {recipe.name for recipe in RECIPES}
    assert set(report.by_strategy) == set(STRATEGIES)
    assert min(kinds.total() for kinds in report.by_format.values()) >= 4
    assert min(kinds.total() for kinds in report.by_strategy.values()) >= 10


def test_the_seeds_are_whole_and_of_nearly_every_ending_that_is_read(maker: MutatedAudio) -> None:
    endings = {f".{recipe.ending}" for recipe in RECIPES}
    written_by_no_encoder = {".ape", ".mpc", ".tak"}
    other_names_of_these = {".aif", ".aifc", ".snd", ".rf64", ".asf", ".m4b", ".weba"}
    assert set(SOUND_SUFFIXES) - endings == written_by_no_encoder | other_names_of_these
    for seed in maker.seeds[::5]:
        assert load_audio(seed.data).duration_s == pytest.approx(1.5, abs=0.15)


def test_a_number_is_a_file(maker: MutatedAudio, tmp_path: Path) -> None:
    """In whatever order the files are asked for, and in another process with seeds of its own."""
    numbers = [3, 18, 77, 146, 1001]
    there = [hashlib.sha256(maker.file(number).data).hexdigest() for number in reversed(numbers)][::-1]
    script = (
        "import hashlib, sys; from pathlib import Path; from mutated_audio import MutatedAudio\n"
        "maker = MutatedAudio(Path(sys.argv[1]))\n"
        f"print(*(hashlib.sha256(maker.file(number).data).hexdigest() for number in {numbers}))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    said = subprocess.run([sys.executable, "-c", script, tmp_path], env=environment, capture_output=True, check=True)
    assert said.stdout.decode().split() == there


def test_every_way_of_breaking_changes_every_format(maker: MutatedAudio) -> None:
    pairs = len(RECIPES) * len(STRATEGIES)
    met = {(maker.file(number).recipe.name, maker.file(number).strategies) for number in range(pairs)}
    assert met == {(recipe.name, (strategy,)) for recipe in RECIPES for strategy in STRATEGIES}
    unchanged = sum(maker.file(number).data == maker.seeds[number % len(RECIPES)].data for number in range(pairs))
    assert unchanged < pairs / 20


def bad_examiner() -> Examine:
    return misbehave


def misbehave(task: Task) -> Outcome:
    """What the file says is what happens."""
    what = task.path.read_text()
    if what == "crash":
        ctypes.string_at(1)
    if what == "exit":
        os._exit(3)
    if what == "hang":
        time.sleep(60)
    if what == "hang with a child":
        subprocess.run(["sleep", "61"])
    if what == "memory":
        bytearray(b"x" * 500 * 2**20)
    if what == "memory of a child":
        zeros = subprocess.Popen(["head", "-c", "600M", "/dev/zero"], stdout=subprocess.PIPE)
        subprocess.run(["tail"], stdin=zeros.stdout, stdout=subprocess.DEVNULL)  # keeps a line until it is whole
    if what == "error":
        raise ZeroDivisionError("by zero")
    return Outcome("refused", f'"{task.path.name}" is fine')


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    with Watch(bad_examiner, limit_s=2.0, limit_mb=400.0) as watch:
        yield watch


@pytest.mark.parametrize(
    ("what", "kind", "said"),
    [
        ("crash", "crash", "SIGSEGV"),
        ("exit", "crash", "exit status 3"),
        ("hang", "hang", "in misbehave"),
        ("hang with a child", "hang", "in misbehave"),
        ("memory", "memory", " MB"),
        ("memory of a child", "memory", " MB"),
        ("error", "wrong error", "ZeroDivisionError: by zero"),
    ],
)
def test_the_watch_notices(tmp_path: Path, watch: Watch, what: str, kind: str, said: str) -> None:
    path = tmp_path / "file"
    path.write_text(what)
    outcome = watch.examine(Task(path, as_bytes=False, truncated=False))
    assert outcome.kind == kind
    assert said in outcome.said
    assert outcome.is_finding
    path.write_text("good")
    after = watch.examine(Task(path, as_bytes=False, truncated=False))
    assert (after.kind, after.said) == ("refused", '"file" is fine')
    assert after.peak_mb < 400
    assert not [line for line in running() if "sleep 61" in line], "what a worker had started ends with it"


def running() -> list[str]:
    lines = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(command.read_text(errors="replace").replace("\0", " "))
        except OSError:  # it has just ended
            continue
    return lines
