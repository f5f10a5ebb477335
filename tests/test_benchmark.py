"""The benchmark measures what it says, on one machine that it names."""

import json
import subprocess
import time
from copy import deepcopy

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

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
from fluxbeat.ffmpeg_reader import find_ffmpeg
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


class StillLSTM(nn.Module):
    """In an LSTM's place: states of the same shape, for nothing."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, moments):
        return moments.new_zeros(*moments.shape[:2], self.size), None


def test_operations_of_an_lstm_are_those_counted_by_hand():
    """In each moment and direction a layer has 4 gates, each of (input + state) products for each state."""
    network = deepcopy(load("crnn").network)
    built = network.config.architecture
    size, moments = built["lstm_size"], network.window_steps // built["pooled_steps"]
    inputs = built["frame_size"] + (built["lstm_layers"] - 1) * 2 * size
    recurrent = 2 * moments * 2 * 4 * size * (inputs + built["lstm_layers"] * size)
    whole = operations(network)
    network.lstm = StillLSTM(2 * size)
    assert whole - operations(network) == recurrent


def test_operations_of_a_transformer_are_those_counted_by_hand():
    """For each token a layer has 12 width^2 products; attention itself is little beside them."""
    network = deepcopy(load("vit").network)
    built, (bands, steps) = network.config.architecture, network.token_grid
    usual = 2 * bands * steps * built["depth"] * 12 * built["width"] ** 2
    whole = operations(network)
    network.transformer = nn.Identity()
    assert whole - operations(network) == pytest.approx(usual, rel=0.03)


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
