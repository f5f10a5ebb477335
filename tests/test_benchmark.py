"""The benchmark measures what it says, on one machine that it names."""

import json
import time

import numpy as np
import pytest
import soundfile
import torch

from fluxbeat.audio import load_audio
from fluxbeat.benchmark import (
    app_report,
    drawn_mp3,
    import_report,
    memory_report,
    source_of,
    track_report,
    window_report,
)
from fluxbeat.benchmark.one_window import operations
from fluxbeat.benchmark.timing import timed
from fluxbeat.cli import main
from fluxbeat.errors import FluxBeatError
from fluxbeat.zoo import load


def test_a_timing_is_the_median_of_runs_that_count():
    waits_s = iter([0.5, 0.01, 0.03, 0.05])
    found = timed(lambda: time.sleep(next(waits_s)), runs=3, warm_up=1)
    assert found.runs == 3
    assert 0.01 <= found.least_s < found.median_s < found.most_s < 0.5
    assert found.median_s == pytest.approx(0.03, abs=0.015)


def test_the_drawn_song_is_a_stereo_mp3(tmp_path):
    path = tmp_path / "drawn.mp3"
    path.write_bytes(drawn_mp3(3.0))
    facts = soundfile.info(path)
    assert (facts.format, facts.channels, facts.samplerate) == ("MP3", 2, 44_100)
    assert facts.duration == pytest.approx(3.0, abs=0.1)


def test_the_drawn_song_of_minutes_repeats_one_minute_without_a_gap(tmp_path):
    path = tmp_path / "drawn.mp3"
    path.write_bytes(drawn_mp3(150.0))  # three times 50 s
    assert soundfile.info(path).duration == pytest.approx(150.0, abs=0.2)
    found = load_audio(path)
    assert found.duration_s == pytest.approx(150.0, abs=0.2)
    assert not found.warnings
    loud = np.abs(found.samples[: 149 * found.sample_rate_hz]).reshape(-1, found.sample_rate_hz).max(axis=1)
    assert loud.min() > 0.2


def test_operations_are_counted_by_hand_where_that_is_easy():
    """A CRNN's recurrent part: 23 steps, 2 layers and directions, 4 gates, each of (input + state) products."""
    crnn = load("crnn").network
    recurrent = 2 * 23 * 2 * 4 * 208 * ((256 + 208) + (416 + 208))
    total = operations(crnn)
    assert recurrent < total < 5 * recurrent
    # 22 tokens, 6 layers of 12 * 192^2 products each: a transformer's usual count, attention itself beside it
    assert operations(load("vit").network) > 2 * 22 * 6 * 12 * 192**2


def test_one_window_is_timed_with_one_thread_and_all_and_threads_are_given_back():
    before = torch.get_num_threads()
    found = window_report(load("cnn").network, runs=3)
    assert torch.get_num_threads() == before == found["threads"]
    assert found["explanation_per_answer"] == pytest.approx(
        found["explanation"]["median_s"] / found["answer"]["median_s"], abs=0.01
    )


def test_a_whole_track_is_timed_beside_its_decoding_by_one_thread():
    found = track_report(drawn_mp3(20.0), [load("cnn")], runs=1)
    assert found["duration_s"] == pytest.approx(20.0, abs=0.2)
    assert found["sample_rate_hz"] == 44_100
    cnn = found["models"]["cnn"]
    assert cnn["whole_per_decoding"] == pytest.approx(cnn["whole"]["median_s"] / found["decode"]["median_s"], abs=0.01)
    assert cnn["whole"]["median_s"] > cnn["model"]["median_s"]


def test_another_program_is_timed_in_the_same_run():
    found = track_report(drawn_mp3(10.0), [load("cnn")], 1, {"slow": lambda source: time.sleep(1.5)})
    slow = found["peers"]["slow"]
    assert slow["whole"]["median_s"] >= 1.5
    assert slow["times_as_long"]["cnn"] == pytest.approx(1.5 / found["models"]["cnn"]["whole"]["median_s"], rel=0.1)


def test_a_process_of_its_own_tells_its_memory_and_imports(monkeypatch):
    monkeypatch.setattr("fluxbeat.benchmark.own_processes.SHORT_S", 20.0)
    monkeypatch.setattr("fluxbeat.benchmark.own_processes.LONG_S", 40.0)
    found = memory_report("cnn")
    assert 2e8 < found["ten_minutes_bytes"] < 2e9
    assert found["ratio"] == pytest.approx(1.0, abs=0.2)
    imports = import_report(1)
    assert imports["nothing"]["median_s"] < imports["torch"]["median_s"]


def test_the_app_is_started_and_asked_by_eight_people():
    found = app_report(drawn_mp3(5.0), "cnn", 5.0)
    assert found["first_page_s"] > 0
    assert found["answers"] == 24
    assert found["median_answer_s"] <= found["slowest_answer_s"]


def test_the_command_names_the_machine(tmp_path, capsys):
    song = tmp_path / "song.mp3"
    song.write_bytes(drawn_mp3(10.0))
    assert main(["benchmark", str(song), "--models", "cnn", "--runs", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["machine"]["torch"] == torch.__version__
    assert list(report["windows"]) == list(report["tracks"][0]["models"]) == ["cnn"]
    assert main(["benchmark", str(song), "--models", "cnn", "--runs", "1"]) == 0
    assert "decoding" in capsys.readouterr().out


def test_a_file_that_is_no_music_is_said(tmp_path):
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(b"nothing")
    with pytest.raises(FluxBeatError, match=r"broken\.mp3"):
        source_of(broken)
