"""Every export, read back by the library or the rules of its own format."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jams
import mutagen
import numpy as np
import pytest
import soundfile
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, ID3, TCON, TDRC, TIT2
from mutagen.mp4 import MP4, MP4Cover
from PIL import Image
from test_web_pictures import half_ambient_half_metal
from web_driving import EXAMPLES, TECHNO

from fluxbeat.analysis import Segment, TrackAnalysis, analyze
from fluxbeat.audio import load_audio
from fluxbeat.cli import main
from fluxbeat.commands.export import FORMAT_NAMES
from fluxbeat.errors import ExportError
from fluxbeat.export import FORMATS, export, file_name, media_type, render
from fluxbeat.ffmpeg_reader import find_ffmpeg


def picture(colour: str) -> bytes:
    """A small PNG file."""
    content = io.BytesIO()
    Image.new("RGB", (40, 20), colour).save(content, "PNG")
    return content.getvalue()


PNG = picture("red")


@pytest.fixture(scope="module")
def techno() -> TrackAnalysis:
    return analyze(TECHNO, "cnn")


def unsure(analysis: TrackAnalysis) -> TrackAnalysis:
    """The same, with no genre clearly present."""
    return dataclasses.replace(
        analysis,
        genres=tuple(dataclasses.replace(genre, active=False) for genre in analysis.genres),
        segments=(Segment(0.0, analysis.duration_s, ()),),
    )


def test_json_is_the_one_json(techno: TrackAnalysis) -> None:
    assert json.loads(render(techno, "json")) == techno.to_dict()


def test_csv_has_a_row_per_window_and_a_column_per_genre(techno: TrackAnalysis) -> None:
    table = csv.DictReader(io.StringIO(render(techno, "csv").decode(), newline=""))
    rows, timeline = list(table), techno.timeline
    assert table.fieldnames == ["start_s", "end_s", *timeline.labels, "bpm"]
    assert [float(row["start_s"]) for row in rows] == pytest.approx(timeline.start_s, abs=1e-3)
    assert float(rows[0]["end_s"]) == timeline.window_s
    assert float(rows[-1]["end_s"]) == pytest.approx(techno.duration_s, abs=2e-3)
    for column, label in enumerate(timeline.labels):
        assert [float(row[label]) for row in rows] == pytest.approx(timeline.probability[:, column], abs=1e-4)
    assert [float(row["bpm"] or "nan") for row in rows] == pytest.approx(timeline.bpm, abs=0.05, nan_ok=True)


def test_csv_leaves_bpm_empty_where_there_is_no_beat() -> None:
    rows = list(csv.DictReader(io.StringIO(render(half_ambient_half_metal(), "csv").decode())))
    assert [row["bpm"] for row in rows[:4]] == ["", "", "", "120.0"]


def test_padded_window_ends_with_the_track_in_csv() -> None:
    tone = np.sin(np.arange(22_050 * 3) / 10).astype(np.float32)
    rows = list(csv.DictReader(io.StringIO(render(analyze((tone, 22_050), "cnn"), "csv").decode())))
    assert [(row["start_s"], row["end_s"]) for row in rows] == [("0.0", "3.0")]


def audacity_labels(text: str) -> list[tuple[float, float, str]]:
    """Read as Audacity's manual has it: start, end and text with tabs between, one label a line."""
    assert text.endswith("\n")
    labels = []
    for line in text.removesuffix("\n").split("\n"):
        start, end, words = line.split("\t")
        assert re.fullmatch(r"\d+\.\d{6}", start)
        assert re.fullmatch(r"\d+\.\d{6}", end)
        labels.append((float(start), float(end), words))
    return labels


def test_audacity_labels_are_the_segments(techno: TrackAnalysis) -> None:
    assert audacity_labels(render(half_ambient_half_metal(), "audacity").decode()) == [
        (0.0, 30.0, "ambient"),
        (30.0, 60.0, "metal, <b>odd</b>"),
    ]
    found = audacity_labels(render(techno, "audacity").decode())
    assert [end for _, end, _ in found] == pytest.approx([segment.end_s for segment in techno.segments], abs=1e-6)


def test_audacity_label_is_one_line_whatever_a_genre_is_called_and_never_empty() -> None:
    analysis = half_ambient_half_metal()
    odd = dataclasses.replace(analysis, segments=(Segment(0.0, 30.0, ("a\tb\nc",)), Segment(30.0, 60.0, ())))
    labels = audacity_labels(render(odd, "audacity").decode())
    assert [words for _, _, words in labels] == ["a b c", "nothing sure"]


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


def test_jams_of_a_track_without_beat_or_sure_genre_is_valid_and_claims_nothing(tmp_path: Path) -> None:
    document = jams.load(str(export(unsure(half_ambient_half_metal(bpm=None)), "jams", tmp_path / "s.jams")))
    assert [len(document.search(namespace=name)[0].data) for name in ("tag_open", "tempo")] == [0, 0]
    assert [segment.value for segment in document.search(namespace="segment_open")[0].data] == ["nothing sure"]


def chord(folder: Path, ending: str) -> Path:
    """Two seconds of sound in a file of this kind."""
    time_s = np.arange(44_100 * 2) / 44_100
    samples = sum(0.2 * np.sin(2 * np.pi * hz * time_s) for hz in (220, 277.2, 329.6))
    path, wav = folder / f"song.{ending}", folder / "chord.wav"
    soundfile.write(wav, samples, 44_100)
    subprocess.run([find_ffmpeg(), "-v", "error", "-y", "-i", wav, path], check=True)
    wav.unlink()
    return path


def music(folder: Path, ending: str) -> Path:
    """The same, with a title, a cover, and a genre that is wrong."""
    path = chord(folder, ending)
    audio: Any = mutagen.File(path)
    if audio.tags is None:
        audio.add_tags()
    cover = Picture()
    cover.type, cover.mime, cover.data = 3, "image/png", PNG
    if isinstance(audio.tags, ID3):
        for frame in (TIT2(text="Évening"), TCON(text="Speech"), APIC(mime="image/png", type=3, data=PNG)):
            audio.tags.add(frame)
    elif isinstance(audio, MP4):
        audio.tags.update({"\xa9nam": ["Évening"], "\xa9gen": ["Speech"], "covr": [MP4Cover(PNG, 14)]})
    else:
        audio.tags.update({"title": ["Évening"], "genre": ["Speech"]})
        if isinstance(audio, FLAC):
            audio.add_picture(cover)
        else:
            audio.tags["metadata_block_picture"] = [base64.b64encode(cover.write()).decode()]
    audio.save()
    return path


def told(path: Path) -> dict[str, Any]:
    """What the tags of a file say, read by mutagen: title, genres, tempo, exact tempo, cover."""
    audio: Any = mutagen.File(path)
    tags = audio.tags
    if isinstance(tags, ID3):
        said = tags["TIT2"].text, tags["TCON"].text, tags["TBPM"].text[0], tags["TXXX:FLUXBEAT_BPM"].text[0]
        cover = tags.getall("APIC")[0].data
    elif isinstance(audio, MP4):
        exact = bytes(tags["----:com.apple.iTunes:FLUXBEAT_BPM"][0]).decode()
        said = tags["\xa9nam"], tags["\xa9gen"], str(tags["tmpo"][0]), exact
        cover = bytes(tags["covr"][0])
    else:
        said = tags["title"], tags["genre"], tags["bpm"][0], tags["fluxbeat_bpm"][0]
        stored = audio.pictures if isinstance(audio, FLAC) else []
        cover = stored[0].data if stored else Picture(base64.b64decode(tags["metadata_block_picture"][0])).data
    title, genres, bpm, exact = said
    return {"title": title, "genres": genres, "bpm": bpm, "exact": exact, "cover": cover}


KINDS = {"mp3": "mpeg", "wav": "wav", "aiff": "aiff", "flac": "flac", "ogg": "ogg", "opus": "ogg", "m4a": "mp4"}


@pytest.mark.parametrize("ending", KINDS)
def test_tagged_copy_says_genres_and_tempo_and_keeps_all_else(ending: str, tmp_path: Path) -> None:
    song = music(tmp_path, ending)
    before, analysis = song.read_bytes(), half_ambient_half_metal(bpm=127.6)
    copy = export(analysis, "tags", tmp_path / f"copy.{ending}", song)
    genres = [genre.label for genre in analysis.genres]
    assert told(copy) == {"title": ["Évening"], "genres": genres, "bpm": "128", "exact": "127.6", "cover": PNG}
    assert song.read_bytes() == before
    assert np.array_equal(load_audio(copy).samples, load_audio(song).samples)
    assert media_type("tags", song) == f"audio/{KINDS[ending]}"
    in_memory = tmp_path / f"memory.{ending}"
    in_memory.write_bytes(render(analysis, "tags", before))
    assert told(in_memory) == told(copy)


def test_music_without_any_tags_gets_some(tmp_path: Path) -> None:
    bare = tmp_path / "bare.mp3"
    subprocess.run(
        [find_ffmpeg(), "-v", "error", "-i", TECHNO, "-t", "2", "-map_metadata", "-1", "-id3v2_version", "0", bare],
        check=True,
    )
    assert mutagen.File(bare).tags is None
    copy = export(half_ambient_half_metal(), "tags", tmp_path / "copy.mp3", bare)
    assert ID3(copy)["TBPM"].text == ["120"]


def test_old_id3_keeps_its_version_and_its_year(tmp_path: Path) -> None:
    song = music(tmp_path, "mp3")
    tags = ID3(song)
    tags.add(TDRC(text="1998"))
    tags.update_to_v23()
    tags.save(song, v2_version=3)
    copy = export(half_ambient_half_metal(), "tags", tmp_path / "copy.mp3", song)
    assert copy.read_bytes()[:4] == b"ID3\x03"
    found = ID3(copy)
    assert str(found["TDRC"]) == "1998"
    assert found["TCON"].text == ["/".join(genre.label for genre in half_ambient_half_metal().genres)]
    assert found["TBPM"].text == ["120"]


def test_what_was_not_found_leaves_the_tags_that_are_there(tmp_path: Path) -> None:
    song = music(tmp_path, "flac")
    copy = export(unsure(half_ambient_half_metal()), "tags", tmp_path / "copy.flac", song)
    assert FLAC(copy)["genre"] == ["Speech"]
    assert FLAC(copy)["bpm"] == ["120"]


def test_content_counts_and_not_the_ending_of_the_name(tmp_path: Path) -> None:
    song = music(tmp_path, "mp3").rename(tmp_path / "song.flac")
    copy = export(half_ambient_half_metal(), "tags", tmp_path / "copy.flac", song)
    assert "TCON" in ID3(copy)


@pytest.mark.parametrize("ending", ["webm", "wma", "aac", "mka"])
def test_kinds_without_tags_are_named_with_the_way_out(ending: str, tmp_path: Path) -> None:
    song = chord(tmp_path, ending)
    with pytest.raises(ExportError, match=r"song\.mp3: files of this kind carry no tags .* convert it to MP3"):
        export(half_ambient_half_metal(), "tags", tmp_path / f"copy.{ending}", song)
    assert [path.name for path in tmp_path.iterdir()] == [song.name]


def test_damaged_music_is_one_sentence_and_leaves_nothing_behind(tmp_path: Path) -> None:
    song = music(tmp_path, "flac")
    song.write_bytes(song.read_bytes()[:30])
    with pytest.raises(ExportError, match="tags cannot be written"):
        export(half_ambient_half_metal(), "tags", tmp_path / "copy.flac", song)
    assert [path.name for path in tmp_path.iterdir()] == ["song.flac"]


def test_nothing_sure_is_not_written_as_tags(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="nothing to write as tags"):
        export(unsure(half_ambient_half_metal(bpm=None)), "tags", tmp_path / "copy.mp3", TECHNO)


@pytest.mark.parametrize("call", [render, lambda analysis, kind: export(analysis, kind, "copy.mp3")])
def test_tagged_copy_needs_the_music(call: Any) -> None:
    with pytest.raises(ExportError, match="needs the music file"):
        call(half_ambient_half_metal(), "tags")


def test_music_that_is_gone_is_asked_for_again(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="give it again"):
        export(half_ambient_half_metal(), "tags", tmp_path / "copy.mp3", tmp_path / "gone.mp3")


class Outside(HTMLParser):
    """Everything in a page that could make a browser ask for something."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]


def test_report_names_no_address_but_its_own_pictures() -> None:
    page = render(half_ambient_half_metal(), "html", pictures=[("Where it heard <metal>", PNG)]).decode()
    found = Outside()
    found.feed(page)
    assert len(found.addresses) == 1
    assert found.addresses[0].startswith("data:image/png;base64,")
    assert "Where it heard &lt;metal&gt;" in page
    assert "<b>odd" not in page.split('id="figures"')[0]
    assert page.count("@import") + page.count("url(") == 0


def test_name_of_a_file_is_never_read_as_html() -> None:
    analysis = half_ambient_half_metal()
    plain = render(analysis, "html").decode()
    hostile = render(dataclasses.replace(analysis, file="</title><script>alert(1)</script>"), "html").decode()
    assert hostile.count("<script") == plain.count("<script")
    assert "&lt;script&gt;alert(1)" in hostile


def test_report_says_who_heard_it() -> None:
    page = render(half_ambient_half_metal(), "html").decode()
    assert "revision\n  <code>000000000000</code>" in page
    assert "Shorter than one window: padded." in page
    assert "120 or 60 BPM" in page
    assert 'id="pictures"' not in page


def test_report_of_a_track_without_beat_has_no_tempo_charts() -> None:
    page = render(half_ambient_half_metal(bpm=None), "html").decode()
    assert "No steady beat" in page
    assert 'id="spread"' not in page


def test_picture_that_is_none_is_refused() -> None:
    with pytest.raises(ExportError, match=r"picture 2 of the report \(second\) is not a PNG"):
        render(half_ambient_half_metal(), "html", pictures=[("first", PNG), ("second", b"GIF89a")])


def test_unknown_format_is_answered_with_the_choices() -> None:
    with pytest.raises(ExportError, match=f"no format 'pdf': expected one of {', '.join(FORMATS)}"):
        render(half_ambient_half_metal(), "pdf")


def test_what_is_there_is_not_replaced_unasked(tmp_path: Path) -> None:
    there = tmp_path / "song.csv"
    there.write_text("mine")
    with pytest.raises(ExportError, match="exists already"):
        export(half_ambient_half_metal(), "csv", there)
    assert there.read_text() == "mine"
    assert export(half_ambient_half_metal(), "csv", there, overwrite=True).read_text().startswith("start_s,")


def test_the_music_itself_is_never_replaced(tmp_path: Path) -> None:
    song = music(tmp_path, "mp3")
    before = song.read_bytes()
    for kind in FORMATS:
        with pytest.raises(ExportError, match="never changed"):
            export(half_ambient_half_metal(), kind, song, song, overwrite=True)
    assert song.read_bytes() == before


def test_failure_leaves_what_was_there(tmp_path: Path) -> None:
    there = tmp_path / "report.html"
    there.write_text("mine")
    with pytest.raises(ExportError):
        export(half_ambient_half_metal(), "html", there, overwrite=True, pictures=[("no", b"")])
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("file", "kind", "name"),
    [
        ("song.mp3", "csv", "song.fluxbeat.csv"),
        ("song.mp3", "tags", "song.fluxbeat.mp3"),
        ("My.Song.v2.flac", "html", "My.Song.v2.fluxbeat.html"),
        ("Vol. 2 – Somebody", "json", "Vol. 2 – Somebody.fluxbeat.json"),
        ('a/b\\c:"d"?.wav', "jams", "c__d__.fluxbeat.jams"),
        ("...", "audacity", "track.fluxbeat.txt"),
        (".mp3", "csv", "mp3.fluxbeat.csv"),
        ("音" * 300, "csv", "音" * 60 + ".fluxbeat.csv"),
    ],
)
def test_names_of_exports(file: str, kind: str, name: str) -> None:
    assert file_name(file, kind) == name


def test_command_writes_each_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert set(FORMAT_NAMES) == set(FORMATS)
    for name in FORMAT_NAMES:
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
    for output, more, said in cases:
        assert main(["export", str(TECHNO), *more, "--format", "csv", "--output", str(output)]) == 2
        assert said in capsys.readouterr().err
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


def test_pictures_belong_to_the_report_alone(tmp_path, capsys):
    assert main(["export", str(TECHNO), "--format", "csv", "--explain", "--output", str(tmp_path)]) == 2
    assert "--explain belongs to --format html" in capsys.readouterr().err
