"""A folder of music becomes a table: every content heard once, nothing lost when it is stopped, no file in the way."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import mutagen
import numpy as np
import pytest
import soundfile
import torch
from mutagen.id3 import ID3, TIT2, TPE1

from fluxbeat.analysis.engine import analyze
from fluxbeat.audio.decoding import load_audio
from fluxbeat.audio.sound_files import SoundFile, find_sound_files
from fluxbeat.audio.tags import one_line
from fluxbeat.cli.main import main
from fluxbeat.cli.options import SORTS
from fluxbeat.errors import FluxBeatError
from fluxbeat.features.torch_threads import shared_threads
from fluxbeat.library import workers
from fluxbeat.library.cache import AnalysisCache
from fluxbeat.library.job import LibraryJob
from fluxbeat.library.table import LibraryRow, filtered, ordered, write_csv
from fluxbeat.library.workers import AnalysisOrError, ThreadWorkers
from fluxbeat.models.registry import load

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "fluxbeat" / "web" / "ui" / "examples"
TECHNO = next(EXAMPLES.glob("techno_*.mp3"))
METAL = next(EXAMPLES.glob("metal_*.mp3"))
CELLO = next(EXAMPLES.glob("classical_*.mp3"))
COUNTRY = next(EXAMPLES.glob("country_*.mp3"))
MODEL = "cnn"


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FLUXBEAT_CACHE", str(folder))
    return folder


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are decoded from now on."""
    names: list[str] = []

    def counting(source: Any, *arguments: Any, name: str, **options: Any) -> Any:
        names.append(name)
        return analyze(source, *arguments, name=name, **options)

    monkeypatch.setattr(workers, "analyze", counting)
    return names


def music(folder: Path, *songs: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for song in songs:
        shutil.copy(song, folder)
    return folder


def analysed(folder: Path, **options: Any) -> list[LibraryRow]:
    cache, workers = AnalysisCache(), ThreadWorkers()
    try:
        job = LibraryJob(find_sound_files(folder), load(MODEL), cache, workers, **options)
        return ordered(row for step in job.steps() for row in step.rows)
    finally:
        workers.close()
        cache.close()


def table(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> list[dict[str, Any]]:
    assert main(["library", *arguments, "--model", MODEL, "--json"]) == status
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_folder_is_searched_below_without_hidden_files_and_circles_of_links(tmp_path: Path) -> None:
    music(tmp_path / "b" / "c", METAL)
    music(tmp_path / ".trash", CELLO)
    (tmp_path / "a.M4A").write_bytes(b"1")
    (tmp_path / "._a.mp3").write_bytes(b"1")
    (tmp_path / "cover.jpg").write_bytes(b"1")
    (tmp_path / "list.m3u").write_text("b/c")
    (tmp_path / "b" / "c" / "up").symlink_to(tmp_path)
    (tmp_path / "b" / "itself").symlink_to("itself")
    (tmp_path / "b" / "gone.wav").symlink_to("nowhere")
    assert [file.shown for file in find_sound_files(tmp_path)] == ["a.M4A", f"b/c/{METAL.name}", "b/gone.wav"]


def test_folder_that_is_none_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, found in (
        (tmp_path / "missing", "does not exist"),
        (TECHNO, "is a file"),
        (tmp_path, "no sound files"),
    ):
        assert main(["library", str(folder)]) == 2
        error = capsys.readouterr().err
        assert found in error
        assert error.count("\n") == 1


def test_rows_say_what_the_analysis_of_each_file_says(tmp_path: Path, cache: Path) -> None:
    rows = {row.path: row for row in analysed(music(tmp_path, TECHNO, METAL, CELLO))}
    assert len(rows) == 3
    for song in (TECHNO, METAL, CELLO):
        answer, row = analyze(song, MODEL).to_dict(), rows[song.name]
        assert list(row.genres) == [genre["label"] for genre in answer["genres"] if genre["active"]]
        assert (row.bpm, row.duration_s, list(row.warnings)) == (
            answer["tempo"]["bpm"], answer["duration_s"], [warning["text"] for warning in answer["warnings"]],
        )  # fmt: skip
    assert "metal" in rows[METAL.name].genres
    assert rows[TECHNO.name].bpm == pytest.approx(130, abs=2)
    assert rows[CELLO.name].bpm == pytest.approx(62.5, abs=2), "soft, and still a beat"


def test_title_comes_from_the_tags_and_else_from_the_name(tmp_path: Path, cache: Path) -> None:
    music(tmp_path, TECHNO, METAL, CELLO)
    tags = ID3(tmp_path / TECHNO.name)
    tags.setall("TIT2", [TIT2(encoding=3, text="Wei\u00df\u202e\n/ Nacht")])
    tags.setall("TPE1", [TPE1(encoding=3, text="AC/DC")])
    tags.save(tmp_path / TECHNO.name)
    mutagen.File(tmp_path / METAL.name).delete()
    wave = tmp_path / "no tags.wav"
    soundfile.write(wave, np.zeros(22_050, np.float32), 22_050)
    titles = {row.path: (row.title, row.artist) for row in analysed(tmp_path)}
    assert titles[TECHNO.name] == ("Weiß / Nacht", "AC/DC")
    assert titles[METAL.name] == (METAL.stem, "")
    assert titles[wave.name] == ("no tags", "")


def test_bad_files_have_a_row_each_and_stop_nobody(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    music(tmp_path, TECHNO)
    (tmp_path / "a text.mp3").write_text("la la la")
    (tmp_path / "empty.flac").touch()
    (tmp_path / "gone.wav").symlink_to("nowhere")
    (tmp_path / "half.mp3").write_bytes(METAL.read_bytes()[:200_000])
    os.mkfifo(tmp_path / "pipe.wav")
    shutil.copy(CELLO, os.fsencode(tmp_path) + b"/z\xe4.mp3")
    assert main(["library", str(tmp_path), "--model", MODEL, "--json"]) == 2
    printed = capsys.readouterr()
    rows = {row["path"]: row for row in json.loads(printed.out)}
    assert "4 of 7 files could not be analysed" in printed.err
    errors = {path: row["error"] for path, row in rows.items() if row["error"]}
    assert set(errors) == {"a text.mp3", "empty.flac", "gone.wav", "pipe.wav"}
    assert "damaged or not an audio file" in errors["a text.mp3"]
    assert "0 bytes" in errors["empty.flac"]
    assert "does not exist" in errors["gone.wav"]
    assert "pipe" in errors["pipe.wav"]
    assert rows["half.mp3"]["genres"] == ["metal"]
    half = rows["half.mp3"]
    told = dict(zip(half["warning_codes"], half["warnings"], strict=True))
    assert "cut off" in told["cut_off"]
    assert rows["empty.flac"]["warning_codes"] == []
    assert rows["z\N{REPLACEMENT CHARACTER}.mp3"]["duration_s"] == pytest.approx(28, abs=0.1)


def test_second_run_decodes_nothing(tmp_path: Path, cache: Path, decoded: list[str]) -> None:
    music(tmp_path, TECHNO, METAL)
    first = analysed(tmp_path)
    assert sorted(decoded) == sorted([TECHNO.name, METAL.name])
    assert analysed(tmp_path) == first
    (tmp_path / METAL.name).rename(tmp_path / "moved.mp3")
    moved = analysed(tmp_path)
    assert [row.path for row in moved] == ["moved.mp3", TECHNO.name]
    assert len(decoded) == 2


def test_same_name_and_length_with_other_content_is_analysed_again(
    tmp_path: Path, cache: Path, decoded: list[str]
) -> None:
    path = tmp_path / "song.wav"
    for song in (TECHNO, CELLO):
        samples = load_audio(song).samples[: 10 * 22_050]
        soundfile.write(path, samples, 22_050)
        os.utime(path, (1e9, 1e9 + len(decoded)))
        rows = analysed(tmp_path)
    assert len(decoded) == 2
    assert "classical" in rows[0].genres


def test_identical_copies_are_analysed_once_even_anew(tmp_path: Path, cache: Path, decoded: list[str]) -> None:
    for folder in ("one", "two", "three"):
        music(tmp_path / folder, METAL)
    rows = analysed(tmp_path)
    assert len(rows) == 3
    assert len({(row.title, row.bpm, row.genres) for row in rows}) == 1
    assert len(decoded) == 1
    analysed(tmp_path, fresh=True)
    assert len(decoded) == 2


def test_another_model_is_another_answer(tmp_path: Path, cache: Path) -> None:
    asked = [load(name).info.revision for name in (MODEL, "crnn")]
    kept = AnalysisCache()
    analysed(music(tmp_path, METAL))
    sha256 = kept.digest(find_sound_files(tmp_path)[0])
    assert [one for one in asked if kept.find(sha256, one, "x")] == asked[:1]


def test_kept_analysis_is_the_whole_analysis(tmp_path: Path, cache: Path) -> None:
    analysed(music(tmp_path, COUNTRY))
    kept = AnalysisCache()
    file = find_sound_files(tmp_path)[0]
    found = kept.find(kept.digest(file), load(MODEL).info.revision, file.shown)
    fresh = analyze(COUNTRY, MODEL)
    assert found.to_dict() == fresh.to_dict()
    np.testing.assert_allclose(found.envelope.peak, fresh.envelope.peak, atol=1e-4)
    assert found.envelope.step_s == fresh.envelope.step_s
    np.testing.assert_allclose(found.tempo.distribution, fresh.tempo.distribution, atol=1e-6)
    np.testing.assert_allclose(found.tempo.grid_bpm, fresh.tempo.grid_bpm, atol=1e-3)


def long_songs(folder: Path, count: int) -> Path:
    """Different songs of a minute and a half, so that there is a middle to be stopped in."""
    folder.mkdir()
    songs = [load_audio(song).samples for song in (TECHNO, METAL, CELLO, COUNTRY)]
    for number in range(count):
        pieces = [np.roll(songs[(number + part) % 4], 997 * number) for part in range(4)]
        soundfile.write(folder / f"{number:02d}.wav", np.concatenate(pieces)[: 90 * 22_050], 22_050)
    return folder


def program(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fluxbeat", "library", str(folder), "--model", MODEL, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, preexec_fn=_interruptible)


def _interruptible() -> None:
    """Tests that run in the background ignore Ctrl+C, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def kept_count(cache: Path) -> int:
    files = list(cache.glob("*.sqlite3"))
    if not files:
        return 0
    with sqlite3.connect(f"file:{files[0]}?mode=ro", uri=True, timeout=10) as base:
        try:
            return int(base.execute("SELECT count(*) FROM analyses").fetchone()[0])
        except sqlite3.OperationalError:  # not made yet
            return 0
        finally:
            base.rollback()


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_stopped_in_the_middle_it_goes_on_where_it_was(
    tmp_path: Path, cache: Path, decoded: list[str], blow: signal.Signals
) -> None:
    folder = long_songs(tmp_path / "music", 16)
    running = program(folder, "--workers", "1")
    os.setpriority(os.PRIO_PROCESS, running.pid, 5)  # on a busy machine this test must not be the one that waits
    end = time.monotonic() + 180
    while kept_count(cache) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    running.send_signal(blow)
    _, error = running.communicate(timeout=30)
    kept = kept_count(cache)
    assert 2 <= kept < 16
    if blow is signal.SIGINT:
        assert running.returncode == 130
        assert f"stopped after {kept} of 16 files" in error
        assert error.count("\n") == 1
    rows = analysed(folder)
    assert len(rows) == 16
    assert not any(row.error for row in rows)
    assert len(decoded) == 16 - kept


def test_two_programs_on_one_cache_give_the_same_table(tmp_path: Path, cache: Path) -> None:
    folder = long_songs(tmp_path / "music", 4)
    both = [program(folder, "--json"), program(folder, "--json")]
    printed = [one.communicate(timeout=120) for one in both]
    assert [one.returncode for one in both] == [0, 0], printed
    assert json.loads(printed[0][0]) == json.loads(printed[1][0])
    assert kept_count(cache) == 4
    with sqlite3.connect(next(cache.glob("*.sqlite3"))) as base:
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_ray_gives_the_same_table(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = music(tmp_path / "music", TECHNO, METAL, CELLO)
    music(folder / "again", METAL)
    (folder / "bad.mp3").write_text("la la la")
    on_ray = program(folder, "--ray", "local", "--workers", "1", "--json")
    printed, error = on_ray.communicate(timeout=400)
    assert on_ray.returncode == 2, error
    assert kept_count(cache) == 3
    here = table(capsys, str(folder), "--fresh", status=2)
    assert json.loads(printed) == here
    assert len(here) == 5


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "somewhere"])
def test_ray_that_is_not_there_is_one_sentence(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    assert main(["library", str(music(tmp_path, METAL)), "--model", MODEL, "--ray", address]) == 2
    error = capsys.readouterr().err
    assert address in error
    assert error.count("\n") == 1


class Fainting:
    """Workers of which every second dies."""

    at_once = 3

    def __init__(self) -> None:
        self._count = 0
        self._threads = ThreadWorkers(1)

    def begin(self, file: SoundFile, model: Any, stop: threading.Event) -> Future[AnalysisOrError]:
        self._count += 1
        if self._count % 2:
            return self._threads.begin(file, model, stop)
        future: Future[AnalysisOrError] = Future()
        future.set_exception(MemoryError("too long"))
        return future

    def close(self) -> None:
        self._threads.close()


def test_worker_that_dies_costs_one_row(tmp_path: Path, cache: Path) -> None:
    files = find_sound_files(music(tmp_path, TECHNO, METAL, CELLO))
    job = LibraryJob(files, load(MODEL), AnalysisCache(), Fainting())
    rows = ordered(row for step in job.steps() for row in step.rows)
    assert [row.error is None for row in rows] == [True, False, True]
    assert "MemoryError: too long" in rows[1].error


@pytest.fixture
def three_torch_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_torch_threads")
def test_threads_that_come_later_compute_as_before_while_a_library_is_open() -> None:
    """The page leaves its library open, and hears single tracks in threads that start afterwards."""
    with closing(ThreadWorkers(2)) as workers, ThreadPoolExecutor(1) as later:
        assert {workers._pool.submit(torch.get_num_threads).result() for _ in range(4)} == {1}
        assert later.submit(torch.get_num_threads).result() == torch.get_num_threads() == 3


@pytest.mark.usefixtures("three_torch_threads")
def test_threads_that_share_a_tracks_windows_compute_alone() -> None:
    pool = shared_threads(3)
    assert {pool.submit(torch.get_num_threads).result() for _ in range(6)} == {1}
    with ThreadPoolExecutor(1) as later:
        assert later.submit(torch.get_num_threads).result() == torch.get_num_threads() == 3


def test_cancelled_job_ends_soon_and_tells_how_far_it_came(tmp_path: Path, cache: Path) -> None:
    files = find_sound_files(long_songs(tmp_path / "music", 8))
    workers = ThreadWorkers(1)
    job = LibraryJob(files, load(MODEL), AnalysisCache(), workers)
    seen = []
    for step in job.steps():
        seen.append(step)
        if step.done >= 2:
            job.cancel()
    workers.close()
    assert 2 <= seen[-1].done < 8
    assert seen[-1].total == 8
    assert seen[-1].remaining_s > 0
    assert sum(len(step.rows) for step in seen) == seen[-1].done


ROWS = [
    LibraryRow("a.mp3", "Delta", duration_s=200.0, genres=("rock", "blues"), bpm=140.0),
    LibraryRow("b.mp3", "alpha", "Somebody", duration_s=100.5, genres=("jazz",), bpm=90.5, warnings=("one", "two")),
    LibraryRow("c.mp3", 'Char"lie; x, y', duration_s=300.0, warnings=("no steady beat: no tempo given",)),
    LibraryRow("d.mp3", "bravo", error='"d.mp3" is damaged'),
]


@pytest.mark.parametrize(
    ("by", "paths"), [(None, "abcd"), ("bpm", "badc"), ("title", "bdca"), ("length", "bacd"), ("genre", "badc")]
)
def test_order_rises_and_leaves_the_unknown_last(by: str | None, paths: str) -> None:
    assert [row.path[0] for row in ordered(reversed(ROWS), by)] == list(paths)


def test_filters_keep_what_they_name() -> None:
    assert [row.path for row in filtered(ROWS, genre="blues")] == ["a.mp3"]
    assert [row.path for row in filtered(ROWS, bpm_range=(90.5, 140))] == ["a.mp3", "b.mp3"]
    assert filtered(ROWS, genre="jazz", bpm_range=(100, 200)) == []


def test_csv_is_read_back_by_csv(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        write_csv(ROWS, file)
    with open(path, encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["title"] for row in read] == [row.title for row in ROWS]
    assert [row["genres"].split("; ") if row["genres"] else [] for row in read] == [list(row.genres) for row in ROWS]
    assert [float(row["bpm"]) if row["bpm"] else None for row in read] == [row.bpm for row in ROWS]
    assert [float(row["length_s"]) if row["length_s"] else None for row in read] == [row.duration_s for row in ROWS]
    assert read[1]["warnings"] == "one; two"
    assert read[3]["error"] == ROWS[3].error


def test_command_sorts_filters_and_writes_csv(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(music(tmp_path / "music", TECHNO, METAL, CELLO))
    at_s = np.arange(20 * 22_050) / 22_050
    drone = sum(np.sin(2 * np.pi * hz * at_s) for hz in (110.0, 164.8, 220.0)) / 6
    soundfile.write(tmp_path / "music" / "Drone.wav", drone, 22_050)
    assert all(ordered([], by=choice) == [] for choice in SORTS)
    by_bpm = table(capsys, folder, "--sort", "bpm")
    assert by_bpm[-1]["path"] == "Drone.wav", "no steady beat: last"
    assert by_bpm[0]["bpm"] < by_bpm[1]["bpm"] < by_bpm[2]["bpm"]
    assert [row["path"] for row in table(capsys, folder, "--genre", "classical")] == [CELLO.name]
    assert [row["path"] for row in table(capsys, folder, "--bpm", "125-135")] == [TECHNO.name]
    written = tmp_path / "table.csv"
    assert main(["library", folder, "--model", MODEL, "--csv", str(written), "--sort", "title"]) == 0
    with open(written, encoding="utf-8", newline="") as file:
        by_title = {row["title"]: row["bpm"] for row in csv.DictReader(file)}
    assert list(by_title) == sorted(by_title)
    assert by_title == {row["title"]: "" if row["bpm"] is None else str(row["bpm"]) for row in by_bpm}
    capsys.readouterr()
    assert main(["library", folder, "--model", MODEL]) == 0
    shown = capsys.readouterr().out
    assert "Chaos God" in shown
    assert "0:28" in shown


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["--genre", "polka"], "metal"),
        (["--csv", "nowhere/table.csv"], "folder that exists"),
        (["--model", "x"], "cnn"),
    ],
)
def test_wish_that_cannot_be_met_is_refused_before_the_work(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], answer: str
) -> None:
    assert main(["library", str(music(tmp_path, METAL)), *arguments]) == 2
    error = capsys.readouterr().err
    assert answer in error
    assert error.count("\n") == 1
    assert kept_count(cache) == 0


@pytest.mark.parametrize("text", ["fast", "130-120", "120", "-5", "1-9999"])
def test_bpm_range_that_is_none_is_a_usage_error(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["library", ".", f"--bpm={text}"])
    assert "LOW-HIGH" in capsys.readouterr().err


def test_cache_that_cannot_be_used_is_named_with_a_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "library-2.sqlite3").write_bytes(b"this is no data base" * 100)
    monkeypatch.setenv("FLUXBEAT_CACHE", str(tmp_path))
    with pytest.raises(FluxBeatError, match=r"library-2.sqlite3 cannot be used .*delete it"):
        AnalysisCache()
    monkeypatch.setenv("FLUXBEAT_CACHE", str(tmp_path / "library-2.sqlite3"))
    with pytest.raises(FluxBeatError, match="FLUXBEAT_CACHE"):
        AnalysisCache()


def test_damaged_entry_is_analysed_anew(tmp_path: Path, cache: Path, decoded: list[str]) -> None:
    first = analysed(music(tmp_path, METAL))
    with sqlite3.connect(next(cache.glob("*.sqlite3"))) as base:
        base.execute("UPDATE analyses SET analysis = x'00'")
    assert analysed(tmp_path) == first
    assert len(decoded) == 2


def test_titles_keep_the_joiners_of_their_spelling() -> None:
    for title in ("👩\u200d🎤 می\u200cخواهم", "क्\u200dष"):
        assert one_line(title) == title
    assert one_line("exe\u202e3pm\x1b[31m\u200b") == "exe3pm[31m"


@pytest.mark.parametrize("text", ["=1+1", "+49", "-song", "@SUM(A1)", "\t=1", "\n=1", " =1", "＝1+1", "＠SUM(A1)"])
def test_no_cell_of_the_table_is_a_formula(text: str) -> None:
    file = io.StringIO(newline="")
    write_csv([LibraryRow(text, text, text, error=text)], file)
    file.seek(0)
    (row,) = csv.DictReader(file)
    assert {row[column] for column in ("path", "title", "artist", "error")} == {f"'{text}"}
