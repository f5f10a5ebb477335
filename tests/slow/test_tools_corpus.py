"""The maintainers' corpus: packages become excerpts with a table, a killed build goes on, grooves have their tempo."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from fluxbeat.errors import FluxBeatError
from fluxbeat.features.log_mel import FeatureConfig, LogMel
from tools.corpus import accompaniment, excerpts
from tools.corpus.catalogue import read_catalogue
from tools.corpus.excerpts import build_excerpts, cut_excerpts
from tools.corpus.grooves import build_grooves
from tools.corpus.label_map import read_label_map
from tools.corpus.splits import read_splits, split_of
from tools.corpus.table import read_rows

RATE_HZ = 22_050
COLUMNS = ("package", "path", "format", "artist", "title", "genres", "label_basis", "stated_bpm", "licence")
ROWS = (
    {"package": "loud-data", "path": "loud-data/usr/a.wav", "artist": "Ann", "genres": "metal", "label_basis": "guess"},
    {"package": "loud-data", "path": "loud-data/usr/b.wav", "artist": "Ann", "genres": "percussion"},
    {"package": "packed", "path": "packed/_unz/music.pk3/sound/c.wav", "artist": "Bo", "genres": "folk;celtic"},
    {"package": "absent", "path": "absent/usr/d.wav", "genres": "electronic"},
    {"package": "absent", "path": "absent/usr/e.mid", "format": "midi"},
)
SPLITS = {"loud-data": "train", "packed": "test", "absent": "train"}


def music(seed: int, seconds: float = 8.0) -> np.ndarray:
    """Noise that changes five times a second, no two seeds alike."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.uniform(0.01, 0.4, round(seconds * 5)), RATE_HZ // 5)
    return (level * rng.standard_normal(len(level))).astype(np.float32)


def write_wav(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE_HZ)


def write_catalogue(path: Path, *rows: dict[str, str]) -> Path:
    with open(path, "w", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows({"format": "wav", "licence": "CC0", **row} for row in rows)
    return path


@pytest.fixture
def corpus(tmp_path) -> Path:
    """Two unpacked packages, one with an archive inside; a third is not there."""
    write_wav(tmp_path / "packages/loud-data/usr/a.wav", music(1, 40))
    write_wav(tmp_path / "packages/loud-data/usr/b.wav", music(2))
    write_wav(tmp_path / "inner.wav", music(3))
    (tmp_path / "packages/packed/usr").mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "packages/packed/usr/music.pk3", "w") as archive:
        archive.write(tmp_path / "inner.wav", "sound/c.wav")
    write_catalogue(tmp_path / "catalogue.csv", *ROWS)
    return tmp_path


def build(corpus: Path) -> dict[str, str]:
    return build_excerpts(read_catalogue(corpus / "catalogue.csv"), corpus, SPLITS, report=lambda line: None)


def test_tracks_become_excerpts_with_all_that_is_known_of_them(corpus):
    unread = build(corpus)
    assert list(unread) == ["absent/usr/d.wav"]
    assert "tools.corpus fetch" in unread["absent/usr/d.wav"]
    found = {row["source"]: row for row in read_rows(corpus)}
    metal, nothing, folk = (found[row["path"]] for row in ROWS[:3])
    assert (metal["labels"], metal["split"], metal["artist"], metal["dataset"]) == (
        "metal",
        "train",
        "loud-data",
        "free",
    )
    assert float(metal["seconds"]) == 30
    assert nothing["labels"] == ""
    assert (folk["labels"], folk["split"]) == ("folk", "test")
    samples, rate_hz = soundfile.read(corpus / metal["file"])
    assert (rate_hz, len(samples)) == (32_000, 30 * 32_000)


def test_what_is_done_is_not_done_again_and_what_was_missing_is(corpus, monkeypatch):
    build(corpus)
    with open(corpus / "done.jsonl", "a", encoding="utf-8") as log:
        log.write('["absent/usr/d')  # the power went while this was written
    write_wav(corpus / "packages/absent/usr/d.wav", music(9))
    cut, tracks = excerpts._cut_track, []
    monkeypatch.setattr(
        excerpts, "_cut_track", lambda track, folder: (tracks.append(track.path), cut(track, folder))[1]
    )
    assert build(corpus) == {}
    assert tracks == ["absent/usr/d.wav"]
    assert len(read_rows(corpus)) == 4


@pytest.mark.parametrize(("seconds", "count"), [(7, 1), (31, 1), (130, 2), (400, 3)])
def test_longer_tracks_give_more_excerpts_and_silence_gives_none(seconds, count):
    found = cut_excerpts(np.ones(seconds * 100, np.float32), 100)
    assert len(found) == count
    ends = [one.start_s + len(one.samples) / 100 for one in found]
    assert all(end <= later.start_s for end, later in zip(ends, found[1:], strict=False)), "excerpts overlap"
    with pytest.raises(FluxBeatError, match="silent"):
        cut_excerpts(np.full(seconds * 100, 1e-5, np.float32), 100)


def test_a_package_in_no_split_and_a_path_out_of_its_package_are_refused(corpus):
    tracks = read_catalogue(corpus / "catalogue.csv")
    with pytest.raises(FluxBeatError, match="loud-data is in no split"):
        split_of(tracks[0], {})
    assert split_of(tracks[0], {**SPLITS, tracks[0].path: "out"}) == "out"
    assert {"train", "test"} <= set(read_splits().values())
    with pytest.raises(FluxBeatError, match="line 2"):
        read_catalogue(write_catalogue(corpus / "c.csv", {"package": "name", "path": "name/../../a.wav"}))
    with pytest.raises(FluxBeatError, match="zydeco"):
        read_label_map().genres(["zydeco"])


def test_grooves_beat_at_their_tempo_and_come_again(tmp_path, monkeypatch):
    smallest = min(accompaniment.find_soundfonts(), key=lambda path: path.stat().st_size)
    monkeypatch.setattr("tools.corpus.grooves.find_soundfonts", lambda: (smallest,))
    plain = [one for one in accompaniment.read_styles() if one.name in ("stdlib/8beat", "casio/house", "stdlib/polka")]
    monkeypatch.setattr("tools.corpus.grooves.read_styles", lambda: tuple(plain))
    build_grooves(2, tmp_path, seed=1, report=lambda line: None)
    features = FeatureConfig(sample_rate_hz=32_000)
    for row in read_rows(tmp_path):
        assert (row["dataset"], row["labels"]) == ("groove", "")
        samples, _ = soundfile.read(tmp_path / row["file"], dtype="float32")
        onset = np.maximum(np.diff(LogMel(features).from_blocks([samples]), axis=1), 0).mean(axis=0)
        strength = np.abs(np.fft.rfft(onset - onset.mean(), 2**14))
        at_bpm = np.fft.rfftfreq(2**14, 1 / features.frame_rate_hz) * 60
        lines = [strength[np.abs(at_bpm - float(row["bpm"]) * multiple).argmin()] for multiple in (1, 2)]
        assert max(lines) > 5 * np.median(strength), f"{row['file']} does not beat at {row['bpm']}"
    before = {row["file"]: (tmp_path / row["file"]).stat().st_mtime_ns for row in read_rows(tmp_path)}
    build_grooves(2, tmp_path, seed=1, report=lambda line: None)
    assert {row["file"]: (tmp_path / row["file"]).stat().st_mtime_ns for row in read_rows(tmp_path)} == before
