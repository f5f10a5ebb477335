"""Stores and batches: a row is what was written, a batch follows from seed and number, and mixing is honest."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fluxbeat.errors import FluxBeatError
from fluxbeat.features.log_mel import FeatureConfig, normalise
from fluxbeat.models.tempo import TempoGrid
from fluxbeat.training.data.store import EXCERPT_S, Excerpt, FeatureStore, StoreWriter, label_shares
from fluxbeat.training.data.windows import AugmentConfig, StepSampler, WindowBatches, masked

FEATURES = FeatureConfig(n_mels=16, norm_window_s=4.0)
FRAMES = round(EXCERPT_S * FEATURES.frame_rate_hz)
WINDOW = 240
LABELS = ("folk", "rock", "techno")
OFF = AugmentConfig(mix_probability=0.0, eq_db=0.0, low_pass_probability=0.0, shift_bands=0, masks=0)


def sound(seed: int, frames: int = FRAMES, level_db: float = -40.0) -> np.ndarray:
    """Mel power in dB that moves over bands and time."""
    rng = np.random.default_rng(seed)
    return (level_db + 12 * rng.standard_normal((FEATURES.n_mels, frames))).astype(np.float32)


def excerpt(number: int, **known: object) -> Excerpt:
    label = LABELS[number % 3]
    return replace(
        Excerpt(f"song {number}", f"artist {number}", labels={label: 1.0}, tempo_bpm=100.0 + number), **known
    )


def write(folder: Path, excerpts: list[Excerpt], outputs: bool = False) -> FeatureStore:
    writer = StoreWriter(folder, FEATURES, len(excerpts))
    for number, one in enumerate(excerpts):
        answer = {"kind": np.eye(3)[number % 3], "embedding": np.full((3, 2), float(number))} if outputs else None
        writer.add(one, sound(number), answer)
        writer.commit(one.name)
    return writer.close()


def batches(store: FeatureStore, augment: AugmentConfig = OFF, **changes: int) -> WindowBatches:
    settings = {"batch_size": 6, "seed": 0, **changes}
    return WindowBatches([store], LABELS, TempoGrid(), WINDOW, augment=augment, **settings)


def test_a_store_gives_back_what_was_written_and_repeats_what_is_short(tmp_path):
    writer = StoreWriter(tmp_path, FEATURES, 5)
    short = sound(1, frames=100)
    writer.add(excerpt(0), sound(0), {"msd": np.arange(4.0)})
    writer.add(excerpt(1, split="dev", duration_s=100 / FEATURES.frame_rate_hz), short, {"msd": np.ones(4)})
    store = writer.close()
    assert len(store) == 2, "room was made for five"
    np.testing.assert_allclose(store.log_mel[0], sound(0), atol=0.05)
    np.testing.assert_allclose(store.log_mel[1][:, 100:200], short, atol=0.05)
    np.testing.assert_allclose(store.outputs["msd"], [[0, 1, 2, 3], [1, 1, 1, 1]])
    assert store.excerpts == [excerpt(0), excerpt(1, split="dev", duration_s=100 / FEATURES.frame_rate_hz)]
    assert (store.rows("train").tolist(), store.rows("dev").tolist()) == ([0], [1])
    assert store.features == FEATURES
    assert isinstance(store.log_mel, np.memmap) and isinstance(store.outputs["msd"], np.memmap), "not held in memory"


def test_a_build_that_was_cut_off_goes_on_after_its_last_whole_row(tmp_path):
    first = StoreWriter(tmp_path / "cut", FEATURES, 3)
    for number in range(2):
        first.add(excerpt(number), sound(number), {"msd": np.full(4, number)})
        first.commit(f"song {number}")
    first.add(excerpt(7), sound(7), {"msd": np.full(4, 7)})  # written, but never said to be whole
    with open(tmp_path / "cut" / "rows.jsonl", "a", encoding="utf-8") as log:
        log.write('{"done": "song 2", "exc')
    del first
    with pytest.raises(FluxBeatError, match="holds no features"):
        FeatureStore(tmp_path / "cut")
    again = StoreWriter(tmp_path / "cut", FEATURES, 3)
    assert again.done == ["song 0", "song 1"]
    again.add(excerpt(2), sound(2), {"msd": np.full(4, 2)})
    again.commit("song 2")
    resumed = again.close()
    assert [one.name for one in resumed.excerpts] == ["song 0", "song 1", "song 2"]
    for number in range(3):
        np.testing.assert_allclose(resumed.log_mel[number], sound(number), atol=0.05)
        assert (resumed.outputs["msd"][number] == number).all()


def test_a_store_of_other_features_or_too_few_rows_is_refused(tmp_path):
    store = write(tmp_path, [excerpt(0), excerpt(1)])
    np.save(tmp_path / "msd.npy", np.zeros((1, 4), np.float16))
    with pytest.raises(FluxBeatError, match="msd has 1 rows for 2 excerpts"):
        FeatureStore(tmp_path)
    (tmp_path / "msd.npy").unlink()
    index = json.loads((store.folder / "excerpts.json").read_text())
    index["features"]["n_mels"] = 64
    (store.folder / "excerpts.json").write_text(json.dumps(index))
    with pytest.raises(FluxBeatError, match="hash"):
        FeatureStore(tmp_path)


def test_shares_sum_to_one_and_no_genre_is_known_of_what_is_no_music():
    known = [
        excerpt(0, labels={"folk": 1.0, "rock": 1.0}),
        excerpt(1, labels={"zydeco": 1.0}),
        excerpt(2, labels={}, kind="speech"),
    ]
    shares, is_known = label_shares(known, LABELS)
    np.testing.assert_allclose(shares, [[0.5, 0.5, 0], [0, 0, 0], [0, 0, 0]])
    assert is_known.tolist() == [True, False, True]


def test_a_batch_follows_from_seed_and_number_alone(tmp_path):
    store = write(tmp_path, [excerpt(number) for number in range(6)])
    loud = AugmentConfig()
    one, other = batches(store, loud), batches(store, loud)
    other[3]  # what was asked for before changes nothing
    torch.manual_seed(99)
    torch.testing.assert_close(one[7], other[7], rtol=0, atol=0)
    assert not torch.equal(one[7]["log_mel"], one[8]["log_mel"])
    assert not torch.equal(one[7]["log_mel"], batches(store, loud, seed=1)[7]["log_mel"])


def test_nothing_of_dev_and_test_is_ever_drawn(tmp_path):
    parts = ["train", "dev", "test", ""]
    known = [excerpt(n, split=parts[n % 4], labels={"folk" if n % 4 == 0 else "rock": 1.0}) for n in range(12)]
    drawn = batches(write(tmp_path, known), replace(OFF, mix_probability=1.0))
    for number in range(5):
        assert (drawn[number]["shares"][:, LABELS.index("rock")] == 0).all()


def test_a_window_is_normalised_as_it_would_be_in_its_whole_track(tmp_path):
    """In the middle of an excerpt a crop with its context has all that the normalisation of the whole track sees."""
    store = write(tmp_path, [excerpt(0)])
    whole = normalise(torch.from_numpy(store.log_mel[0].astype(np.float32))[None].clone(), FEATURES)[0]
    half = round(FEATURES.norm_window_s * FEATURES.frame_rate_hz / 2)
    one = batches(store)
    start = np.array([FRAMES // 2 - WINDOW // 2])
    assert 2 * half <= start[0] + WINDOW // 2, "all that the middle depends on lies in the excerpt"
    crop = one._mixed(
        np.array([0]), np.array([0]), np.stack([start, start]), np.array([-200.0]), np.random.default_rng(0)
    )
    middle = slice(WINDOW // 2 - 5, WINDOW // 2 + 5)
    expected = whole[:, start[0] : start[0] + WINDOW][:, middle]
    torch.testing.assert_close(crop[0][:, middle], expected, atol=2e-3, rtol=0)


def test_two_pieces_equally_loud_have_half_of_each_genre_and_of_each_output(tmp_path):
    store = write(tmp_path, [excerpt(0), excerpt(1)], outputs=True)
    even = batches(store, replace(OFF, mix_probability=1.0, mix_range_db=0.0), batch_size=32)[0]
    genres = {tuple(row) for row in even["shares"].tolist()}
    assert genres == {(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.5, 0.5, 0.0)}, "some pieces meet themselves"
    both = even["shares"][:, 0] == 0.5
    torch.testing.assert_close(
        even["outputs"]["kind"][both], torch.tensor([[0.5, 0.5, 0.0]]).expand(int(both.sum()), 3)
    )
    torch.testing.assert_close(even["outputs"]["embedding"][both], torch.full((int(both.sum()), 2), 0.5))
    assert (even["tempo"][both] == 0).all(), "of two tempi neither is the truth"


def test_the_power_of_two_pieces_adds_up(tmp_path):
    """Independently derived: of two pieces of equal mean power, band by band, the mean of their powers."""
    store = write(tmp_path, [excerpt(0), excerpt(1)])
    one = batches(store)
    rows, start = np.array([0]), np.array([[200], [200]])
    mixed = one._mixed(rows, np.array([1]), start, np.array([0.0]), np.random.default_rng(0))
    context = one.context
    power = [10 ** (store.log_mel[row][:, 200 - context : 200 + WINDOW + context].astype(float) / 10) for row in (0, 1)]
    power[1] *= power[0].mean() / power[1].mean()
    expected = normalise(torch.from_numpy(10 * np.log10(power[0] + power[1])).float()[None], FEATURES)[0]
    torch.testing.assert_close(mixed[0], expected[:, context : context + WINDOW], atol=0.01, rtol=0)


def test_a_softer_second_piece_leaves_the_tempo_of_the_first(tmp_path):
    store = write(tmp_path, [excerpt(0), excerpt(1)])
    grid = TempoGrid()
    soft = batches(store, replace(OFF, mix_probability=1.0, mix_range_db=0.0))
    soft.augment = replace(soft.augment, mix_range_db=40.0)
    batch = soft[0]
    known = batch["tempo"].sum(1) > 0
    assert known.any() and not known.all()
    best = grid.bpm[batch["tempo"][known].argmax(1)]
    assert np.isin(np.round(best / 101.0, 1), [1.0]).all()


def test_rare_genres_are_drawn_more_often_than_their_share(tmp_path):
    known = [excerpt(n, labels={"rock" if n else "folk": 1.0}) for n in range(12)]
    store = write(tmp_path, known)
    plain, balanced = (WindowBatches([store], LABELS, TempoGrid(), WINDOW, 1, OFF, 0, balance=b) for b in (0.0, 1.0))
    assert plain.weights[0] == pytest.approx(1 / 12)
    assert balanced.weights[0] > 3 * balanced.weights[1], "one of folk beside eleven of rock"
    assert balanced.weights.sum() == pytest.approx(1)


def test_masks_hide_no_more_than_they_may_and_none_hide_nothing():
    config, rng = AugmentConfig(masks=2, mask_bands=8.0, mask_share=0.1), np.random.default_rng(0)
    hidden = masked(torch.ones(16, 80, 200), config, rng) == 0
    assert hidden.any()
    assert (hidden.float().mean((1, 2)) <= 1 - (1 - 16 / 80) * (1 - 0.2)).all()
    assert (masked(torch.ones(2, 80, 200), OFF, rng) == 1).all()


def test_epochs_go_through_the_batches_one_after_the_other_and_processes_share_them(monkeypatch):
    sampler = StepSampler(4)
    assert list(sampler) == [0, 1, 2, 3]
    sampler.set_epoch(2)
    assert list(sampler) == [8, 9, 10, 11]
    taken = []
    for rank in range(2):
        monkeypatch.setattr("fluxbeat.training.data.windows.rank_and_processes", lambda rank=rank: (rank, 2))
        assert len(sampler) == 2
        taken += list(sampler)
    assert sorted(taken) == [8, 9, 10, 11]
