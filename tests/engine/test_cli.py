"""The command line: readable, scriptable, and one bad file does not stop the others."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from fluxbeat.analysis.live import LiveAnalysis
from fluxbeat.cli.main import main
from fluxbeat.models.checkpoint import load_checkpoint, save_checkpoint
from fluxbeat.models.registry import bundled_names, checkpoints_folder, load

EXAMPLES = Path(__file__).parents[2] / "fluxbeat" / "web" / "ui" / "examples"
SONG = str(next(EXAMPLES.glob("techno_*.mp3")))


def test_analyze_prints_tempo_genres_and_a_timeline(capsys):
    assert main(["analyze", SONG]) == 0
    out = capsys.readouterr().out
    assert Path(SONG).name in out
    assert "BPM" in out
    assert {"clear", "likely"} & set(out.split())
    assert set(out) & set("▁▂▃▄▅▆▇█")


def test_json_of_one_file_is_the_contract(capsys):
    assert main(["analyze", SONG, "--model", "cnn", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    keys = [
        "schema", "file", "title", "artist", "duration_s", "model", "summary", "genres", "kind", "tempo", "timeline",
        "segments", "warnings",
    ]  # fmt: skip
    assert list(found) == keys
    assert found["schema"] == 2
    assert found["model"]["name"] == "cnn"
    assert found["model"]["source"] == "checkpoints/cnn"
    assert len(found["model"]["revision"]) == 12
    timeline = found["timeline"]
    assert len(timeline["start_s"]) == len(timeline["probability"]) == len(timeline["bpm"])
    assert len(timeline["probability"][0]) == len(timeline["labels"]) == len(found["genres"])
    probabilities = [genre["probability"] for genre in found["genres"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert found["segments"][0]["start_s"] == 0
    assert found["segments"][-1]["end_s"] == pytest.approx(found["duration_s"], abs=0.01)
    covered_s = timeline["start_s"][-1] + timeline["window_s"]
    assert covered_s >= found["duration_s"] - 1e-3


def test_a_model_that_was_not_taught_tempo_says_so_and_gives_none(tmp_path, capsys):
    model, _ = load_checkpoint(checkpoints_folder() / "cnn")
    model.config = replace(model.config, tempo_taught=False)
    save_checkpoint(model, tmp_path / "untaught")
    untaught = str(tmp_path / "untaught")
    assert main(["analyze", SONG, "--model", untaught, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tempo"] | {"bpm": None, "confidence": 0.0, "candidates": [], "beats_s": []} == found["tempo"]
    assert set(found["timeline"]["bpm"]) == {None}
    assert [warning["code"] for warning in found["warnings"]] == ["tempo_not_taught"]
    assert found["genres"][0]["label"] == "electronic"
    assert main(["analyze", SONG, "--model", untaught]) == 0
    out = capsys.readouterr().out
    assert "not taught tempo" in out
    assert "no steady beat" not in out
    assert main(["explain", SONG, "--model", untaught, "--tempo"]) == 2
    assert "untaught was not taught tempo: there is nothing to explain" in capsys.readouterr().err
    samples, rate_hz = soundfile.read(SONG, stop=44_100 * 14, dtype="float32", always_2d=True)
    live = LiveAnalysis(load(untaught), sample_rate_hz=rate_hz, channels=samples.shape[1])
    predictions = [prediction for second in np.array_split(samples, 14) if (prediction := live.push(second))]
    assert predictions
    assert {prediction.bpm for prediction in predictions} == {None}


def test_bad_files_are_named_while_the_others_are_analysed(tmp_path, capsys):
    text = tmp_path / "notes.mp3"
    text.write_text("these are not the sounds you are looking for")
    status = main(["analyze", str(text), SONG, str(tmp_path / "missing.wav"), "--json", "--model", "cnn"])
    printed = capsys.readouterr()
    assert status == 2
    lines = printed.err.strip().splitlines()
    assert len(lines) == 2
    assert "notes.mp3" in lines[0]
    assert "missing.wav" in lines[1]
    assert [entry["file"] for entry in json.loads(printed.out)] == [Path(SONG).name]


def test_json_of_several_files_is_a_list_even_if_none_can_be_read(tmp_path, capsys):
    missing = [str(tmp_path / "one.wav"), str(tmp_path / "two.wav")]
    assert main(["analyze", *missing, "--json", "--model", "cnn"]) == 2
    printed = capsys.readouterr()
    assert json.loads(printed.out) == []
    assert len(printed.err.strip().splitlines()) == 2
    assert main(["analyze", missing[0], "--json", "--model", "cnn"]) == 2
    assert capsys.readouterr().out == ""


def test_unknown_model_is_one_sentence_with_the_choices(capsys):
    assert main(["analyze", SONG, "--model", "oracle"]) == 2
    error = capsys.readouterr().err
    assert "oracle" in error
    assert all(name in error for name in bundled_names())
    assert len(error.strip().splitlines()) == 1


def test_compare_shows_every_model(capsys):
    assert main(["compare", SONG]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in bundled_names())
    assert "apart" in out


def test_models_lists_what_is_there(capsys):
    assert main(["models", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in entries] == ["all", "cnn", "crnn", "vit"]
    for entry in entries:
        assert entry["parameters"] > 300_000
        assert {"rock", "classical", "electronic"} < set(entry["labels"])
        assert entry["source"] == f"checkpoints/{entry['name']}"
        assert 0.3 < entry["accuracy"]["value"] < 1


def test_models_measures_for_the_readme(capsys):
    assert main(["models", "cnn", "--markdown"]) == 0
    header, _, row, *_ = capsys.readouterr().out.strip().splitlines()
    assert "ms per window" in header
    assert float(row.split("|")[3]) > 0


def test_module_is_the_same_program():
    result = subprocess.run([sys.executable, "-m", "fluxbeat", "--version"], capture_output=True, text=True)
    assert result.returncode == 0
    assert result.stdout.startswith("fluxbeat ")


def test_no_command_is_an_error_with_usage(capsys):
    assert main([]) == 2
    assert "analyze" in capsys.readouterr().err


def in_shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What `fluxbeat` does in a pipe of bash; `$FLUXBEAT` and `$SONG` are set."""
    variables = {**os.environ, "FLUXBEAT": f"{sys.executable} -m fluxbeat", "SONG": SONG, **environment}
    run = ["bash", "-o", "pipefail", "-c", command]
    return subprocess.run(run, env=variables, capture_output=True, text=True, cwd=EXAMPLES.parents[3])


@pytest.mark.parametrize("command", ["$FLUXBEAT analyze $SONG --model cnn --json", "$FLUXBEAT models --json"])
def test_a_reader_that_goes_early_is_no_fault(command: str) -> None:
    done = in_shell(f"{command} | true")
    assert done.stderr == ""
    assert done.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_device_is_one_sentence() -> None:
    done = in_shell("$FLUXBEAT models --json > /dev/full")
    assert done.returncode == 2
    assert done.stderr.startswith("fluxbeat: the output cannot be written (No space left on device)")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_outputs_that_are_closed_are_no_fault(closed: str) -> None:
    done = in_shell(f"$FLUXBEAT models --json {closed}")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_an_output_that_lacks_characters_gets_plain_ones(tmp_path: Path, encoding: str) -> None:
    song = tmp_path / "夜の歌.mp3"
    song.write_bytes(Path(SONG).read_bytes())
    drawn = in_shell('$FLUXBEAT analyze "$SONG" --model cnn', PYTHONIOENCODING=encoding, SONG=str(song))
    assert (drawn.returncode, drawn.stderr) == (0, "")
    assert "???.mp3" in drawn.stdout
    assert set(drawn.stdout) & set("=+*#%")
    exact = in_shell('$FLUXBEAT analyze "$SONG" --model cnn --json', PYTHONIOENCODING=encoding, SONG=str(song))
    assert json.loads(exact.stdout)["file"] == song.name


def test_a_place_that_cannot_be_written_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(options: object) -> int:
        raise PermissionError(13, "Permission denied", "/out")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fluxbeat.cli.main._run", fail)
        assert main(["models"]) == 2
    assert capsys.readouterr().err == "fluxbeat: /out: Permission denied\n"
