"""Music that a user brings: every layout is read, splits keep artists apart, and own genres become a checkpoint."""

import csv
import json
import logging
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from fluxbeat.charts.colours import genre_paints
from fluxbeat.cli import main
from fluxbeat.errors import FluxBeatError
from fluxbeat.features import FeatureConfig
from fluxbeat.models import load_checkpoint, save_checkpoint
from fluxbeat.training.artist_split import apply_split, read_split, split_by_artist, write_split
from fluxbeat.training.datasets import kind_of, read_dataset
from fluxbeat.training.fingerprint import SAME, Fingerprint, fingerprint, likeness, same_recordings
from fluxbeat.training.own_data import train_own_data, with_labels
from fluxbeat.training.recordings import Recording, readable_items
from fluxbeat.training.split_check import check_split, without_repeats
from fluxbeat.zoo import CHECKPOINTS_VARIABLE, bundled_names, checkpoints_folder, load

RATE_HZ = 22_050


def chords(seed: int, duration_s: float = 6.0) -> np.ndarray:
    """Held chords that change every so often."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    sound = np.zeros(len(t))
    for _ in range(5):
        tone_hz, swell_hz = 110 * 2 ** rng.uniform(0, 2), rng.uniform(0.2, 0.6)
        sound += np.sin(2 * np.pi * tone_hz * t) * (1 + np.sin(2 * np.pi * swell_hz * t + rng.uniform(0, 6)))
    return (0.1 * sound + 1e-3 * rng.standard_normal(len(t))).astype(np.float32)


def bursts(seed: int, duration_s: float = 6.0) -> np.ndarray:
    """Short bursts of noise, a few each second."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    gaps_s = rng.uniform(0.2, 0.5)
    return (0.3 * rng.standard_normal(len(t)) * np.exp(-(t % gaps_s) / rng.uniform(0.02, 0.06))).astype(np.float32)


def save(path: Path, samples: np.ndarray | None = None) -> Path:
    """A file at a path; where nothing is said of its sound, a short and quiet one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(2000, 0.01, np.float32) if samples is None else samples, RATE_HZ)
    return path


def recording(name: str, artist: str, *labels: str, split: str = "", path: Path | None = None) -> Recording:
    return Recording(path or Path(name), labels or None, None, artist, 0, split, name)


def test_genre_folders_are_labels_and_folders_in_them_are_artists(tmp_path):
    save(tmp_path / "folk" / "Ada" / "first album" / "song.flac")
    save(tmp_path / "folk" / "lone.wav")
    save(tmp_path / "rock" / "Ada" / "loud.ogg")
    save(tmp_path / "rock" / ".hidden.wav")
    (tmp_path / "rock" / "cover.jpg").write_bytes(b"not music")
    found = {entry.name: entry for entry in read_dataset(tmp_path)}
    assert list(found) == ["folk/Ada/first album/song.flac", "folk/lone.wav", "rock/Ada/loud.ogg"]
    assert [entry.labels for entry in found.values()] == [("folk",), ("folk",), ("rock",)]
    assert [entry.artist for entry in found.values()] == ["Ada", "folk/lone.wav", "Ada"]


def test_folders_that_cannot_be_learned_from_are_refused_with_a_cure(tmp_path):
    with pytest.raises(FluxBeatError, match="no such folder.*GENRE/FILE"):
        read_dataset(tmp_path / "missing")
    with pytest.raises(FluxBeatError, match="no audio files.*GENRE/FILE"):
        read_dataset(tmp_path)
    save(tmp_path / "rock" / "a.wav")
    with pytest.raises(FluxBeatError, match="only genre is 'rock'"):
        read_dataset(tmp_path)
    save(tmp_path / "stray.wav")
    with pytest.raises(FluxBeatError, match="1 audio files lie in no genre folder, stray.wav first"):
        read_dataset(tmp_path)
    with pytest.raises(FluxBeatError, match="no CSV"):
        read_dataset(tmp_path / "stray.wav")
    with pytest.raises(FluxBeatError, match="got 'tape'"):
        read_dataset(tmp_path, kind="tape")


def test_a_table_may_hold_a_split(tmp_path):
    table = tmp_path / "music.csv"
    table.write_text("path,labels,bpm,artist,split\nx/a.wav,folk;rock,90,Ada,test\ny/a.wav,rock,,Bo,\n")
    first, second = read_dataset(table)
    assert (first.labels, first.tempo_bpm, first.artist, first.split) == (("folk", "rock"), 90, "Ada", "test")
    assert (second.path, second.tempo_bpm, second.split) == (tmp_path / "y/a.wav", None, "")
    assert first.name != second.name
    table.write_text("path,labels,split\na.wav,rock,exam\n")
    with pytest.raises(FluxBeatError, match="line 2: split must be train, validation, test or empty, got 'exam'"):
        read_dataset(table)


@pytest.mark.parametrize("place", ["genres", "genres_original", "gtzan_genre/genres", ""])
def test_gtzan_is_read_in_each_place_with_its_fault_filtered_split(tmp_path, place):
    for clip in ("blues.00029", "blues.00012", "blues.00000", "jazz.00054", "rock.00016"):
        save(tmp_path / place / clip.split(".")[0] / f"{clip}.wav")
    tempo = tmp_path / "gtzan_tempo_beat-main" / "tempo" / "gtzan_blues_00029.bpm"
    tempo.parent.mkdir(parents=True)
    tempo.write_text("101.5\n")
    assert kind_of(tmp_path) == "gtzan"
    found = {entry.name: entry for entry in read_dataset(tmp_path)}
    from torchaudio.datasets import gtzan

    assert found["blues.00029"].split == "train"
    assert found["blues.00012"].split == "test"
    assert set(found) <= set(gtzan.filtered_train + gtzan.filtered_valid + gtzan.filtered_test)
    assert found["blues.00029"].tempo_bpm == 101.5
    assert found["blues.00012"].tempo_bpm is None
    assert found["blues.00012"].labels == ("blues",)
    tempo.write_text("fast")
    with pytest.raises(FluxBeatError, match="gtzan_blues_00029.bpm: expected one number"):
        read_dataset(tmp_path)


def test_gtzans_lists_are_those_of_the_paper():
    from torchaudio.datasets import gtzan

    assert [len(part) for part in (gtzan.filtered_train, gtzan.filtered_valid, gtzan.filtered_test)] == [443, 197, 290]


def fma(folder: Path) -> Path:
    """Three tracks of FMA, one without a root genre and one whose audio is not there."""
    rows = [
        ["", "album", "artist", "artist", "set", "set", "track", "track"],
        ["", "information", "id", "name", "split", "subset", "genre_top", "title"],
        ["track_id", "", "", "", "", "", "", ""],
        ["2", "<p>" + "long, " * 30_000, "1", "AWOL", "training", "small", "Hip-Hop", "Food"],
        ["5", "", "1", "AWOL", "validation", "small", "Hip-Hop", "This World"],
        ["10", "", "6", "Kurt Vile", "test", "small", "", "Freeway"],
        ["134", "", "9", "Nicky", "test", "large", "Rock", "Street"],
    ]
    (folder / "fma_metadata").mkdir(parents=True)
    with open(folder / "fma_metadata" / "tracks.csv", "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows(rows)
    return folder


def test_fma_is_read_with_root_genre_artist_and_official_split(tmp_path):
    fma(tmp_path)
    with pytest.raises(FluxBeatError, match="unpack one of fma_small"):
        read_dataset(tmp_path)
    for number in ("000002", "000005", "000010"):
        audio = tmp_path / "fma_small" / number[:3] / f"{number}.mp3"
        audio.parent.mkdir(parents=True, exist_ok=True)
        audio.write_bytes(b"")
    found = read_dataset(tmp_path)
    assert [(entry.name, entry.labels, entry.split) for entry in found] == [
        ("000002", ("Hip-Hop",), "train"),
        ("000005", ("Hip-Hop",), "validation"),
        ("000010", None, "test"),
    ]
    assert found[0].artist == found[1].artist != found[2].artist
    with pytest.raises(FluxBeatError, match="validation and train share artists|train and validation share artists"):
        check_split(found, audio=False)
    assert read_dataset(tmp_path / "fma_metadata") == found


def test_fma_without_its_columns_or_tracks_is_refused(tmp_path):
    fma(tmp_path)
    (tmp_path / "fma_large").mkdir()
    with pytest.raises(FluxBeatError, match="no track that .*000/000002.mp3"):
        read_dataset(tmp_path)
    (tmp_path / "fma_metadata" / "tracks.csv").write_text(",set,track\n,split,title\n")
    with pytest.raises(FluxBeatError, match="no column 'track genre_top'"):
        read_dataset(tmp_path)
    with pytest.raises(FluxBeatError, match="is not FMA: expected"):
        read_dataset(tmp_path / "fma_large", kind="fma")


JAMENDO = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS\n"


def test_jamendo_is_read_with_all_tags_and_official_split(tmp_path):
    splits = tmp_path / "data" / "splits" / "split-0"
    splits.mkdir(parents=True)
    lines = {
        "train": "track_0000214\tartist_000014\talbum_000031\t14/214.mp3\t124.6\tgenre---punkrock\tgenre---metal\n",
        "validation": "track_0000215\tartist_000015\talbum_000032\t15/215.mp3\t151.4\tgenre---metal\n",
        "test": "track_0000216\tartist_000016\talbum_000033\t16/216.mp3\t151.4\tgenre---metal\tmood/theme---dark\n",
    }
    for part, line in lines.items():
        (splits / f"autotagging_genre-{part}.tsv").write_text(JAMENDO + line)
    assert kind_of(tmp_path) == "jamendo"
    with pytest.raises(FluxBeatError, match="no audio of the tracks.*14/214.mp3"):
        read_dataset(tmp_path)
    for name in ("14/214.low.mp3", "16/216.mp3"):
        audio = tmp_path / "raw_30s" / "audio" / name
        audio.parent.mkdir(parents=True)
        audio.write_bytes(b"")
    first, second = read_dataset(tmp_path)
    assert (first.name, first.labels, first.split) == ("track_0000214", ("punkrock", "metal"), "train")
    assert (second.name, second.labels, second.split) == ("track_0000216", ("metal",), "test")
    assert first.artist == "jamendo/artist_000014"


def test_jamendo_without_splits_and_with_a_wrong_table(tmp_path):
    table = tmp_path / "autotagging_genre.tsv"
    table.write_text(JAMENDO + "track_1\tartist_1\talbum_1\t01/1.mp3\t9.0\tgenre---rock\n")
    save(tmp_path / "01" / "1.low.wav").rename(tmp_path / "01" / "1.mp3")
    (only,) = read_dataset(tmp_path)
    assert (only.labels, only.split) == (("rock",), "")
    table.write_text("PATH\tTAGS\n")
    with pytest.raises(FluxBeatError, match="first line must begin with TRACK_ID"):
        read_dataset(tmp_path)
    table.write_text(JAMENDO + "track_1\tartist_1\n")
    with pytest.raises(FluxBeatError, match="line 2: expected 5 columns and tags, got 2"):
        read_dataset(tmp_path)


def test_broken_and_short_files_are_left_out_by_name_and_the_middle_of_long_ones_is_kept(tmp_path, caplog):
    (tmp_path / "broken.wav").write_bytes(b"RIFF nothing")
    paths = [save(tmp_path / "long.wav", chords(1, 9.0)), save(tmp_path / "short.wav"), tmp_path / "broken.wav"]
    recordings = [recording(path.name, "", "x", path=path) for path in paths]
    with caplog.at_level(logging.WARNING):
        kept = list(readable_items(recordings, FeatureConfig(), least_s=2.0, most_s=5.0))
    assert [entry.name for entry, _ in kept] == ["long.wav"]
    assert kept[0][1].log_mel.shape[1] == 105
    assert "short.wav lasts 0.1 s, at least 2 s" in caplog.text
    assert "broken.wav" in caplog.text


def collection(seed: int) -> list[Recording]:
    """30 artists with 1 to 6 songs each, in 3 genres."""
    rng = np.random.default_rng(seed)
    return [
        recording(f"{artist}-{song}", f"artist {artist}", ("folk", "rock", "techno")[artist % 3])
        for artist in range(30)
        for song in range(rng.integers(1, 7))
    ]


@pytest.mark.parametrize("seed", range(4))
def test_a_split_by_artist_shares_no_artist_and_keeps_the_genres_shares(seed):
    recordings = collection(seed)
    train, test = split_by_artist(recordings, 0.2, seed)
    assert sorted(entry.name for entry in train + test) == sorted(entry.name for entry in recordings)
    assert not {entry.artist for entry in train} & {entry.artist for entry in test}
    assert {entry.split for entry in train} == {"train"}
    for label in ("folk", "rock", "techno"):
        total = sum(label in entry.labels for entry in recordings)
        assert sum(label in entry.labels for entry in test) == pytest.approx(0.2 * total, abs=1.5)
    check_split(train + test, audio=False)
    assert split_by_artist(recordings, 0.2, seed) == (train, test)


def test_a_genre_with_one_artist_stays_where_it_is_learned_and_big_artists_can_be_tested_on():
    songs = [recording(f"solo {n}", "Ada", "folk") for n in range(9)]
    songs += [recording(f"{band} {n}", band, "rock") for band in ("Bo", "Cy") for n in range(9)]
    train, test = split_by_artist(songs)
    assert {entry.artist for entry in test} in ({"Bo"}, {"Cy"})
    assert {label for entry in train for label in entry.labels} == {"folk", "rock"}


def test_files_of_unknown_artists_count_as_an_artist_each():
    songs = [recording(f"{n}.wav", "", "folk" if n % 2 else "rock") for n in range(10)]
    train, test = split_by_artist(songs)
    assert len(train) == 8
    assert len(test) == 2
    check_split(train + test, audio=False)


def test_a_split_file_can_be_written_mended_and_read(tmp_path):
    path = tmp_path / "split.txt"
    songs = [recording("a", "Ada", "folk", split="train"), recording("b", "Bo", "folk", split="test")]
    write_split(songs, path)
    assert apply_split(songs, path) == songs
    path.write_text("# mended by hand\n" + path.read_text().replace("b\tBo\ttest", "b\tAda\ttrain"))
    assert read_split(path) == {"a": ("Ada", "train"), "b": ("Ada", "train")}
    assert apply_split(songs, path)[1].artist == "Ada"
    with pytest.raises(FluxBeatError, match="does not name c"):
        apply_split([*songs, recording("c", "", "folk")], path)
    with pytest.raises(FluxBeatError, match="names a track that is not there, b"):
        apply_split(songs[:1], path)
    for line, fault in (("a Ada test", "between tabs"), ("a\tAda\texam", "got 'exam'"), ("a\tx\ttest", "named twice")):
        path.write_text(f"a\tAda\ttrain\n{line}\n")
        with pytest.raises(FluxBeatError, match=f"line 2.*{fault}"):
            read_split(path)
    with pytest.raises(FluxBeatError, match="no such split file"):
        read_split(tmp_path / "other.txt")
    with pytest.raises(FluxBeatError, match="between 0 and 1"):
        split_by_artist(songs, 1.5)


def test_a_shared_track_or_artist_is_refused_by_name():
    train = recording("a", "Ada", "folk", split="train")
    with pytest.raises(FluxBeatError, match=r"train and test share tracks \(1\): a"):
        check_split([train, recording("a", "Bo", "folk", split="test")], audio=False)
    with pytest.raises(FluxBeatError, match="train and test share tracks.*same.wav"):
        paths = [
            recording(name, name, "x", split=split, path=Path("same.wav"))
            for name, split in (("a", "train"), ("b", "test"))
        ]
        check_split(paths, audio=False)
    with pytest.raises(FluxBeatError, match=r"share artists \(1\): Ada.*into one split"):
        check_split([train, recording("b", "Ada", "folk", split="test")], audio=False)
    check_split([train, recording("b", "Ada", "folk", split="train")], audio=False)


@pytest.fixture(scope="module")
def copies(tmp_path_factory) -> dict[str, Path]:
    """A recording, the same as a softer MP3 with 0.4 s cut off, another one, and two silences."""
    folder = tmp_path_factory.mktemp("copies")
    # songs change; what repeats every quarter of a second looks the same at every shift
    song = np.concatenate([part(seed, 2.0) for seed in range(4) for part in (chords, bursts)])
    other = np.concatenate([part(seed, 2.0) for seed in range(4, 8) for part in (bursts, chords)])
    return {
        "song": save(folder / "song.wav", song),
        "copy": save(folder / "copy.mp3", 0.3 * song[int(0.4 * RATE_HZ) :]),
        "other": save(folder / "other.wav", other),
        "silence": save(folder / "silence.wav", np.zeros(RATE_HZ, np.float32)),
        "hush": save(folder / "hush.flac", np.zeros(RATE_HZ, np.float32)),
    }


def test_a_copy_in_another_format_is_the_same_recording_and_silence_is_nobodys(copies):
    prints = {name: fingerprint(path) for name, path in copies.items()}
    alike = likeness(list(prints.values()), list(prints.values()))
    at = {name: index for index, name in enumerate(prints)}
    assert alike[at["song"], at["song"]] == 1
    assert alike[at["song"], at["copy"]] > SAME
    assert alike[at["copy"], at["song"]] == pytest.approx(alike[at["song"], at["copy"]])
    assert alike[at["song"], at["other"]] < SAME - 0.1
    assert alike[at["silence"], at["hush"]] == 0


def moving(count: int, seed: int) -> list[Fingerprint]:
    """Fingerprints of as many recordings; every seventh has the sound of the first, and two are of silence."""
    rng = np.random.default_rng(seed)
    curves = rng.standard_normal((count, 2, 25)).astype(np.float32)
    curves[::7] = curves[0]
    found = [Fingerprint(f"{seed} {place}", curve) for place, curve in enumerate(curves)]
    silent = Fingerprint("", np.zeros_like(curves[0]))
    return [*found, silent, silent, Fingerprint("still", silent.curve), Fingerprint("still", silent.curve)]


def test_repeats_are_found_block_by_block_as_they_are_all_at_once(monkeypatch):
    monkeypatch.setattr("fluxbeat.training.fingerprint.BLOCK", 16)
    first, second = moving(40, 0), [*moving(30, 1), *moving(40, 0)[14:]]
    places = np.argwhere(likeness(first, second) >= SAME).tolist()
    assert same_recordings(first, second) == [tuple(pair) for pair in places]
    places = np.argwhere(np.triu(likeness(first, first) >= SAME, k=1)).tolist()
    assert same_recordings(first, first) == [tuple(pair) for pair in places]
    assert (0, 35) in same_recordings(first, first)
    assert (42, 43) in same_recordings(first, first), "equal samples, though nothing moves in them"
    assert (40, 41) not in same_recordings(first, first), "silence is nobody's"
    assert same_recordings([], []) == same_recordings(first, []) == []


def test_two_thousand_recordings_are_compared_in_little_memory():
    prints = [one for one in moving(2000, 0) if one.digest]
    prints = [one for place, one in enumerate(prints) if place % 7]
    tracemalloc.start()
    same_recordings(prints, prints)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 8e6, "a table of all pairs takes 12 MB, and as lists 24"


def test_the_same_recording_in_two_splits_is_refused_by_name(copies):
    train = recording("song", "Ada", "folk", split="train", path=copies["song"])
    other = recording("other", "Bo", "folk", split="test", path=copies["other"])
    check_split([train, other])
    with pytest.raises(FluxBeatError, match=r"train and test share recordings \(1\): song = copy"):
        check_split([train, other, recording("copy", "Cy", "folk", split="test", path=copies["copy"])])


def test_a_recording_filed_under_two_genres_has_both(copies, caplog):
    songs = [recording(name, "", label, path=copies[name]) for name, label in (("song", "folk"), ("other", "rock"))]
    songs.append(recording("copy", "", "rock", path=copies["copy"]))
    with caplog.at_level(logging.WARNING):
        kept = without_repeats(songs)
    assert [(entry.name, entry.labels) for entry in kept] == [("song", ("folk", "rock")), ("other", ("rock",))]
    assert "copy.mp3 is the same recording as" in caplog.text


def test_new_labels_keep_all_that_the_model_has_heard():
    model = load("cnn").network
    fresh = with_labels(model, ("chords", "bursts"))
    assert fresh.config.labels == ("chords", "bursts")
    assert fresh.genre_head.out_features == 2
    before, after = model.state_dict(), fresh.state_dict()
    assert all((before[name] == after[name]).all() for name in before if not name.startswith("genre_head."))


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    """Ten small files in two genres, in a folder with what is made of them."""
    folder = tmp_path_factory.mktemp("own")
    for seed in range(5):
        save(folder / "music" / "chords" / f"{seed}.wav", chords(seed))
        save(folder / "music" / "noise bursts" / f"{seed}.flac", bursts(seed))
    return folder


def test_ten_small_files_make_a_checkpoint_of_their_own_genres(own, capsys, monkeypatch):
    checkpoint = own / "runs" / "mine"
    command = ["train", "--data", str(own / "music"), "--model", "cnn", "--output", str(checkpoint), "--epochs", "25"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "chords 5, noise bursts 5" in printed
    assert "Not measured" in printed
    for make, label in ((chords, "chords"), (bursts, "noise bursts")):
        unheard = save(own / f"unheard {label}.wav", make(99, 9.0))
        assert main(["analyze", str(unheard), "--model", str(checkpoint), "--json"]) == 0
        genres = json.loads(capsys.readouterr().out)["genres"]
        assert {genre["label"] for genre in genres} == {"chords", "noise bursts"}
        assert genres[0]["label"] == label
        assert [genre["active"] for genre in genres] == [True, False]
    card = (checkpoint / "README.md").read_text(encoding="utf-8")
    assert "Not measured" in card
    assert "checkpoints/cnn, revision" in card
    assert {split for _, split in read_split(checkpoint / "split.txt").values()} == {"train"}
    # the app shows the checkpoints of a folder
    monkeypatch.setenv(CHECKPOINTS_VARIABLE, str(checkpoint.parent))
    assert bundled_names() == ["mine"]
    assert set(genre_paints(load("mine").network.config.labels)) == {"chords", "noise bursts"}


def test_artists_set_aside_measure_and_calibrate_the_checkpoint(tmp_path, monkeypatch):
    # the beatless sounds that set the tempo's threshold take long to draw
    monkeypatch.setattr("fluxbeat.training.calibration.BEATLESS_CASES", 1)
    for seed in range(8):
        save(tmp_path / "music" / "chords" / f"artist {seed // 2}" / f"{seed}.wav", chords(seed, 3.0))
        save(tmp_path / "music" / "bursts" / f"band {seed // 2}" / f"{seed}.wav", bursts(seed, 3.0))
    output = tmp_path / "run"
    output.mkdir()
    lines = []
    for entry in read_dataset(tmp_path / "music"):
        split = "test" if entry.artist[-1] in "01" else "train"
        lines.append(f"{entry.name}\t{entry.artist}\t{split}")
    (output / "split.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    made = train_own_data(tmp_path / "music", output, "cnn", epochs=25, progress=False)
    assert made.trained == made.held_out == {"chords": 4, "bursts": 4}
    assert made.calibrated
    assert made.report["accuracy"]["n"] == 8
    assert made.report["accuracy"]["value"] >= 0.85
    model, _ = load_checkpoint(output)
    assert model.config.calibration.scale != 1
    assert model.config.metrics[0]["measure"] == "accuracy"
    card = (output / "README.md").read_text(encoding="utf-8")
    assert "On 8 recordings of artists that it did not hear" in card
    (output / "split.txt").write_text("\n".join(lines).replace("0.wav\tartist 0\ttest", "0.wav\tartist 0\ttrain"))
    with pytest.raises(FluxBeatError, match="share artists.*artist 0"):
        train_own_data(tmp_path / "music", output, "cnn", progress=False)


def test_training_may_start_from_nothing_and_a_finished_run_is_not_done_again(own, monkeypatch):
    monkeypatch.setattr("fluxbeat.training.calibration.BEATLESS_CASES", 1)
    monkeypatch.setattr("fluxbeat.training.own_data.DRAWN_RHYTHMS", 3)
    made = train_own_data(own / "music", own / "bare", "cnn", "none", epochs=2, progress=False)
    assert made.start == "none"
    assert "started from random weights" in (own / "bare" / "README.md").read_text(encoding="utf-8")
    weights = (own / "bare" / "training" / "model.safetensors").stat().st_mtime_ns
    assert train_own_data(own / "music", own / "bare", "cnn", "none", epochs=2, progress=False) == made
    assert (own / "bare" / "training" / "model.safetensors").stat().st_mtime_ns == weights
    with pytest.raises(FluxBeatError, match="bare.training holds another run: .*epochs differ"):
        train_own_data(own / "music", own / "bare", "cnn", "none", epochs=3, progress=False)


def test_a_start_that_knows_no_tempo_is_taught_it_and_not_asked_for_it(own, monkeypatch):
    monkeypatch.setattr("fluxbeat.training.calibration.BEATLESS_CASES", 1)
    monkeypatch.setattr("fluxbeat.training.own_data.DRAWN_RHYTHMS", 3)
    asked = []
    monkeypatch.setattr("fluxbeat.training.own_data.analyze_track", lambda *_: asked.append(1))
    start, _ = load_checkpoint(checkpoints_folder() / "cnn")
    start.config = replace(start.config, tempo_taught=False)
    save_checkpoint(start, own / "start")
    train_own_data(own / "music", own / "from-start", start=str(own / "start"), epochs=1, progress=False)
    made, _ = load_checkpoint(own / "from-start")
    assert asked == []
    assert made.config.tempo_taught
    before, after = (model.tempo_head.novelty_norm.num_batches_tracked for model in (start, made))
    assert after > before, "a head that learns from the beginning needs statistics of its own"


def test_what_cannot_be_trained_on_is_said_before_anything_is_trained(tmp_path, capsys):
    save(tmp_path / "rock" / "a.wav", bursts(1))
    save(tmp_path / "folk" / "a.wav", chords(1))
    save(tmp_path / "folk" / "b.wav", chords(2))
    with pytest.raises(FluxBeatError, match="'rock' has 1 recording, every genre needs at least 2"):
        train_own_data(tmp_path, tmp_path / "run", "cnn", progress=False)
    with pytest.raises(FluxBeatError, match="--model vit cannot start from .*a cnn"):
        train_own_data(tmp_path, tmp_path / "run", "vit", start="cnn", progress=False)
    with pytest.raises(FluxBeatError, match="epochs must be 1 or more"):
        train_own_data(tmp_path, tmp_path / "run", epochs=-1, progress=False)
    (tmp_path / "rock" / "b.wav").write_bytes(b"RIFF nothing")
    with pytest.raises(FluxBeatError, match="can be read.*'rock' has 1 recording"):
        train_own_data(tmp_path, tmp_path / "run", "cnn", progress=False)
    for arguments in (["train"], ["train", "recipe.yaml", "--data", str(tmp_path)]):
        assert main(arguments) == 2
        assert "either a RECIPE.yaml or --data" in capsys.readouterr().err
