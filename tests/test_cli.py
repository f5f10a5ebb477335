"""The command line: readable, scriptable, and one bad file does not stop the others."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from fluxbeat.analysis import LiveAnalysis
from fluxbeat.cli import main
from fluxbeat.models import load_checkpoint, save_checkpoint
from fluxbeat.zoo import bundled_names, checkpoints_folder, load

EXAMPLES = Path(__file__).parent.parent / "fluxbeat" / "ui" / "examples"
SONG = str(next(EXAMPLES.glob("techno_*.mp3")))


def test_analyze_prints_tempo_genres_and_a_timeline(capsys):
    assert main(["analyze", SONG]) == 0
    out = capsys.readouterr().out
    assert Path(SONG).name in out
    assert "BPM" in out
    assert "%" in out
    assert set(out) & set("▁▂▃▄▅▆▇█")


def test_json_of_one_file_is_the_contract(capsys):
    assert main(["analyze", SONG, "--model", "cnn", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    keys = ["schema", "file", "duration_s", "model", "genres", "tempo", "timeline", "segments", "warnings"]
    assert list(found) == keys
    assert found["schema"] == 1
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
    assert found["tempo"] == {"bpm": None, "confidence": 0.0, "candidates": []}
    assert set(found["timeline"]["bpm"]) == {None}
    assert found["warnings"] == ["this model was not taught tempo: none given"]
    assert found["genres"][0]["label"] == "electronic"
    assert main(["analyze", SONG, "--model", untaught]) == 0
    out = capsys.readouterr().out
    assert "not taught tempo" in out
    assert "no steady beat" not in out
    assert main(["explain", SONG, "--model", untaught, "--tempo"]) == 2
    assert "untaught was not taught tempo: there is nothing to explain" in capsys.readouterr().err
    samples, rate_hz = soundfile.read(SONG, stop=44_100 * 14, dtype="float32", always_2d=True)
    live = LiveAnalysis(load(untaught), sample_rate_hz=rate_hz, channels=samples.shape[1])
    heard = [said for second in np.array_split(samples, 14) if (said := live.push(second))]
    assert heard
    assert {said.bpm for said in heard} == {None}


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
    assert [entry["name"] for entry in entries] == ["cnn", "crnn", "vit"]
    for entry in entries:
        assert entry["parameters"] > 300_000
        assert {"rock", "classical", "electronic"} < set(entry["labels"])
        assert entry["source"] == f"checkpoints/{entry['name']}"
        assert 0.3 < entry["accuracy"]["value"] < 0.95


def test_models_measures_for_the_readme(capsys):
    assert main(["models", "cnn", "--markdown"]) == 0
    header, _, row = capsys.readouterr().out.strip().splitlines()
    assert "ms per window" in header
    assert float(row.split("|")[3]) > 0


def test_module_is_the_same_program():
    result = subprocess.run([sys.executable, "-m", "fluxbeat", "--version"], capture_output=True, text=True)
    assert result.returncode == 0
    assert result.stdout.startswith("fluxbeat ")


def test_no_command_is_an_error_with_usage(capsys):
    assert main([]) == 2
    assert "analyze" in capsys.readouterr().err


def archive(tmp_path: Path) -> Path:
    """Four clips in the format of the picture archives, of noise: the format counts here, not the answers."""
    rng = np.random.default_rng(0)
    ids = [f"{genre}.0000{n}" for genre in ("jazz", "metal") for n in (0, 1)]
    np.savez(
        tmp_path / "four.npz",
        clip_id=np.array(ids),
        spectrogram=rng.integers(0, 255, (4, 129, 496), dtype=np.uint8),
    )
    rows = [f"{name},{name.split('.')[0]},{100 + 10 * n},{n},{1 + n % 2}" for n, name in enumerate(ids)]
    (tmp_path / "four.csv").write_text("\n".join(["clip_id,genre,bpm,artist_group,fold", *rows]) + "\n")
    return tmp_path / "four"


def test_evaluate_reads_any_picture_archive(tmp_path, capsys):
    assert main(["evaluate", "cnn", "--gtzan-archive", str(archive(tmp_path)), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tracks"] == report["accuracy"]["n"] == report["tempo"]["accuracy1"]["n"] == 4
    assert report["average_precision"]["jazz"]["positives"] == 2
    assert report["average_precision"]["blues"]["positives"] == 0
    assert main(["evaluate", "cnn", "--gtzan-archive", str(tmp_path / "four"), "--fold", "1"]) == 0
    assert "genre accuracy" in capsys.readouterr().out


def test_evaluate_reads_a_table_of_recordings(tmp_path, capsys):
    t = np.arange(22_050 * 12) / 22_050
    soundfile.write(tmp_path / "hum.wav", 0.3 * np.sin(2 * np.pi * 110 * t) * (t % 0.5 < 0.1), 22_050)
    (tmp_path / "music.csv").write_text("path,labels,bpm\nhum.wav,jazz;blues,120\nhum.wav,rock,\n")
    assert main(["evaluate", "cnn", "--data", str(tmp_path / "music.csv"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["accuracy"]["n"] == 2
    assert report["tempo"]["accuracy1"]["n"] == report["librosa_tempo"]["accuracy1"]["n"] == 1


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "columns"),
        ("path,labels\n", "no rows"),
        ("path,labels,bpm\na.wav,jazz,fast\n", "line 2"),
        (None, "no such file"),
    ],
)
def test_evaluate_says_what_is_wrong_with_a_table(tmp_path, capsys, table, message):
    if table is not None:
        (tmp_path / "bad.csv").write_text(table)
    assert main(["evaluate", "cnn", "--data", str(tmp_path / "bad.csv")]) == 2
    assert message in capsys.readouterr().err


def test_evaluate_names_the_missing_half_of_an_archive(tmp_path, capsys):
    archive(tmp_path)
    (tmp_path / "four.npz").unlink()
    assert main(["evaluate", "cnn", "--gtzan-archive", str(tmp_path / "four")]) == 2
    assert "four.npz" in capsys.readouterr().err
