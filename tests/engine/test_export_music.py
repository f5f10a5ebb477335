"""Exports of real music by the shipped models, and the command that writes them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import jams
import numpy as np
import pytest
import soundfile
from mutagen.id3 import ID3
from web_driving import EXAMPLES, TECHNO

from fluxbeat.analysis.engine import analyze
from fluxbeat.analysis.result import TrackAnalysis
from fluxbeat.cli.main import main
from fluxbeat.export.formats import FORMATS
from fluxbeat.export.writing import export, render


@pytest.fixture(scope="module")
def techno() -> TrackAnalysis:
    return analyze(TECHNO, "cnn")


def test_json_is_the_one_json(techno: TrackAnalysis) -> None:
    assert json.loads(render(techno, "json")) == techno.to_dict()


def test_csv_has_a_row_per_window_and_a_column_per_genre(techno: TrackAnalysis) -> None:
    table = csv.DictReader(io.StringIO(render(techno, "csv").decode(), newline=""))
    rows, timeline = list(table), techno.timeline
    assert table.fieldnames == ["start_s", "end_s", *timeline.labels, "bpm", "beats_s"]
    assert [float(row["start_s"]) for row in rows] == pytest.approx(timeline.start_s, abs=1e-3)
    assert float(rows[0]["end_s"]) == timeline.window_s
    assert float(rows[-1]["end_s"]) == pytest.approx(techno.duration_s, abs=2e-3)
    for column, label in enumerate(timeline.labels):
        assert [float(row[label]) for row in rows] == pytest.approx(timeline.probability[:, column], abs=1e-4)
    assert [float(row["bpm"] or "nan") for row in rows] == pytest.approx(timeline.bpm, abs=0.05, nan_ok=True)


def test_padded_window_ends_with_the_track_in_csv() -> None:
    tone = np.sin(np.arange(22_050 * 3) / 10).astype(np.float32)
    rows = list(csv.DictReader(io.StringIO(render(analyze((tone, 22_050), "cnn"), "csv").decode())))
    assert [(row["start_s"], row["end_s"]) for row in rows] == [("0.0", "3.0")]


def test_jams_library_reads_genres_tempo_and_segments(techno: TrackAnalysis, tmp_path: Path) -> None:
    document = jams.load(str(export(techno, "jams", tmp_path / "song.jams")), strict=True)
    assert document.validate()
    assert document.file_metadata.duration == pytest.approx(techno.duration_s, abs=1e-3)
    (tags,), (tempo,), (segments,) = (document.search(namespace=n) for n in ("tag_open", "tempo", "segment_open"))
    present = {genre.label: genre.probability for genre in techno.genres if genre.active}
    assert {tag.value: tag.confidence for tag in tags.data} == pytest.approx(present, abs=1e-4)
    assert tempo.data[0].value == pytest.approx(techno.tempo.bpm, abs=0.05)
    assert tempo.data[0].confidence == pytest.approx(techno.tempo.confidence, abs=1e-4)
    intervals, names = segments.to_interval_values()
    assert intervals == pytest.approx(np.array([(one.start_s, one.end_s) for one in techno.segments]), abs=0.011)
    assert names == [", ".join(one.labels) for one in techno.segments]
    assert tags.annotation_metadata.version == techno.model.revision


def test_command_writes_each_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in FORMATS:
        target = tmp_path / f"one{FORMATS[name].suffix or '.mp3'}"
        assert main(["export", str(TECHNO), "--model", "cnn", "--format", name, "--output", str(target)]) == 0
        assert capsys.readouterr().out == f"{target}\n"
        assert target.stat().st_size > 0
    assert json.loads((tmp_path / "one.json").read_text())["model"]["name"] == "cnn"
    assert int(ID3(tmp_path / "one.mp3")["TBPM"].text[0]) > 60


def test_command_writes_several_into_a_folder_and_names_what_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "notes.mp3"
    bad.write_text("no music")
    metal = next(EXAMPLES.glob("metal_*.mp3"))
    command = ["export", str(TECHNO), str(bad), str(metal), "--model", "cnn", "--format", "csv"]
    assert main([*command, "--output", str(tmp_path / "new" / "tables")]) == 2
    printed = capsys.readouterr()
    written = [f"{path.stem}.fluxbeat.csv" for path in (TECHNO, metal)]
    assert [Path(line).name for line in printed.out.splitlines()] == written
    assert sorted(path.name for path in (tmp_path / "new" / "tables").iterdir()) == sorted(written)
    assert printed.err.count("\n") == 1
    assert "notes.mp3" in printed.err


def test_command_refuses_before_it_listens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = tmp_path / "there.csv"
    there.write_text("mine")
    cases = [
        (there, [], "exists already"),
        (tmp_path / "no" / "folder.csv", [], "does not exist"),
        (there, [str(TECHNO)], "must be a folder"),
    ]
    for output, more, answer in cases:
        assert main(["export", str(TECHNO), *more, "--format", "csv", "--output", str(output)]) == 2
        assert answer in capsys.readouterr().err
    assert there.read_text() == "mine"
    assert main(["export", str(TECHNO), "--model", "cnn", "--format", "csv", "--output", str(there), "--force"]) == 0
    assert there.read_text() != "mine"


def test_two_files_of_one_name_do_not_replace_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = ["--model", "cnn", "--format", "audacity", "--output", str(tmp_path), "--force"]
    assert main(["export", str(TECHNO), str(TECHNO), *output]) == 2
    assert "just written for another file" in capsys.readouterr().err
    assert len(list(tmp_path.iterdir())) == 1


def test_a_report_holds_what_speaks_for_its_genres(tmp_path):
    options = ["--format", "html", "--explain", "--model", "cnn", "--output", str(tmp_path)]
    assert main(["export", str(TECHNO), *options]) == 0
    (report,) = tmp_path.glob("*.html")
    text = report.read_text(encoding="utf-8")
    assert "What speaks for electronic" in text
    assert "data:image/png;base64," in text


def test_the_report_of_silence_explains_nothing(tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(9 * 22_050), 22_050)
    options = ["--format", "html", "--explain", "--model", "cnn", "--output", str(tmp_path)]
    assert main(["export", str(tmp_path / "silence.wav"), *options]) == 0
    assert "data:image/png;base64," not in (tmp_path / "silence.fluxbeat.html").read_text(encoding="utf-8")


def test_images_belong_to_the_report_alone(tmp_path, capsys):
    assert main(["export", str(TECHNO), "--format", "csv", "--explain", "--output", str(tmp_path)]) == 2
    assert "--explain belongs to --format html" in capsys.readouterr().err
