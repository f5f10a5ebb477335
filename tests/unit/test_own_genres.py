"""A head of one's own genres from a handful of songs: what it learns, what is kept apart, and what is told of it."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from test_datasets import bursts, chords, save
from tiny_models import loaded, tiny

from fluxbeat.audio.sound_files import SoundFile
from fluxbeat.audio.tags import artist_in_name
from fluxbeat.errors import AnalysisCancelled, FluxBeatError, ModelLoadError
from fluxbeat.features.fingerprint import Fingerprint, same_recordings
from fluxbeat.library import own_genres, songs
from fluxbeat.library.own_genres import Example, groups_of, save_own_genres, teach, without_repeats
from fluxbeat.library.songs import Song, SongReader
from fluxbeat.models.checkpoint import load_checkpoint, save_checkpoint
from fluxbeat.models.fingerprint_file import FINGERPRINT_FILE, learned_from, read_fingerprints
from fluxbeat.models.quick_head import FOLDS, crossed_logits, fit_head
from fluxbeat.models.registry import load

SIZE = 6


@pytest.fixture
def base(tmp_path, monkeypatch):
    """A tiny CNN as a checkpoint, which the songs were read with."""
    save_checkpoint(tiny("cnn"), tmp_path / "models" / "cnn")
    monkeypatch.setenv("FLUXBEAT_CHECKPOINTS", str(tmp_path / "models"))
    return load("cnn")


def song(name: str, artist: str = "", at: float = 0.0, seed: int | None = None) -> Song:
    """Three windows around a point; its sound is like no other's but for those of the same seed."""
    seed = int(hashlib.sha256(name.encode()).hexdigest()[:6], 16) if seed is None else seed
    rng = np.random.default_rng(seed)
    embedding = 0.2 * rng.standard_normal((3, SIZE)).astype(np.float32)
    embedding[:, :4] += at
    curve = rng.standard_normal((20, 104)).astype(np.float32)
    return Song(name, artist, embedding, Fingerprint(f"{seed:064x}", curve))


def crates(artists: bool = True, count: int = 6) -> list[Example]:
    """Songs of two genres that lie far apart, each by an artist of its own."""
    return [
        Example(song(f"{genre} {n}", f"{genre} artist {n}" if artists else "", at), (genre,))
        for genre, at in (("dub", -4.0), ("house", 4.0))
        for n in range(count)
    ]


def test_a_head_tells_what_lies_apart_and_long_songs_count_like_short_ones():
    embedding = np.array([[2.0, 0.1]] * 50 + [[2.2, 0.0], [-2.0, 0.2], [-2.1, 0.0]])
    row = np.array([0] * 50 + [1, 2, 3])
    truth = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], bool)
    head = fit_head(embedding, row, truth)
    assert (head.logits(embedding).argmax(1) == [0] * 51 + [1, 1]).all()
    once = fit_head(embedding[49:], row[49:], truth)
    np.testing.assert_allclose(once.weight, head.weight, rtol=1e-6)


def test_nothing_is_asked_of_a_head_that_learned_from_its_group():
    """Of songs that are noise, one of a group repeated under the other label must not give itself away."""
    rng = np.random.default_rng(0)
    embedding, row = rng.standard_normal((60, 20)), np.arange(60)
    truth = np.stack([row % 2 == 0, row % 2 == 1], axis=1)
    own = fit_head(embedding, row, truth).logits(embedding)
    crossed = crossed_logits(embedding, row, truth, row.tolist())
    right = truth.argmax(1)
    assert (own.argmax(1) == right).mean() > 0.6 > (crossed.argmax(1) == right).mean()
    assert len(np.unique(row)) > FOLDS, "more groups than are left out one by one"
    pairs = crossed_logits(np.repeat(embedding[:6], 2, axis=0), np.arange(12), np.repeat(truth[:6], 2, axis=0),
                           np.repeat(np.arange(6), 2).tolist())  # fmt: skip
    without = fit_head(np.repeat(embedding[1:6], 2, axis=0), np.arange(10), np.repeat(truth[1:6], 2, axis=0))
    np.testing.assert_allclose(pairs[0], without.logits(embedding[:1])[0], rtol=1e-6)


def test_what_must_not_be_parted_is_one_group():
    examples = [
        Example(song("a.mp3", "Ada Lovelace"), ("x",)),
        Example(song("b.mp3"), ("x",), artist="ADA  lovelace"),
        Example(song("mix/set part 1.mp3"), ("x",)),
        Example(song("mix/set (Part II).mp3"), ("y",)),
        Example(song("other/set part 3.mp3"), ("y",)),
        Example(song("c.flac", "Bo", seed=7), ("x",)),
        Example(song("d.mp3", "Cy", seed=7), ("x",)),
        Example(song("e.mp3", "Cy"), ("y",)),
        Example(song("department 3.mp3"), ("y",)),
    ]
    passage = np.random.default_rng(0).normal(0, 10, (12, 120)).astype(np.float32)
    examples += [
        Example(replace(song("f.mp3"), course=passage[:, :75]), ("x",)),
        Example(replace(song("g.mp3"), course=passage[:, 35:]), ("y",)),
    ]
    groups = groups_of(examples)
    assert groups[0] == groups[1], "two spellings of one artist"
    assert groups[2] == groups[3], "two parts of one piece"
    assert groups[5] == groups[6] == groups[7], "one recording twice, and another song by one of its artists"
    assert groups[9] == groups[10], "two excerpts with a passage in common"
    assert len(set(groups)) == 6


def test_a_recording_that_is_there_twice_counts_once_with_the_genres_of_both():
    kept, repeats = without_repeats(
        [Example(song("a", seed=1), ("x",)), Example(song("b", seed=1), ("y",)), Example(song("c"), ("y",))]
    )
    assert [(one.song.name, one.genres) for one in kept] == [("a", ("x", "y")), ("c", ("y",))]
    assert repeats == [("b", "a")]


def test_a_copy_of_a_copy_is_left_out_though_it_is_not_like_the_first():
    whole = np.random.default_rng(5).standard_normal((20, 130)).astype(np.float32)
    cut = [Fingerprint(f"{start:064x}", whole[:, start : start + 104]) for start in (0, 13, 26)]
    assert same_recordings(cut, cut) == [(0, 1), (1, 2)]
    songs = [Example(replace(song(f"{n}"), fingerprint=one), (f"genre {n}",)) for n, one in enumerate(cut)]
    kept, repeats = without_repeats(songs)
    assert [(one.song.name, one.genres) for one in kept] == [("0", ("genre 0", "genre 1", "genre 2"))]
    assert repeats == [("1", "0"), ("2", "0")]
    kept, _ = without_repeats(songs, merge=False)
    assert [(one.song.name, one.genres) for one in kept] == [("0", ("genre 0",))]


def test_a_taught_model_is_a_checkpoint_like_any_other(base, tmp_path):
    own = teach(crates(), base)
    assert own.counts == {"dub": 6, "house": 6}
    assert (own.judgement.hits, own.judgement.n, own.judgement.apart) == (12, 12, "artists")
    low, high = own.judgement.interval
    assert 0.7 < low < 0.8 and high == 1.0, "Wilson's interval of 12 of 12 begins at 0.76"
    first = own.judgement.sentences[0]
    assert "Right first on 12 of 12 songs by artists that it had not learned from: 100%" in first
    assert "Guessing would be right on 50%" in first
    folder = tmp_path / "own"
    save_own_genres(own, folder)
    network, _ = load_checkpoint(folder)
    assert network.config.labels == ("dub", "house")
    assert network.config.metrics[0]["split"] == "own songs, artists apart"
    for name, value in base.network.state_dict().items():
        if not name.startswith(("genre_head", "known_centres", "whitening")):
            assert (network.state_dict()[name] == value).all(), f"{name} stays as it is"
    assert "| dub | 6 |" in (folder / "README.md").read_text(encoding="utf-8")
    assert load(folder).info.name == "own"


def test_where_artists_are_not_known_it_does_not_speak_of_artists(base):
    own = teach(crates(artists=False), base)
    assert own.judgement.apart == "recordings"
    words = " ".join(own.judgement.sentences)
    assert "by artists" not in words
    assert "12 of 12 songs that it had not learned from" in words
    assert "Nobody says who made any song" in words and "artists were not" in words
    assert own.network.config.metrics[0]["split"] == "own songs, artists not known"
    some = [Example(one.song, one.genres, "somebody" if not n else "") for n, one in enumerate(crates(False))]
    assert "Nobody says who made 11 of 12 songs" in " ".join(teach(some, base).judgement.sentences)


def test_too_few_songs_are_not_measured_and_what_is_missing_is_told(base):
    few = crates(count=4)
    own = teach(few, base)
    assert own.judgement.n == 0 and own.network.config.metrics == ()
    assert own.judgement.sentences == [
        "Too few songs to say how good it is. What is missing: 1 more song each of dub, house."
    ]
    one_artist = [*crates(), *(Example(song(f"x{n}", "Solo", 9.0), ("zouk",)) for n in range(6))]
    assert (
        "What is missing: 2 more songs of zouk, by 2 other artists at least."
        in teach(one_artist, base).judgement.sentences[0]
    )
    with pytest.raises(FluxBeatError, match="'house' has 1 song, every genre needs 2"):
        teach(crates(count=6)[:7], base)
    with pytest.raises(FluxBeatError, match="at least two genres are needed to tell apart, found only 'dub'"):
        teach(crates()[:6], base)
    with pytest.raises(FluxBeatError, match="is no name for a genre"):
        teach([*crates(), Example(song("n"), ("a\nb",)), Example(song("m"), ("a\nb",))], base)


def test_a_checkpoint_knows_again_what_it_learned_from_and_nothing_else(base, tmp_path):
    examples = crates()
    save_own_genres(teach(examples, base), tmp_path / "own")
    kept = read_fingerprints(tmp_path / "own")
    assert [one.digest for one in kept] == [one.song.fingerprint.digest for one in examples]
    asked = [song("new").fingerprint, Fingerprint("f" * 64, 3.0 * examples[4].song.fingerprint.curve)]
    assert learned_from(tmp_path / "own", asked) == [1], "also as another file, at another level"
    assert learned_from(tmp_path / "models" / "cnn", asked) == [], "it says nothing of what it learned from"
    content = (tmp_path / "own" / FINGERPRINT_FILE).read_bytes()
    assert b"artist" not in content and b"dub 0" not in content
    for damaged in (content[:-5], b"", content.replace(b'"curve"', b'"curbe"')):
        (tmp_path / "own" / FINGERPRINT_FILE).write_bytes(damaged)
        with pytest.raises(ModelLoadError, match="fingerprints"):
            read_fingerprints(tmp_path / "own")
    (tmp_path / "own" / FINGERPRINT_FILE).write_bytes(content)
    save_checkpoint(tiny("cnn", seed=3, labels=("dub", "house")), tmp_path / "own")
    with pytest.raises(ModelLoadError, match="belongs to other weights"):
        read_fingerprints(tmp_path / "own")


def test_more_genres_than_a_checkpoint_holds_are_refused_before_they_are_learned(base, monkeypatch):
    monkeypatch.setattr(own_genres, "fit_head", lambda *given: pytest.fail("learned in vain"))
    many = [Example(song("a"), (f"g{n % 1001:04}",)) for n in range(2002)]
    with pytest.raises(FluxBeatError, match="1,001 genres are more than the 1,000 that a checkpoint holds"):
        teach(many, base)


CURVE, DIGEST = np.zeros((2, 20, 104), np.int8), np.zeros((2, 32), np.uint8)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"curve": CURVE[:, :18], "digest": DIGEST}, "was made with other features than the checkpoint's"),
        ({"curve": np.tile(CURVE, (1, 2, 1)), "digest": DIGEST}, "is no file of fingerprints"),
        ({"curve": CURVE[:, :0], "digest": DIGEST}, "is no file of fingerprints"),
        ({"curve": CURVE[..., None], "digest": DIGEST}, "is no file of fingerprints"),
        ({"curve": CURVE[..., :99], "digest": DIGEST}, "is no file of fingerprints"),
        ({"curve": CURVE[:1], "digest": DIGEST}, "is no file of fingerprints"),
        ({"curve": np.int8(5), "digest": np.uint8(1)}, "is no file of fingerprints"),
        ({"curve": CURVE.astype(np.float32), "digest": DIGEST}, "is no file of fingerprints"),
        ({"curve": CURVE, "digest": DIGEST[:, :16]}, "is no file of fingerprints"),
        ({"curve": CURVE, "digest": DIGEST, "more": np.zeros(3)}, "is no file of fingerprints"),
        ({"curve": CURVE}, "is no file of fingerprints"),
        ({}, "is no file of fingerprints"),
    ],
)
def test_fingerprints_of_another_form_are_refused(tmp_path, tensors, message):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    belongs = {"weights_sha256": hashlib.sha256(b"weights").hexdigest()}
    save_file({name: np.array(values) for name, values in tensors.items()}, tmp_path / FINGERPRINT_FILE, belongs)
    with pytest.raises(ModelLoadError, match=message):
        learned_from(tmp_path, [song("one").fingerprint])


@pytest.mark.parametrize(
    ("name", "artist"),
    [
        ("Ada Lovelace - Analytical.mp3", "Ada Lovelace"),
        ("crate/03 - Ada - Notes.flac", "Ada"),
        ("03. Ada – Notes.flac", "Ada"),
        ("Ada_-_Notes.ogg", "Ada"),
        ("03 - Notes.mp3", ""),
        ("self-made.mp3", ""),
        ("1999 - Notes.mp3", ""),
        ("Notes.mp3", ""),
    ],
)
def test_the_artist_in_a_file_name(name, artist):
    assert artist_in_name(name) == artist


def test_songs_are_read_once_and_what_cannot_be_read_is_told(tmp_path):
    paths = [save(tmp_path / "Ada - Chords.wav", chords(1, 6.0)), save(tmp_path / "b.wav", bursts(1, 6.0))]
    (tmp_path / "c.wav").write_bytes(b"RIFF nothing")
    files = [
        SoundFile(path, path.name) for path in (*paths, tmp_path / "c.wav", save(tmp_path / "d.wav", chords(2, 1.0)))
    ]
    reader = SongReader(loaded(tiny("cnn")), tmp_path / "cache", count=2, max_duration_s=60.0)
    found = dict(reader.read(files, threading.Event()))
    assert found[0].artist == "Ada" and found[0].embedding.shape[1] == SIZE
    assert isinstance(found[2], str) and "c.wav" in found[2]
    assert "at least 2 s" in found[3]
    before = paths[1].stat()
    paths[1].write_bytes(b"x" * before.st_size)
    os.utime(paths[1], ns=(before.st_atime_ns, before.st_mtime_ns))
    again = dict(reader.read(files[:2], threading.Event()))
    np.testing.assert_array_equal(again[1].embedding, found[1].embedding)
    assert again[1].fingerprint.digest == found[1].fingerprint.digest
    np.testing.assert_array_equal(again[1].course, found[1].course)
    stopped = threading.Event()
    stopped.set()
    assert list(reader.read(files, stopped)) == []
    short = SongReader(loaded(tiny("cnn")), count=1, max_duration_s=3.0)
    assert "the limit is 0:03" in dict(short.read(files[:1], threading.Event()))[0]


def test_reading_and_teaching_let_others_go_first_now_and_then_and_end_when_they_are_told(base, tmp_path):
    song, asked = SoundFile(save(tmp_path / "long.wav", chords(1, 90.0)), "long.wav"), list[int]()

    @contextmanager
    def turn(stop, most=1000):
        def go_on():
            asked.append(1)
            if len(asked) >= most:
                raise AnalysisCancelled("no longer wanted")

        yield go_on

    def read(turn):
        asked.clear()
        return list(SongReader(loaded(tiny("cnn")), count=1, turn=turn).read([song], threading.Event()))

    assert len(read(turn)) == 1
    excerpts, whole = 2, len(asked)
    assert whole > 2 * excerpts, "while it is decoded, and at every excerpt"
    for most in (1, whole // 2, whole):
        assert read(partial(turn, most=most)) == [] and len(asked) == most
    asked.clear()
    with turn(None) as go_on:
        teach(crates(), base, go_on)
    assert len(asked) > 1
    asked.clear()
    with pytest.raises(AnalysisCancelled), turn(None, most=2) as go_on:
        teach(crates(), base, go_on)


def test_songs_that_are_all_read_leave_their_stop_alone(tmp_path):
    song, stop = SoundFile(save(tmp_path / "a.wav", chords(1, 6.0)), "a.wav"), threading.Event()
    assert len(list(SongReader(loaded(tiny("cnn")), count=1).read([song], stop))) == 1
    assert not stop.is_set()


def test_songs_are_read_again_once_the_code_that_answers_has_changed(tmp_path, monkeypatch):
    file = SoundFile(save(tmp_path / "a.wav", bursts(1, 6.0)), "a.wav")

    def kept() -> list[Path]:
        reader = SongReader(loaded(tiny("cnn")), tmp_path / "cache", count=1)
        assert not isinstance(dict(reader.read([file], threading.Event()))[0], str)
        return sorted((tmp_path / "cache").rglob("*.npz"))

    assert kept() == kept() and len(kept()) == 1
    asked = []
    monkeypatch.setattr(songs, "code_digest", lambda rooms: asked.append(rooms) or "changed")
    assert len(kept()) == 2
    assert {"audio", "features", "models", "analysis"} <= set(asked[0])


def test_a_config_of_before_is_read_as_ever(base, tmp_path):
    """Fingerprints are a file of their own: config.json has no new setting."""
    save_own_genres(teach(crates(), base), tmp_path / "own")
    names = set(json.loads(Path(tmp_path, "own", "config.json").read_text()))
    assert names == set(json.loads(Path(tmp_path, "models", "cnn", "config.json").read_text()))
