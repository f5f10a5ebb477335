"""The benchmark measures what it says, on one machine that it names."""

import json
import subprocess
import time

import numpy as np
import pytest
import soundfile
import torch

from fluxbeat.audio.decoding import load_audio
from fluxbeat.audio.ffmpeg_reader import find_ffmpeg
from fluxbeat.cli.main import main
from fluxbeat.models.registry import load
from fluxbeat.training.evaluation.repeated_timing import timed
from fluxbeat.training.evaluation.timings import drawn_mp3, track_report, window_report


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


def test_the_drawn_song_of_minutes_repeats_without_a_gap(tmp_path):
    path = tmp_path / "drawn.mp3"
    path.write_bytes(drawn_mp3(25.0))
    found = load_audio(path)
    assert found.duration_s == pytest.approx(25.0, abs=0.2)
    assert not found.warnings
    loud = np.abs(found.samples[: 24 * found.sample_rate_hz]).reshape(-1, found.sample_rate_hz).max(axis=1)
    assert loud.min() > 0.2


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
    assert cnn["times_real_time"] == pytest.approx(found["duration_s"] / cnn["whole"]["median_s"], rel=0.01)
    assert cnn["model"]["median_s"] > 0


def test_a_file_that_only_ffmpeg_reads_is_decoded_at_its_own_rate(tmp_path):
    song, m4a = tmp_path / "song.mp3", tmp_path / "song.m4a"
    song.write_bytes(drawn_mp3(9.0))
    subprocess.run([find_ffmpeg(), "-loglevel", "error", "-i", song, "-ar", "48000", m4a], check=True, timeout=60)
    assert track_report(m4a, [load("cnn")], runs=1)["sample_rate_hz"] == 48_000


def test_the_command_names_the_machine(tmp_path, capsys):
    song = tmp_path / "song.mp3"
    song.write_bytes(drawn_mp3(10.0))
    assert main(["benchmark", str(song), "--models", "cnn", "--runs", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["machine"]["torch"] == torch.__version__
    assert list(report["windows"]) == list(report["tracks"][0]["models"]) == ["cnn"]
    assert main(["benchmark", str(song), "--models", "cnn", "--runs", "1"]) == 0
    assert "decoding" in capsys.readouterr().out


def test_a_file_that_is_no_music_is_reported(tmp_path, capsys):
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(b"nothing")
    for path in (broken, tmp_path / "missing.mp3"):
        assert main(["benchmark", str(path), "--models", "cnn", "--runs", "1"]) == 2
        assert path.name in capsys.readouterr().err
