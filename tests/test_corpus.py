"""The free-music corpus: packages become items, a killed build goes on, and training and test share nothing."""

import csv
import os
import struct
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from fluxbeat.cli import main
from fluxbeat.errors import ConfigMismatchError, FluxBeatError
from fluxbeat.features import FeatureConfig, LogMel
from fluxbeat.training.corpus import accompaniment, blends, excerpts, grooves, read_corpus
from fluxbeat.training.corpus.catalogue import read_catalogue
from fluxbeat.training.corpus.excerpts import build_shards, cut_excerpts
from fluxbeat.training.corpus.label_map import read_label_map
from fluxbeat.training.corpus.packages import fetch_packages
from fluxbeat.training.corpus.programs import run_program
from fluxbeat.training.corpus.shards import IndexRow, read_arrays, read_index, read_unread
from fluxbeat.training.corpus.splits import check_splits, read_splits, split_of
from fluxbeat.training.corpus.teach import teach_corpus
from fluxbeat.training.corpus.teacher import TAGS, load_teacher
from fluxbeat.training.corpus.tempo_map import read_tempo_map
from fluxbeat.training.corpus.validate import outline, same_music, validate_corpus
from fluxbeat.training.loudness import LOUDNESS_RMS
from fluxbeat.training.picture_simulation import simulate_picture
from fluxbeat.training.pictures import picture_to_log_mel
from fluxbeat.training.recordings import Recording

CONFIG = FeatureConfig()
RATE_HZ = CONFIG.sample_rate_hz
COLUMNS = ("package", "path", "format", "artist", "title", "genres", "label_basis", "stated_bpm", "licence")


def music(seed: int, seconds: float = 8.0) -> np.ndarray:
    """Tones over a little noise that change five times a second, no two seeds alike."""
    rng = np.random.default_rng(seed)
    step = RATE_HZ // 5
    t = np.arange(step) / RATE_HZ
    notes = [
        np.sin(2 * np.pi * 80 * 2 ** rng.uniform(0, 6) * t) * rng.uniform(0.02, 0.6) for _ in range(round(seconds * 5))
    ]
    sound = np.concatenate(notes)
    return (sound + 0.003 * rng.standard_normal(len(sound))).astype(np.float32)


def quiet(line: str) -> None:
    """Takes progress and says nothing."""


def write_catalogue(path: Path, *rows: dict[str, str]) -> Path:
    with open(path, "w", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows({"format": "wav", "licence": "CC0", **row} for row in rows)
    return path


def write_wav(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE_HZ)


ROWS = (
    {"package": "loud-data", "path": "loud-data/usr/a.wav", "artist": "Ann", "genres": "metal", "label_basis": "guess"},
    {"package": "loud-data", "path": "loud-data/usr/b.wav", "artist": "Ann", "genres": "world"},
    {"package": "packed", "path": "packed/_unz/music.pk3/sound/c.wav", "artist": "Bo", "genres": "folk;celtic"},
    {"package": "absent", "path": "absent/usr/d.wav", "genres": "electronic"},
    {"package": "absent", "path": "absent/usr/e.mid", "format": "midi"},
)
SPLITS = {"loud-data": "train", "packed": "test", "absent": "train"}


@pytest.fixture
def corpus(tmp_path):
    """Two unpacked packages, one with an archive inside; a third is not there."""
    write_wav(tmp_path / "packages/loud-data/usr/a.wav", music(1, 40))
    write_wav(tmp_path / "packages/loud-data/usr/b.wav", music(2))
    write_wav(tmp_path / "inner.wav", music(3))
    (tmp_path / "packages/packed/usr").mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "packages/packed/usr/music.pk3", "w") as archive:
        archive.write(tmp_path / "inner.wav", "sound/c.wav")
    write_catalogue(tmp_path / "catalogue.csv", *ROWS)
    return tmp_path


def build(corpus: Path, **changes: object) -> dict[str, str]:
    options = {"splits": SPLITS, "report": quiet, **changes}
    return build_shards(read_catalogue(corpus / "catalogue.csv"), corpus, CONFIG, **options)


def test_a_word_says_what_is_present_what_is_open_and_what_is_absent():
    words = read_label_map()
    metal = words.genres(["metal"])
    assert metal.present == ("metal",)
    assert "rock" not in metal.known
    assert {"metal", "jazz", "reggae"} <= set(metal.known)
    both = words.genres(["metal", "rock"])
    assert both.present == ("metal", "rock")
    assert {"metal", "rock"} <= set(both.known), "what one word leaves open and another says is present is known"
    assert words.genres(["world"]) is None
    assert words.genres([]) is None
    with pytest.raises(FluxBeatError, match="zydeco"):
        words.genres(["zydeco"])


def test_every_track_of_a_catalogue_stays_within_its_package(tmp_path):
    for path in ("other/usr/a.wav", "name/../../a.wav", "/name/a.wav"):
        with pytest.raises(FluxBeatError, match="line 2"):
            read_catalogue(write_catalogue(tmp_path / "c.csv", {"package": "name", "path": path}))
    with pytest.raises(FluxBeatError, match="line 2"):
        read_catalogue(write_catalogue(tmp_path / "c.csv", {"package": "-o Dir", "path": "-o Dir/a.wav"}))
    with pytest.raises(FluxBeatError, match="column package"):
        (tmp_path / "c.csv").write_text("path\n")
        read_catalogue(tmp_path / "c.csv")


def test_a_module_has_a_tempo_only_where_it_is_constant(tmp_path):
    rows = [{"package": "mods", "path": f"mods/{name}.xm", "format": "xm"} for name in ("steady", "drifting")]
    (tmp_path / "tempo.csv").write_text("path,folded_70_180,constant\nmods/steady.xm,125.5,1\nmods/drifting.xm,90,0\n")
    tracks = read_catalogue(write_catalogue(tmp_path / "c.csv", *rows), tmp_path / "tempo.csv")
    assert [track.tempo_bpm for track in tracks] == [125.5, None]


def test_packages_that_share_an_artist_are_on_one_side_of_the_shipped_split():
    splits = read_splits()
    assert {split for name, split in splits.items() if name.startswith("fretsonfire")} == {"test"}
    for together in (
        ("a7xpg-data", "gunroar-data", "noiz2sa-data", "torus-trooper-data"),
        ("adonthell-data", "supertux-data", "supertuxkart-data", "wesnoth-1.16-music", "hex-a-hop-data"),
        ("miceamaze", "starfighter-data", "singularity-music"),
        ("freedoom", "freedm"),
        ("planetblupi-music-ogg", "planetblupi-music-midi"),
        ("asterisk-moh-opsound-wav", "megaglest-data"),
        ("frozen-bubble-data", "fb-music-high"),
    ):
        assert len({splits[name] for name in together}) == 1, together
    packages = [split for name, split in splits.items() if "/" not in name]
    assert 0.15 < packages.count("test") / len(packages) < 0.35


def test_a_package_in_no_split_is_refused_and_a_path_overrules_its_package(corpus):
    tracks = read_catalogue(corpus / "catalogue.csv")
    assert split_of(tracks[0], {**SPLITS, tracks[0].path: "out"}) == "out"
    with pytest.raises(FluxBeatError, match="loud-data is in no split"):
        split_of(tracks[0], {})
    (corpus / "s.txt").write_text("loud-data\tsometimes\n")
    with pytest.raises(FluxBeatError, match="line 1"):
        read_splits(corpus / "s.txt")


def row(item_id: str, split: str, **changes: str) -> IndexRow:
    known = {"package": item_id, "path": f"{item_id}/x", "artist": "", **changes}
    return IndexRow(item_id, **known, title="", licence="", labels=(), known=(), label_basis="", tempo_bpm=None,
                    start_s=0.0, duration_s=30.0, split=split, shard="free-0000")  # fmt: skip


def test_whatever_training_and_test_share_is_named():
    assert check_splits([row("a", "train"), row("b", "test"), row("c", "train")]) == []
    assert "artist ann" in check_splits([row("a", "train", artist="Ann"), row("b", "test", artist="ann ")])[0]
    assert "package p" in check_splits([row("a", "train", package="p"), row("b", "test", package="p")])[0]
    assert "path x" in check_splits([row("a", "train", path="x"), row("b", "test", path="x")])[0]
    rows = [row("a", "train"), row("b", "test")]
    assert "same music" in check_splits(rows, [("b", "a")])[0]
    assert check_splits([row("a", "train", artist="Ann"), row("b", "out", artist="Ann")]) == []


@pytest.mark.parametrize(("seconds", "count"), [(7, 1), (31, 1), (130, 2), (400, 3)])
def test_longer_tracks_give_more_excerpts_spread_over_them(seconds, count):
    found = cut_excerpts(np.ones(seconds * 100, np.float32), 100)
    assert len(found) == count
    ends = [one.start_s + len(one.samples) / 100 for one in found]
    assert all(end <= later.start_s for end, later in zip(ends, found[1:], strict=False)), "excerpts overlap"
    assert ends[-1] <= seconds
    assert len(found[0].samples) == min(seconds, 30) * 100


def test_short_and_silent_tracks_are_refused():
    with pytest.raises(FluxBeatError, match=r"short: 5\.0 s"):
        cut_excerpts(np.ones(500, np.float32), 100)
    with pytest.raises(FluxBeatError, match="silent"):
        cut_excerpts(np.full(9000, 1e-5, np.float32), 100)


def test_a_picture_shows_pitch_and_time_where_they_are():
    t = np.arange(30 * RATE_HZ) / RATE_HZ
    tone = np.sin(2 * np.pi * 2067 * t) * (t > 15) + 1e-3 * np.random.default_rng(0).standard_normal(len(t))
    picture = simulate_picture(tone.astype(np.float32))
    assert picture.shape == (129, 496)
    assert (picture.min(), picture.max()) == (0, 255)
    assert picture[:, 300:].mean(axis=1).argmax() == 24  # 2,067 Hz of bins 86.1 Hz apart
    assert picture[24, :240].mean() < picture[24, 256:].mean() - 50


def test_a_picture_looks_like_its_own_recording():
    seen = picture_to_log_mel(simulate_picture(music(5, 30)), CONFIG)
    own, other = (LogMel(CONFIG)(music(seed, 30))[:, : seen.shape[1]] for seed in (5, 6))
    likeness = [np.corrcoef(seen[:, : heard.shape[1]].ravel(), heard.ravel())[0, 1] for heard in (own, other)]
    assert likeness[0] > 0.4
    assert likeness[1] < 0.2


def midi_file(*events: bytes, division: int = 480) -> bytes:
    body = b"".join(events) + b"\0\xff\x2f\0"
    return b"MThd" + struct.pack(">IHHH", 6, 1, 1, division) + b"MTrk" + struct.pack(">I", len(body)) + body


def tempo_event(ticks: int, bpm: float) -> bytes:
    delta = bytes((0x80 | ticks >> 14 & 0x7F, 0x80 | ticks >> 7 & 0x7F, ticks & 0x7F))
    return delta + b"\xff\x51\x03" + round(60e6 / bpm).to_bytes(3, "big")


def test_a_tempo_map_says_where_the_tempo_stays(tmp_path):
    path = tmp_path / "notes.mid"
    notes = b"\0\x90\x3c\x40\x60\x3c\0" + b"\0\xf0\x02\x01\xf7" + b"\0\xc0\x05"  # running status, sysex, program
    path.write_bytes(midi_file(tempo_event(0, 120), notes, tempo_event(480 * 20 - 96, 90)))
    tempo = read_tempo_map(path)
    assert tempo.changes[1] == (pytest.approx(10.0), pytest.approx(90, abs=0.01))
    assert tempo.constant_bpm(0, 10) == pytest.approx(120)
    assert tempo.constant_bpm(12, 40) == pytest.approx(90, abs=0.01)
    assert tempo.constant_bpm(5, 15) is None
    path.write_bytes(midi_file(tempo_event(0, 120), tempo_event(9600, 120.6)))
    assert tempo.constant_bpm(0, 10) == pytest.approx(120)
    assert read_tempo_map(path).constant_bpm(0, 20) == pytest.approx(120.3, abs=0.1), "within 1 % is one tempo"


def test_what_is_no_midi_file_is_refused(tmp_path):
    path = tmp_path / "notes.mid"
    for content, said in (
        (b"RIFF1234", "MThd"),
        (midi_file(tempo_event(0, 120))[:-6], "damaged"),
        (midi_file(division=0xE728), "film"),
    ):
        path.write_bytes(content)
        with pytest.raises(FluxBeatError, match=said):
            read_tempo_map(path)


APT = """#!/bin/sh
echo "$2" >> "$ASKED"
[ -f "$DEBS/$2.deb" ] || { echo "E: Unable to locate package $2" >&2; exit 100; }
cp "$DEBS/$2.deb" "./$2_1.0_all.deb"
"""


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """An apt-get that knows one package, made of real music by the real dpkg-deb."""
    write_wav(tmp_path / "deb/usr/share/tune.wav", music(4))
    (tmp_path / "deb/DEBIAN").mkdir()
    (tmp_path / "deb/DEBIAN/control").write_text(
        "Package: tune-data\nVersion: 1.0\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\nDescription: x\n"
    )
    (tmp_path / "debs").mkdir()
    subprocess.run(["dpkg-deb", "-b", tmp_path / "deb", tmp_path / "debs/tune-data.deb"], check=True, timeout=60)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/apt-get").write_text(APT)
    (tmp_path / "bin/apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DEBS", str(tmp_path / "debs"))
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    return tmp_path


def test_a_package_that_fails_does_not_stop_the_others_and_none_is_fetched_twice(apt):
    wanted = ["gone-data", "tune-data"]
    failed = fetch_packages(wanted, apt / "corpus", quiet)
    assert list(failed) == ["gone-data"]
    assert "Unable to locate" in failed["gone-data"]
    assert (apt / "corpus/packages/tune-data/usr/share/tune.wav").is_file()
    fetch_packages(wanted, apt / "corpus", quiet)
    assert (apt / "asked").read_text().split() == ["gone-data", "tune-data", "gone-data"]
    assert [path.name for path in (apt / "corpus/packages").iterdir()] == ["tune-data"], "something was left behind"


def test_tracks_become_items_with_all_that_is_known_of_them(corpus):
    unread = build(corpus)
    assert list(unread) == ["absent/usr/d.wav"]
    assert "corpus fetch" in read_unread(corpus)["absent/usr/d.wav"]
    items = {item.item_id: item for item in read_corpus(corpus, CONFIG)}
    assert sorted(items) == ["loud-data/usr/a.wav@5", "loud-data/usr/b.wav@0"]
    metal, nothing = items.values()
    assert (metal.labels, metal.artist, metal.source) == (("metal",), "loud-data", "free")
    assert "rock" not in metal.known
    assert (nothing.labels, nothing.known) == (None, None)
    expected = LogMel(CONFIG)(music(1, 40)[5 * RATE_HZ : 35 * RATE_HZ])
    assert metal.log_mel.shape == expected.shape
    assert np.abs(metal.log_mel - expected).max() < 0.02, "16-bit audio and float16"
    assert metal.picture.shape[0] == CONFIG.n_mels
    (folk,) = read_corpus(corpus, CONFIG, split="test")
    assert (folk.item_id, folk.labels) == ("packed/_unz/music.pk3/sound/c.wav@0", ("folk",))
    with pytest.raises(FluxBeatError, match="train and test"):
        next(read_corpus(corpus, CONFIG, split="tset"))


def test_what_is_done_is_not_done_again_and_what_was_missing_is(corpus, monkeypatch):
    monkeypatch.setattr(excerpts, "SHARD_TRACKS", 1)
    build(corpus)
    before = {path: path.stat().st_mtime_ns for path in corpus.glob("free-*.npz")}
    assert len(before) == 4
    write_wav(corpus / "packages/absent/usr/d.wav", music(9))
    assert build(corpus) == {}
    changed = [path for path, time in before.items() if path.stat().st_mtime_ns != time]
    assert len(changed) == 1
    assert len(list(read_corpus(corpus, CONFIG))) == 3


def test_a_killed_build_goes_on_and_ends_the_same(corpus, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(excerpts, "SHARD_TRACKS", 1)
    make, made = excerpts._make_shard, []

    def killed(group, *arguments):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(group[0].path)
        return make(group, *arguments)

    monkeypatch.setattr(excerpts, "_make_shard", killed)
    with pytest.raises(KeyboardInterrupt):
        build(corpus)
    assert not list(corpus.glob("*.part"))
    assert len(list(corpus.glob("free-*.npz"))) == 2
    (corpus / "free-0001.npz").write_bytes((corpus / "free-0001.npz").read_bytes()[:1000])  # a disk that was full
    half_done, made = made, []
    monkeypatch.setattr(excerpts, "_make_shard", lambda group, *rest: made.append(group[0].path) or make(group, *rest))
    build(corpus)
    assert half_done[0] not in made
    assert half_done[1] in made, "a damaged shard is made again"
    assert len(read_index(corpus)) == 3


def test_other_labels_need_no_other_audio(corpus):
    build(corpus)
    before = (corpus / "free-0000.npz").stat().st_mtime_ns
    rows = [{**one, "genres": "jazz"} if one["path"].endswith("a.wav") else one for one in ROWS]
    write_catalogue(corpus / "catalogue.csv", *rows)
    build(corpus)
    assert (corpus / "free-0000.npz").stat().st_mtime_ns == before
    assert next(iter(read_corpus(corpus, CONFIG))).labels == ("jazz",)


def test_a_corpus_of_other_features_is_refused_naming_both(corpus):
    build(corpus)
    other = replace(CONFIG, n_mels=64)
    with pytest.raises(ConfigMismatchError, match=f"{CONFIG.hash}.*{other.hash}"):
        next(read_corpus(corpus, other))
    with pytest.raises(FluxBeatError, match="not a corpus"):
        next(read_corpus(corpus / "packages", CONFIG))


def test_a_frets_on_fire_song_has_the_tempo_of_its_notes(tmp_path):
    write_wav(tmp_path / "packages/songs/one/song.ogg", music(1))
    (tmp_path / "packages/songs/one/notes.mid").write_bytes(midi_file(tempo_event(0, 143)))
    write_catalogue(tmp_path / "catalogue.csv", {"package": "songs", "path": "songs/one/song.ogg", "format": "ogg"})
    build(tmp_path, splits={"songs": "test"})
    assert next(read_corpus(tmp_path, CONFIG, "test")).tempo_bpm == pytest.approx(143, abs=0.01)


def module_file() -> bytes:
    """A ProTracker module (125 BPM, speed 6) that plays a square wave on every beat of one pattern."""
    wave = bytes([64] * 16 + [192] * 16) * 32
    sample = b"beep".ljust(22, b"\0") + struct.pack(">HBBHH", len(wave) // 2, 0, 64, 0, len(wave) // 2)
    empty = bytes(22) + struct.pack(">HBBHH", 0, 0, 0, 0, 1)
    note, rest = bytes((0x01, 0xAC, 0x10, 0x00)), bytes(4)
    rows = b"".join((note if step % 4 == 0 else rest) + rest * 3 for step in range(64))
    return b"song".ljust(20, b"\0") + sample + empty * 30 + bytes((2, 127)) + bytes(128) + b"M.K." + rows + wave


def test_a_tracker_module_is_rendered(tmp_path):
    (tmp_path / "packages/mods").mkdir(parents=True)
    (tmp_path / "packages/mods/beep.mod").write_bytes(module_file())
    write_catalogue(tmp_path / "catalogue.csv", {"package": "mods", "path": "mods/beep.mod", "format": "mod"})
    assert build(tmp_path, splits={"mods": "train"}) == {}
    (item,) = read_corpus(tmp_path, CONFIG)
    assert item.log_mel.shape[1] / CONFIG.frame_rate_hz == pytest.approx(15.4, abs=1.5)  # two patterns of 64 x 0.12 s


def random_weights(folder: Path) -> Path:
    """MusiCNN's arrays with random numbers in them."""
    rng = np.random.default_rng(0)
    kernels = {0: (7, 38, 1, 204), 1: (7, 67, 1, 204), 2: (128, 1, 1, 51), 3: (64, 1, 1, 51), 4: (32, 1, 1, 51),
               5: (7, 561, 1, 64), 6: (7, 64, 1, 64), 7: (7, 64, 1, 64)}  # fmt: skip
    norms = (1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200)
    for name in TAGS:
        arrays = {}
        for number, shape in kernels.items():
            layer = f"conv2d_{number}" if number else "conv2d"
            arrays[f"{layer}/kernel"] = rng.normal(0, (shape[0] * shape[1] * shape[2]) ** -0.5, shape)
            arrays[f"{layer}/bias"] = rng.normal(0, 0.1, shape[-1])
        for number, size in enumerate(norms):
            layer = f"batch_normalization_{number}" if number else "batch_normalization"
            for part in ("gamma", "moving_variance"):
                arrays[f"{layer}/{part}"] = rng.uniform(0.5, 2, size)
            for part in ("beta", "moving_mean"):
                arrays[f"{layer}/{part}"] = rng.normal(0, 0.1, size)
        for layer, shape in (("dense", (1506, 200)), ("dense_1", (200, 50))):
            arrays[f"{layer}/kernel"] = rng.normal(0, shape[0] ** -0.5, shape)
            arrays[f"{layer}/bias"] = np.zeros(shape[1])
        np.savez(folder / f"{name}_musicnn.npz", **{key: value.astype(np.float32) for key, value in arrays.items()})
    return folder


def test_the_teacher_names_a_hundred_tags_and_says_the_same_twice(tmp_path):
    teacher = load_teacher(random_weights(tmp_path))
    assert len(teacher.tags) == 100
    assert (teacher.tags[0], teacher.tags[28], teacher.tags[51]) == ("rock", "ambient", "classical")
    samples = music(1, 10)
    logits, embedding = teacher.listen(samples, RATE_HZ)
    assert (logits.shape, embedding.shape) == ((3, 100), (3, 400))
    np.testing.assert_array_equal(logits, teacher.listen(samples, RATE_HZ)[0])
    assert np.abs(logits[0] - logits[1]).max() > 1e-3, "different music, different answer"
    some, _, start_s = teacher.listen_here_and_there(samples, RATE_HZ, 2)
    np.testing.assert_allclose(some, logits[[0, 2]], atol=1e-5)
    assert start_s == pytest.approx([0, 2 * 2.992])
    with pytest.raises(FluxBeatError, match=r"at least 3\.0 s"):
        teacher.listen(music(1, 1), RATE_HZ)


def test_weights_of_something_else_are_refused(tmp_path):
    with pytest.raises(FluxBeatError, match="MSD_musicnn"):
        load_teacher(tmp_path)
    np.savez(tmp_path / "MSD_musicnn.npz", weights=np.zeros(3))
    with pytest.raises(FluxBeatError, match="not MusiCNN's weights"):
        load_teacher(tmp_path)


def test_a_taught_corpus_has_answers_beside_its_music(corpus):
    build(corpus)
    tracks, teacher = read_catalogue(corpus / "catalogue.csv"), load_teacher(random_weights(corpus))
    teach_corpus(tracks, corpus, teacher, quiet)
    taught = next(corpus.glob("teacher-*.npz"))
    before = taught.stat().st_mtime_ns
    teach_corpus(tracks, corpus, teacher, quiet)
    assert taught.stat().st_mtime_ns == before
    long, short = read_corpus(corpus, CONFIG)
    assert long.teacher.shape == (5, 500), "100 tags and 400 numbers of the embedding"
    assert 24 < long.teacher_start_s[-1] < 28, "segments reach over the whole excerpt"
    assert short.teacher.shape == (2, 500)
    expected, _ = teacher.listen(music(1, 40)[5 * RATE_HZ : 9 * RATE_HZ], RATE_HZ)
    assert np.corrcoef(long.teacher[0, :100], expected[0])[0, 1] > 0.99


def test_a_sound_corpus_has_no_faults_and_a_copy_in_the_test_split_is_a_leak(corpus, capsys):
    rows = [one for one in ROWS if one["package"] != "absent"]
    write_catalogue(corpus / "catalogue.csv", *rows)
    build(corpus)
    assert validate_corpus(corpus, CONFIG) == ([], 3)
    assert main(["corpus", "validate", "--output", str(corpus)]) == 0
    copied = np.concatenate([np.zeros(3 * RATE_HZ, np.float32), 0.3 * music(1, 40)])
    write_wav(corpus / "packages/copies/usr/z.wav", copied)
    write_catalogue(corpus / "catalogue.csv", *rows, {"package": "copies", "path": "copies/usr/z.wav"})
    build(corpus, splits={**SPLITS, "copies": "test"})
    (leak,) = validate_corpus(corpus, CONFIG)[0]
    assert leak.kind == "leak"
    assert "loud-data/usr/a.wav" in leak.found
    build(corpus, splits={**SPLITS, "copies": "train"})
    (double,) = validate_corpus(corpus, CONFIG)[0]
    assert double.kind == "duplicate"
    capsys.readouterr()
    assert main(["corpus", "validate", "--output", str(corpus)]) == 1
    assert "duplicate" in capsys.readouterr().out


def test_broken_numbers_missing_excerpts_and_unread_tracks_are_named(corpus):
    write_wav(corpus / "packages/absent/usr/d.wav", music(9, 3))
    build(corpus)
    path = corpus / "free-0000.npz"
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["picture/loud-data/usr/b.wav@0"][3, 4] = np.nan
    arrays["log_mel/loud-data/usr/a.wav@5"][:] = 0
    del arrays["log_mel/packed/_unz/music.pk3/sound/c.wav@0"]
    np.savez(path, **arrays)
    faults, count = validate_corpus(corpus, CONFIG)
    assert count == 3
    found = {fault.kind: fault.item for fault in faults}
    assert found == {
        "short": "absent/usr/d.wav",
        "not a number": "loud-data/usr/b.wav@0",
        "silent": "loud-data/usr/a.wav@5",
        "missing": "packed/_unz/music.pk3/sound/c.wav@0",
    }
    path.unlink()
    assert [fault.kind for fault in validate_corpus(corpus, CONFIG)[0]].count("missing") == 3


def test_the_same_music_is_found_later_and_quieter_and_other_music_is_not():
    long = music(1, 40)
    first, later, other = (
        LogMel(CONFIG)(part) for part in (long[: 30 * RATE_HZ], 0.2 * long[7 * RATE_HZ :], music(2, 30))
    )
    outlines = [outline(part, CONFIG.frame_rate_hz) for part in (first, other, later)]
    assert same_music(outlines) == [(0, 2)]


def test_the_commands_build_a_corpus_and_go_on(corpus, capsys):
    options = ["--catalogue", str(corpus / "catalogue.csv"), "--output", str(corpus)]
    (corpus / "splits.txt").write_text("# a remark\n" + "".join(f"{name}\t{split}\n" for name, split in SPLITS.items()))
    assert main(["corpus", "read", *options, "--splits", str(corpus / "splits.txt")]) == 1
    assert "absent/usr/d.wav" in capsys.readouterr().err
    assert main(["corpus", "teach", *options, "--teacher", str(random_weights(corpus))]) == 0
    assert all(item.teacher is not None for item in read_corpus(corpus, CONFIG))
    assert main(["corpus", "read", *options]) == 2
    assert "in no split" in capsys.readouterr().err


def test_progressions_are_chords_of_their_key():
    rng = np.random.default_rng(0)
    assert accompaniment._chord("V7", 0, minor=False) == "G7"
    assert accompaniment._chord("vi", 2, minor=False) == "Bm"
    assert accompaniment._chord("bVII", 0, minor=False) == "Bb"
    assert accompaniment._chord("VI", 9, minor=True) == "F"
    assert accompaniment._chord("ii7", 9, minor=True) == "Bm7b5"
    assert all(3 <= len(accompaniment.draw_chords(rng)) <= 12 for _ in range(50))


def test_compound_meters_and_endings_are_no_grooves():
    styles = {style.name: style for style in accompaniment.read_styles()}
    assert len(styles) > 200
    assert not {"stdlib/blues68", "stdlib/68march", "stdlib/metronome"} & set(styles)
    assert styles["stdlib/waltz"].beats_per_bar == 3
    assert "Salsa" in styles["stdlib/salsa"].grooves
    assert not [name for name in styles["stdlib/salsa"].grooves if name.endswith(("Intro", "End"))]


def test_grooves_beat_at_their_tempo_and_come_again(tmp_path, monkeypatch):
    smallest = min(accompaniment.find_soundfonts(), key=lambda path: path.stat().st_size)
    monkeypatch.setattr(grooves, "find_soundfonts", lambda: (smallest,))
    plain = [
        style for style in accompaniment.read_styles() if style.name in ("stdlib/8beat", "casio/house", "stdlib/polka")
    ]
    monkeypatch.setattr(grooves, "read_styles", lambda: tuple(plain))
    monkeypatch.setattr(grooves, "style_split", lambda style: "train")
    grooves.build_grooves(3, tmp_path, CONFIG, seed=1, report=quiet)
    items = list(read_corpus(tmp_path, CONFIG))
    assert len({item.tempo_bpm for item in items}) == 3
    for item in items:
        assert (item.source, item.labels) == ("groove", None)
        assert item.log_mel.shape[1] / CONFIG.frame_rate_hz == pytest.approx(24, abs=0.2)
        onset = np.maximum(np.diff(item.log_mel.astype(np.float32), axis=1), 0).mean(axis=0)
        strength = np.abs(np.fft.rfft(onset - onset.mean(), 2**14))
        at_bpm = np.fft.rfftfreq(2**14, 1 / CONFIG.frame_rate_hz) * 60
        lines = [strength[np.abs(at_bpm - item.tempo_bpm * multiple).argmin()] for multiple in (1, 2)]
        assert max(lines) > 5 * np.median(strength), f"{item.item_id} does not beat at {item.tempo_bpm}"
    first = read_arrays(tmp_path / "groove-0000.npz")
    before = (tmp_path / "groove-0000.npz").stat().st_mtime_ns
    grooves.build_grooves(3, tmp_path, CONFIG, seed=1, report=quiet)
    assert (tmp_path / "groove-0000.npz").stat().st_mtime_ns == before
    grooves.build_grooves(2, tmp_path, CONFIG, seed=1, report=quiet)
    again = read_arrays(tmp_path / "groove-0000.npz")
    assert len(again) == 2
    assert all(np.array_equal(values, first[name]) for name, values in again.items()), "the same seed, other music"


def test_a_few_styles_of_grooves_test():
    splits = [grooves.style_split(style.name) for style in accompaniment.read_styles()]
    assert 0.02 < splits.count("test") / len(splits) < 0.12


def test_blends_sound_like_two_pieces_that_the_teacher_hears_together(corpus, tmp_path, monkeypatch):
    smallest = min(accompaniment.find_soundfonts(), key=lambda path: path.stat().st_size)
    monkeypatch.setattr(blends, "find_soundfonts", lambda: (smallest,))
    monkeypatch.setattr(blends, "EXCERPTS", 3)
    monkeypatch.setattr(blends, "GROOVES", 1)
    build(corpus)
    teacher = load_teacher(random_weights(corpus))
    recordings = [Recording(tmp_path / f"{fold}.wav", ("metal",), None, "", fold) for fold in (1, 2)]
    for recording in recordings:
        write_wav(recording.path, music(10 + recording.fold, 14))
    rows = blends.build_blends(12, corpus, teacher, recordings, CONFIG, seed=1, report=quiet)
    items = {item.item_id: item for item in read_corpus(corpus, CONFIG) if item.source == "blend"}
    assert len(items) == len(rows) == 12
    for row in rows:
        item, names = items[row.item_id], row.path.split(" + ")
        assert item.labels is None
        assert item.teacher.shape == (3, 500)
        assert item.log_mel.shape[1] / CONFIG.frame_rate_hz == pytest.approx(9, abs=0.2)
        assert item.fold == next((int(name) for name in names if name in ("1", "2")), 0)
        assert not {"1", "2"} <= set(names), "what tests one fold must not be learned with the other"
        assert not any("sound/c.wav" in name for name in names), "a package of the test split is not blended"
    assert {len(row.path.split(" + ")) for row in rows} == {1, 2}
    first = read_arrays(corpus / "blend-0000.npz")
    (corpus / "blend-0000.npz").unlink()
    blends.build_blends(12, corpus, teacher, recordings, CONFIG, seed=1, report=quiet)
    again = read_arrays(corpus / "blend-0000.npz")
    assert all(np.array_equal(values, first[name]) for name, values in again.items()), "the same seed, other blends"


def test_a_blend_is_as_loud_as_any_and_holds_what_it_names():
    """Of two tones an octave and more apart, those named are heard, at up to a third of an octave from their pitch."""
    t = np.arange(12 * RATE_HZ) / RATE_HZ
    pieces = [blends.Piece(str(hz), np.sin(2 * np.pi * hz * t).astype(np.float32), 0) for hz in (300, 1500)]
    octaves = []
    for seed in range(30):
        samples, chosen = blends.draw_blend(pieces, RATE_HZ, np.random.default_rng(seed))
        assert np.sqrt(np.mean(samples**2)) == pytest.approx(LOUDNESS_RMS, rel=0.01)
        strength = np.abs(np.fft.rfft(samples))
        loudest_hz = strength.argmax() / len(samples) * RATE_HZ
        octaves.append(min(abs(np.log2(loudest_hz / float(piece.name))) for piece in chosen))
    assert max(octaves) < 0.4
    assert min(octaves) < 0.01 < np.median(octaves), "some are as they are, most are not"


def test_blends_need_music_and_the_archive_of_their_recordings(tmp_path, capsys):
    (tmp_path / "teacher").mkdir()
    options = ["--output", str(tmp_path), "--teacher", str(random_weights(tmp_path / "teacher"))]
    assert main(["corpus", "blend", *options, "--recordings", str(tmp_path)]) == 2
    assert "--gtzan-archive" in capsys.readouterr().err
    assert main(["corpus", "blend", *options]) == 2
    assert "corpus read" in capsys.readouterr().err


def test_a_program_that_fails_or_takes_too_long_is_one_sentence(tmp_path):
    run_program(["sh", "-c", "touch here"], 5, tmp_path)
    assert (tmp_path / "here").is_file()
    with pytest.raises(FluxBeatError, match="sh failed: no such song"):
        run_program(["sh", "-c", "echo begun; echo no such song >&2; exit 3"], 5)
    with pytest.raises(FluxBeatError, match="sh failed: status 3"):
        run_program(["sh", "-c", "exit 3"], 5)
    with pytest.raises(FluxBeatError, match="sleep took longer than 0.1 s"):
        run_program(["sleep", "9"], 0.1)
