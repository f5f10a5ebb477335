"""Stores of recordings: what teachers say lies beside each row, copies are augmented truly, a cut build goes on."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from fluxbeat.features.log_mel import FeatureConfig
from fluxbeat.training.data.store import Excerpt
from tools.recordings import build as building
from tools.recordings.augment import SoundAugment, coloured, faster, filled, mixed, peaking, room
from tools.recordings.build import Builder, Folder, blended
from tools.recordings.drawn import PATTERNS, beatless, drawn_sound, rhythm

RATE_HZ = 32_000
FEATURES = FeatureConfig(n_mels=20)
LABELS = ("folk", "rock")


def tone(hz: float, seconds: float = 3.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def pitch_hz(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax() / len(samples) * RATE_HZ)


def gain_db(changed: np.ndarray, samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(changed[RATE_HZ:] ** 2) / np.mean(samples[RATE_HZ:] ** 2)))


def test_faster_is_higher_by_as_much_and_lasts_as_long():
    played = faster(tone(440), RATE_HZ, 1.1)
    assert len(played) == 3 * RATE_HZ
    assert pitch_hz(played[: 2 * RATE_HZ]) == pytest.approx(484, abs=1)


def test_what_is_mixed_in_is_as_loud_as_was_asked():
    first, second = tone(440), 0.01 * tone(880)
    strength = np.abs(np.fft.rfft(mixed(first, second, -6.0)))
    at = [round(hz * 3) for hz in (440, 880)]
    assert 20 * np.log10(strength[at[1]] / strength[at[0]]) == pytest.approx(-6.0, abs=0.1)


def test_a_peak_lifts_its_own_frequency_and_leaves_others():
    assert gain_db(peaking(tone(1000), RATE_HZ, 1000, 8.0, 1.0), tone(1000)) == pytest.approx(8.0, abs=0.1)
    assert gain_db(peaking(tone(100), RATE_HZ, 5000, 8.0, 2.0), tone(100)) == pytest.approx(0.0, abs=0.1)


def test_a_room_rings_after_the_sound_and_no_louder_than_asked():
    click = np.zeros(RATE_HZ, np.float32)
    click[100] = 1.0
    rung = room(click, RATE_HZ, 0.5, -6.0, np.random.default_rng(0))
    assert rung[100] == pytest.approx(1.0, abs=0.05)
    assert 10 * np.log10(np.square(rung[101:]).sum()) == pytest.approx(-6.0, abs=0.5)
    assert np.abs(rung[100 + RATE_HZ // 2 :]).max() < 1e-3


def test_no_change_at_all_leaves_but_the_level():
    off = SoundAugment(peaks=0, room_probability=0, low_pass_probability=0, high_pass_probability=0, level_db=(-6, -6))
    changed = coloured(tone(440), RATE_HZ, off, np.random.default_rng(0))
    np.testing.assert_allclose(changed, tone(440) / 0.3 * 10 ** (-6 / 20), atol=1e-3)
    assert len(filled(tone(440), 5 * RATE_HZ, np.random.default_rng(0))) == 5 * RATE_HZ


def test_a_blend_is_known_as_far_as_both_are():
    folk, rock = Excerpt("a", "A", labels={"folk": 1.0}), Excerpt("b", "B", labels={"rock": 1.0})
    assert blended(folk, rock, 0.0).labels == {"folk": 1.0, "rock": 1.0}
    assert blended(folk, rock, -20.0).labels == {"folk": 1.0, "rock": pytest.approx(0.1)}
    assert blended(folk, Excerpt("c", "C", labels={}), -3.0).labels == {}, "what else sounds nobody knows"
    assert blended(folk, Excerpt("c", "C", labels={}), -9.0).labels == {"folk": 1.0}
    assert blended(folk, Excerpt("c", "C", labels={}, kind="speech"), -3.0).labels == {"folk": 1.0}


NAMES = {"audioset": ["Folk music", "Rock music", "Speech"], "msd": ["folk", "rock"]}
GENRES = {"audioset": {"folk": ["Folk music"], "rock": ["Rock music"]}, "msd": {"folk": ["folk"], "rock": ["rock"]}}


class Panel:
    """Teachers to whom soft is folk and loud is rock."""

    sample_rate_hz = RATE_HZ
    asked = 0

    def __init__(self, folder: Path):
        self.names = NAMES

    def __call__(self, samples: np.ndarray) -> dict[str, np.ndarray]:
        Panel.asked += 1
        loud = np.abs(samples.reshape(3, -1)).mean(axis=1)
        audioset = np.stack([loud < 0.1, loud >= 0.1, loud], 1).clip(0, 1)
        return {"audioset": audioset, "msd": audioset.mean(0)[:2], "embedding": np.stack([loud, loud], 1)}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(building, "TeacherPanel", Panel)
    monkeypatch.setattr(building, "read_genre_map", lambda: GENRES)
    Panel.asked = 0
    rows = []
    for number in range(12):
        label = LABELS[number % 2]
        soundfile.write(tmp_path / f"{number}.flac", tone(200 + 50 * number) * (0.2 + number % 2), RATE_HZ)
        split = "train" if number < 10 else "test"
        rows.append((f"{number}.flac", split, label, f"artist {number}", "popular", "3.0", 100 if number == 0 else ""))
    with open(tmp_path / "recordings.csv", "w", newline="") as handle:
        csv.writer(handle).writerows([("file", "split", "labels", "artist", "dataset", "seconds", "bpm"), *rows])
    return tmp_path


def builder(folder: Path) -> Builder:
    return Builder(Folder.read(folder, LABELS), folder, folder / "stores", FEATURES, LABELS, seed=0)


def test_stores_hold_what_teachers_and_labels_say_and_no_copy_is_of_a_test_recording(folder):
    stores = builder(folder)
    whole, copy, drawn = stores.recordings(), stores.copy(0), stores.drawn(5)
    assert (len(whole), len(copy), len(drawn)) == (12, 10, 5)
    assert {excerpt.split for excerpt in copy.excerpts} == {"train"}
    assert {excerpt.name for excerpt in copy.excerpts} == {f"{number}.flac" for number in range(10)}
    for store in (whole, copy, drawn):
        assert set(store.outputs) == {"audioset", "msd", "embedding", "genre"}
        np.testing.assert_allclose(store.outputs["genre"].astype(float).sum(1), 1, atol=0.01)
    assert whole.excerpts[0].tempo_bpm == 100
    assert 100 / 1.13 < copy.excerpts[0].tempo_bpm < 113 and copy.excerpts[0].tempo_bpm != 100, "tempo moves with speed"
    assert drawn.excerpts[4].beatless and drawn.excerpts[0].tempo_bpm
    right = np.array(
        [
            LABELS[int(row.argmax())] in one.labels
            for row, one in zip(whole.outputs["genre"], whole.excerpts, strict=True)
        ]
    )
    assert right[10:].all(), "also of recordings that taught nothing"


def test_a_build_that_was_cut_off_goes_on_and_ends_the_same(folder, monkeypatch):
    whole = builder(folder).copy(3)
    answer = Panel.__call__

    def power_cut(self, samples):
        if Panel.asked == 4:
            raise ConnectionAbortedError("power cut")
        return answer(self, samples)

    (folder / "stores" / "copy3").rename(folder / "whole")
    Panel.asked = 0
    monkeypatch.setattr(Panel, "__call__", power_cut)
    with pytest.raises(ConnectionAbortedError):
        builder(folder).copy(3)
    monkeypatch.setattr(Panel, "__call__", answer)
    again = builder(folder).copy(3)
    assert Panel.asked == 10, "four rows are not done again"
    assert again.excerpts == whole.excerpts
    for name in ("log_mel", "audioset", "genre"):
        np.testing.assert_array_equal(np.load(again.folder / f"{name}.npy"), np.load(folder / "whole" / f"{name}.npy"))


def test_answers_that_lie_beside_the_recordings_are_not_asked_for_again(folder):
    files = [f"{number}.flac" for number in range(12)]
    known = {"audioset": np.full((12, 3, 3), 0.5), "msd": np.full((12, 2), 0.5), "embedding": np.zeros((12, 3, 2))}
    np.savez(folder / "teachers.npz", files=np.array(files), classes=np.array(NAMES["audioset"]), **known)
    store = builder(folder).recordings()
    assert Panel.asked == 0
    assert (store.outputs["audioset"] == 0.5).all()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_drawn_rhythms_have_their_tempo(pattern):
    from fluxbeat.features.log_mel import LogMel

    *_, slowest, fastest = PATTERNS[pattern]
    tempo_bpm, features = (slowest * fastest) ** 0.5, FeatureConfig()
    samples = rhythm(tempo_bpm, pattern, 20.0, np.random.default_rng(3), features.sample_rate_hz)
    onset = np.maximum(np.diff(LogMel(features)(samples).mean(axis=0)), 0)
    strength = np.abs(np.fft.rfft(onset - onset.mean(), 2**14))
    at = np.fft.rfftfreq(2**14, 1 / features.frame_rate_hz) * 60
    multiples = [strength[np.abs(at - tempo_bpm * k).argmin()] for k in (0.25, 0.5, 1, 2, 3)]
    assert max(multiples) > 4 * np.median(strength), "the rhythm's spectrum has no line at the tempo or its multiples"


def test_beatless_sounds_are_audible_not_clipped_and_one_in_five():
    for number in range(6):
        samples = beatless(3.0, np.random.default_rng(number), 22_050)
        assert 0.9 < np.abs(samples).max() <= 1.0
    drawn = [drawn_sound(number, 1.0, 8_000, 0) for number in range(10)]
    assert [one.tempo_bpm is None for one in drawn] == [number % 5 == 4 for number in range(10)]
    np.testing.assert_array_equal(drawn_sound(3, 1.0, 8_000, 0).samples, drawn[3].samples)
    assert replace(drawn[0], name="x").samples is drawn[0].samples
