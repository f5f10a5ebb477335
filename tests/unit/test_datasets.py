"""Music that a user brings: every layout is read, splits keep artists apart, and copies are found."""

import csv
import logging
import tracemalloc
import unicodedata
from collections import Counter
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile

from fluxbeat.errors import FluxBeatError
from fluxbeat.features.fingerprint import SAME, Fingerprint, fingerprint, likeness, same_recordings
from fluxbeat.features.log_mel import FeatureConfig, LogMel
from fluxbeat.library.songs import EXCERPT_S, excerpt_starts
from fluxbeat.training.data import extraction
from fluxbeat.training.data.artist_split import apply_split, artist_of, read_split, split_by_artist, write_split
from fluxbeat.training.data.datasets import read_dataset
from fluxbeat.training.data.extraction import extract, fingerprints
from fluxbeat.training.data.recordings import Recording
from fluxbeat.training.data.split_check import check_split, distinct_recordings
from fluxbeat.training.quick import check_counts

RATE_HZ = 22_050
FEATURES = FeatureConfig(n_mels=40)


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
    return Recording(path or Path(name), labels or None, None, artist, split, name)


def test_genre_folders_are_labels_and_folders_in_them_are_artists(tmp_path):
    save(tmp_path / "folk" / "Ada" / "first album" / "song.flac")
    save(tmp_path / "folk" / "lone.wav")
    save(tmp_path / "rock" / "Ada" / "loud.ogg")
    save(tmp_path / "rock" / ".hidden.wav")
    (tmp_path / "rock" / "cover.jpg").write_bytes(b"not music")
    found = {entry.name: entry for entry in read_dataset(tmp_path)}
    assert list(found) == ["folk/Ada/first album/song.flac", "folk/lone.wav", "rock/Ada/loud.ogg"]
    assert [entry.labels for entry in found.values()] == [("folk",), ("folk",), ("rock",)]
    assert [entry.artist for entry in found.values()] == ["Ada", "", "Ada"], "nobody names the artist of a lone file"


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


@pytest.mark.parametrize(
    ("genres", "message"),
    [
        (["folk"], "at least two genres are needed to tell apart, found only 'folk'"),
        ([], "at least two genres are needed to tell apart, found none"),
        ([f"g{n}" for n in range(1001)], "1,001 genres are more than the 1,000 that a checkpoint holds"),
        (["folk", "f" * 101], "is no name for a genre: it takes 1 to 100 characters that show"),
    ],
)
def test_genres_that_no_checkpoint_holds_are_refused_before_anything_is_read(genres, message):
    with pytest.raises(FluxBeatError, match=f"Music: .*{message}"):
        check_counts("Music", Counter(dict.fromkeys(genres, 5)))


def test_a_table_may_hold_a_split(tmp_path):
    table = tmp_path / "music.csv"
    table.write_text("path,labels,bpm,artist,split\nx/a.wav,folk;rock,90,Ada,validation\ny/a.wav,rock,,Bo,\n")
    first, second = read_dataset(table)
    assert (first.labels, first.tempo_bpm, first.artist, first.split) == (("folk", "rock"), 90, "Ada", "dev")
    assert (second.path, second.tempo_bpm, second.split) == (tmp_path / "y/a.wav", None, "")
    assert first.name != second.name
    table.write_text("path,labels,split\na.wav,rock,exam\n")
    with pytest.raises(FluxBeatError, match="line 2: split must be train, dev, test or empty, got 'exam'"):
        read_dataset(table)


@pytest.mark.parametrize("place", ["genres", "genres_original", "gtzan_genre/genres", ""])
def test_gtzan_is_read_in_each_place_with_its_fault_filtered_split(tmp_path, place):
    for clip in ("blues.00029", "blues.00012", "blues.00000", "jazz.00054", "rock.00016"):
        save(tmp_path / place / clip.split(".")[0] / f"{clip}.wav")
    tempo = tmp_path / "gtzan_tempo_beat-main" / "tempo" / "gtzan_blues_00029.bpm"
    tempo.parent.mkdir(parents=True)
    tempo.write_text("101.5\n")
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
        ("000005", ("Hip-Hop",), "dev"),
        ("000010", None, "test"),
    ]
    assert found[0].artist == found[1].artist != found[2].artist
    with pytest.raises(FluxBeatError, match="dev and train share artists|train and dev share artists"):
        check_split(found)
    assert read_dataset(tmp_path / "fma_metadata") == found


def test_fma_without_its_columns_or_tracks_is_refused(tmp_path):
    fma(tmp_path)
    (tmp_path / "fma_large").mkdir()
    with pytest.raises(FluxBeatError, match="no track that .*000/000002.mp3"):
        read_dataset(tmp_path)
    (tmp_path / "fma_metadata" / "tracks.csv").write_text(",set,track\n,split,title\n")
    with pytest.raises(FluxBeatError, match="no column 'track genre_top'"):
        read_dataset(tmp_path)


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


def test_two_spellings_of_one_name_are_one_genre_and_one_artist(tmp_path):
    """A folder copied from another system may write é as one sign, or as e and an accent."""
    for form, name in (("NFC", "a"), ("NFD", "b")):
        save(tmp_path / unicodedata.normalize(form, "séga") / unicodedata.normalize(form, "Zoé") / f"{name}.wav")
    save(tmp_path / "rock" / "a.wav")
    found = read_dataset(tmp_path)
    assert len({label for entry in found for label in entry.labels}) == 2
    assert len({artist_of(entry) for entry in found if "rock" not in entry.labels}) == 1
    assert artist_of(recording("x", "The  Band")) == artist_of(recording("y", "the band"))


def test_artists_come_from_the_files_own_tags_where_no_folder_names_them(tmp_path):
    """Two halves of one song, side by side in the genre's folder, must not end up on both sides of a split."""
    for name, artist in (("half 1", "Ada"), ("half 2", "Ada"), ("other", "Bo")):
        path = save(tmp_path / "folk" / f"{name}.flac")
        tags = mutagen.File(path, easy=True)
        tags["artist"] = artist
        tags.save()
    save(tmp_path / "rock" / "Cy" / "a.wav")
    (tmp_path / "music.csv").write_text("path,labels\nfolk/half 1.flac,folk\nrock/Cy/a.wav,rock\n")
    assert [entry.artist for entry in read_dataset(tmp_path)] == ["Ada", "Ada", "Bo", "Cy"]
    assert [entry.artist for entry in read_dataset(tmp_path / "music.csv")] == ["Ada", ""]


def test_broken_short_and_silent_files_are_left_out_by_name(tmp_path, caplog):
    (tmp_path / "broken.wav").write_bytes(b"RIFF nothing")
    paths = [save(tmp_path / "good.wav", chords(1, 9.0)), save(tmp_path / "short.wav"), tmp_path / "broken.wav"]
    paths.append(save(tmp_path / "silent.wav", np.zeros(5 * RATE_HZ, np.float32)))
    recordings = [recording(path.name, "", "x", path=path) for path in paths]
    with caplog.at_level(logging.WARNING):
        store = extract(recordings, tmp_path / "cache", FEATURES)
    assert [excerpt.name for excerpt in store.excerpts] == ["good.wav"]
    assert store.excerpts[0].duration_s == pytest.approx(9.0, abs=0.1)
    assert 'short.wav" lasts 0.1 s, at least 2 s' in caplog.text
    assert "broken.wav" in caplog.text
    assert "silent.wav is silent" in caplog.text


def test_features_are_those_of_the_front_end_and_computed_once(tmp_path, monkeypatch):
    songs = [recording("a", "Ada", "folk", path=save(tmp_path / "a.wav", chords(1, 5.0)))]
    store = extract(songs, tmp_path / "cache", FEATURES)
    from fluxbeat.audio.decoding import load_audio

    samples = load_audio(tmp_path / "a.wav", sample_rate_hz=FEATURES.sample_rate_hz).samples
    np.testing.assert_allclose(store.sound(0), LogMel(FEATURES).from_blocks([samples]), atol=0.05)
    monkeypatch.setattr("fluxbeat.library.songs.open_audio", None)
    renamed = extract([recording("a", "Bo", "rock", path=tmp_path / "a.wav")], tmp_path / "cache", FEATURES)
    assert (renamed.excerpts[0].artist, renamed.excerpts[0].labels) == ("bo", {"rock": 1.0}), "labels may change"
    save(tmp_path / "a.wav", chords(2, 5.0))
    with pytest.raises(TypeError):
        extract(songs, tmp_path / "cache", FEATURES)  # another sound is not answered from the cache


def test_features_are_computed_again_once_the_code_that_makes_them_has_changed(tmp_path, monkeypatch):
    song = [recording("a", "", "x", path=save(tmp_path / "a.wav", chords(1, 4.0)))]
    first = extract(song, tmp_path / "cache", FEATURES).folder
    assert extract(song, tmp_path / "cache", FEATURES).folder == first
    asked = []
    monkeypatch.setattr(extraction, "code_digest", lambda rooms: asked.append(rooms) or "changed")
    assert extract(song, tmp_path / "cache", FEATURES).folder != first
    assert asked == [("audio", "features")], "a change of models or analysis leaves them as they are"


def test_reading_that_was_cut_off_goes_on_where_it_was(tmp_path, monkeypatch):
    songs = [recording(f"{n}", "", "x", path=save(tmp_path / f"{n}.wav", chords(n, 4.0))) for n in range(3)]
    opened = []

    def power_cut(done: int, total: int) -> None:
        opened.append(done)
        if done == 2 and len(opened) == 2:
            raise ConnectionAbortedError("power cut")

    with pytest.raises(ConnectionAbortedError):
        extract(songs, tmp_path / "cut", FEATURES, power_cut)
    read = []
    add = extraction._add
    monkeypatch.setattr(
        extraction, "_add", lambda writer, song, front_end: (read.append(song.name), add(writer, song, front_end))
    )
    resumed = extract(songs, tmp_path / "cut", FEATURES)
    assert read == ["2"]
    whole = extract(songs, tmp_path / "whole", FEATURES)
    assert resumed.excerpts == whole.excerpts
    np.testing.assert_array_equal(resumed.log_mel, whole.log_mel)


def test_reading_many_recordings_takes_the_memory_of_one(tmp_path):
    path = save(tmp_path / "a.wav", chords(1, 30.0))
    extract([recording("warm", "", "x", path=path)], tmp_path / "warm", FEATURES)
    peaks_bytes = []
    for count in (2, 12):
        songs = [recording(f"{n}", "", "x", path=path) for n in range(count)]
        tracemalloc.start()
        extract(songs, tmp_path / f"{count}", FEATURES)
        peaks_bytes.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks_bytes[1] < 1.2 * peaks_bytes[0], "ten spectrograms more are in a file, not in memory"


@pytest.mark.parametrize(("minutes", "count"), [(0.1, 1), (0.6, 1), (2, 2), (3.1, 3), (60, 4)])
def test_longer_recordings_give_more_excerpts_spread_over_them(minutes, count):
    rate_hz, length = 24.0, round(EXCERPT_S * 24)
    frames = round(minutes * 60 * rate_hz)
    starts = excerpt_starts(frames, length, rate_hz)
    assert len(starts) == count
    assert all(later - start >= length for start, later in zip(starts, starts[1:], strict=False)), "excerpts overlap"
    assert starts[-1] + min(length, frames) <= frames


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
    train, dev = split_by_artist(recordings, 0.2, seed)
    assert sorted(entry.name for entry in train + dev) == sorted(entry.name for entry in recordings)
    assert not {entry.artist for entry in train} & {entry.artist for entry in dev}
    assert {entry.split for entry in train} == {"train"}
    for label in ("folk", "rock", "techno"):
        total = sum(label in entry.labels for entry in recordings)
        assert sum(label in entry.labels for entry in dev) == pytest.approx(0.2 * total, abs=1.5)
    check_split(train + dev)
    assert split_by_artist(recordings, 0.2, seed) == (train, dev)


def test_a_genre_with_one_artist_stays_where_it_is_learned_and_big_artists_can_be_tested_on():
    songs = [recording(f"solo {n}", "Ada", "folk") for n in range(9)]
    songs += [recording(f"{band} {n}", band, "rock") for band in ("Bo", "Cy") for n in range(9)]
    train, dev = split_by_artist(songs)
    assert {entry.artist for entry in dev} in ({"Bo"}, {"Cy"})
    assert {label for entry in train for label in entry.labels} == {"folk", "rock"}


def test_files_of_unknown_artists_count_as_an_artist_each():
    songs = [recording(f"{n}.wav", "", "folk" if n % 2 else "rock") for n in range(10)]
    train, dev = split_by_artist(songs)
    assert len(train) == 8
    assert len(dev) == 2
    check_split(train + dev)


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


def test_a_shared_track_or_artist_is_refused_by_name():
    train = recording("a", "Ada", "folk", split="train")
    with pytest.raises(FluxBeatError, match=r"train and test share tracks \(1\): a"):
        check_split([train, recording("a", "Bo", "folk", split="test")])
    with pytest.raises(FluxBeatError, match="train and test share tracks.*same.wav"):
        paths = [
            recording(name, name, "x", split=split, path=Path("same.wav"))
            for name, split in (("a", "train"), ("b", "test"))
        ]
        check_split(paths)
    with pytest.raises(FluxBeatError, match=r"share artists \(1\): ada.*into one split"):
        check_split([train, recording("b", "Ada", "folk", split="test")])
    check_split([train, recording("b", "Ada", "folk", split="train")])


@pytest.fixture(scope="module")
def copies(tmp_path_factory) -> dict[str, Recording]:
    """A recording, the same as a softer MP3 with 0.4 s cut off, another one, and one that is silent."""
    folder = tmp_path_factory.mktemp("copies")
    # songs change; what repeats every quarter of a second looks the same at every shift
    song = np.concatenate([part(seed, 2.0) for seed in range(4) for part in (chords, bursts)])
    other = np.concatenate([part(seed, 2.0) for seed in range(4, 8) for part in (bursts, chords)])
    paths = {
        "song": save(folder / "song.wav", song),
        "copy": save(folder / "copy.mp3", 0.3 * song[int(0.4 * RATE_HZ) :]),
        "other": save(folder / "other.wav", other),
    }
    return {name: recording(name, name, "folk", path=path) for name, path in paths.items()}


@pytest.fixture(scope="module")
def prints(copies, tmp_path_factory) -> dict[str, Fingerprint]:
    return fingerprints(extract(list(copies.values()), tmp_path_factory.mktemp("cache"), FEATURES))


def test_a_copy_in_another_format_is_the_same_recording_and_silence_is_nobodys(prints):
    found = {**prints, "hush": fingerprint(np.full((40, 600), FEATURES.floor_db), FEATURES)}
    found["silence"] = found["hush"]
    alike = likeness(list(found.values()), list(found.values()))
    at = {name: index for index, name in enumerate(found)}
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
    monkeypatch.setattr("fluxbeat.features.fingerprint.BLOCK", 16)
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


def test_the_same_recording_in_two_splits_is_refused_by_name(copies, prints):
    parts = {"song": "train", "other": "test", "copy": "test"}
    songs = [recording(name, name, "folk", split=split, path=copies[name].path) for name, split in parts.items()]
    check_split(songs[:2], prints)
    with pytest.raises(FluxBeatError, match=r"train and test share recordings \(1\): song = copy"):
        check_split(songs, prints)


def test_a_copy_of_a_copy_is_left_out_though_it_is_not_like_the_first(caplog):
    whole = np.random.default_rng(5).standard_normal((20, 130)).astype(np.float32)
    cut = {name: Fingerprint(name, whole[:, start : start + 104]) for name, start in (("a", 0), ("b", 13), ("c", 26))}
    kept = distinct_recordings(
        [recording(name, "", label) for name, label in zip("abc", ("x", "y", "z"), strict=True)], cut
    )
    assert [(entry.name, entry.labels) for entry in kept] == [("a", ("x", "y", "z"))]
    assert "c is the same recording as a" in caplog.text


def test_a_recording_filed_under_two_genres_has_both(copies, prints, caplog):
    labels = {"song": "folk", "other": "rock", "copy": "rock"}
    songs = [recording(name, "", label, path=copies[name].path) for name, label in labels.items()]
    with caplog.at_level(logging.WARNING):
        kept = distinct_recordings(songs, prints)
    assert [(entry.name, entry.labels) for entry in kept] == [("song", ("folk", "rock")), ("other", ("rock",))]
    assert "copy.mp3 is the same recording as" in caplog.text
