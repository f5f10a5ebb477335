"""Training runs: killed they go on, finished they rest, and neither processes nor precision change what is learned."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_training import small_archive  # noqa: F401
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from fluxbeat.errors import FluxBeatError
from fluxbeat.models import load_checkpoint
from fluxbeat.training import sampling
from fluxbeat.training.augment import AugmentConfig
from fluxbeat.training.items import Item
from fluxbeat.training.machine import Machine
from fluxbeat.training.recipe import Recipe
from fluxbeat.training.run import fit
from fluxbeat.training.sampling import EpochBatches
from fluxbeat.training.supervised import SupervisedTask
from fluxbeat.training.validation import split_artists
from fluxbeat.training.whole_file import whole_file

ARCHITECTURES = {
    "cnn": {"channels": (4,), "pools": ((8, 3),), "frame_size": 4, "timbre_size": 4},
    "crnn": {"channels": (4,), "pools": ((8, 3),), "frame_size": 4, "lstm_size": 4, "timbre_size": 4},
    "vit": {"stem_channels": (4,), "stem_pools": ((8, 3),), "width": 8, "depth": 1, "heads": 2, "timbre_size": 4},
}
TINY = Recipe("cnn", ("jazz", "metal"), architecture=ARCHITECTURES["cnn"], epochs=3, batch_size=4)
KILLED_AFTER_EPOCHS = 3
PATIENCE_S = 1200


def song(number: int) -> Item:
    """Even numbers are jazz and dark, odd ones metal and bright; two by each artist."""
    rng = np.random.default_rng(number)
    slope = np.linspace(1, -1, 80)[:, None] * (1 if number % 2 == 0 else -1)
    pulse = np.cos(2 * np.pi * 2 * np.arange(250) / 21)
    log_mel = (slope + pulse + rng.normal(0, 0.5, (80, 250))).astype(np.float32)
    genre = ("jazz", "metal")[number % 2]
    return Item(f"{number}", log_mel, (genre,), 120.0, artist=f"{genre}/{number // 4}")


SONGS = [song(number) for number in range(16)]
RHYTHMS = [replace(song(number), labels=None, source="synthetic") for number in range(20, 23)]


def learned(output: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(output)[0].state_dict()


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def run(output: Path, recipe: Recipe = TINY, **machine: object) -> SupervisedTask:
    torch.manual_seed(recipe.seed)
    return fit(SupervisedTask(recipe), SONGS + RHYTHMS, output, False, Machine(**machine))


def curve(output: Path, name: str) -> list[float]:
    """What TensorBoard would draw."""
    events = EventAccumulator(str(output / "logs"))
    events.Reload()
    return [event.value for event in events.Scalars(name)]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    output = tmp_path_factory.mktemp("plain")
    run(output)
    return output


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def command(folder: Path, output: str, epochs: int) -> list[str]:
    settings = ["--data-root", str(folder), "--output", str(folder / output), "--set", f"epochs={epochs}"]
    return [sys.executable, "-m", "fluxbeat", "train", str(folder / "small.yaml"), *settings]


def test_a_killed_run_goes_on_after_its_last_finished_epoch_and_ends_the_same(small_archive, one_thread):  # noqa: F811
    epochs, environment = 25, {**os.environ, "OMP_NUM_THREADS": "1"}
    state = small_archive / "killed" / "state" / "latest.ckpt"
    victim = subprocess.Popen(command(small_archive, "killed", epochs), env=environment)
    written: set[int] = set()
    deadline = time.monotonic() + PATIENCE_S
    while len(written) < KILLED_AFTER_EPOCHS and time.monotonic() < deadline:
        if state.is_file():
            written.add(state.stat().st_mtime_ns)
        assert victim.poll() is None, "ended before it could be killed"
        time.sleep(0.002)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    assert not (small_archive / "killed" / "model.safetensors").is_file()
    finished = torch.load(state, weights_only=False)["epoch"] + 1
    assert KILLED_AFTER_EPOCHS - 1 <= finished < epochs
    before = set((small_archive / "killed" / "logs").glob("events*"))
    subprocess.run(command(small_archive, "killed", epochs), env=environment, check=True, timeout=PATIENCE_S)
    # in a process of its own too: the number of threads decides the order of sums
    subprocess.run(command(small_archive, "whole", epochs), env=environment, check=True, timeout=PATIENCE_S)
    second = EventAccumulator(str((set((small_archive / "killed" / "logs").glob("events*")) - before).pop()))
    second.Reload()
    heard = [event.value for event in second.Scalars("epoch")]
    assert (min(heard), max(heard)) == (finished, epochs - 1), "only what the kill cut off is done again"
    assert same(learned(small_archive / "killed"), learned(small_archive / "whole"))


def test_a_file_that_was_not_finished_leaves_the_one_before(tmp_path):
    path = tmp_path / "state"
    path.write_text("epoch 3")
    with pytest.raises(ConnectionAbortedError), whole_file(path) as partial:
        partial.write_text("epo")
        raise ConnectionAbortedError("power cut")
    assert path.read_text() == "epoch 3"
    assert list(tmp_path.iterdir()) == [path]


def test_loading_processes_change_nothing_even_where_a_run_goes_on(plain, tmp_path, monkeypatch):
    step = SupervisedTask.training_step

    def interrupted(self, batch, index):
        if self.current_epoch == 1:
            raise ConnectionAbortedError("power cut")
        return step(self, batch, index)

    monkeypatch.setattr(SupervisedTask, "training_step", interrupted)
    with pytest.raises(ConnectionAbortedError):
        run(tmp_path, workers=1)
    monkeypatch.setattr(SupervisedTask, "training_step", step)
    run(tmp_path, workers=1)
    assert same(learned(plain), learned(tmp_path))


def test_the_seed_decides_everything(plain, tmp_path):
    run(tmp_path / "again")
    run(tmp_path / "other", replace(TINY, seed=1))
    assert same(learned(plain), learned(tmp_path / "again"))
    assert not same(learned(plain), learned(tmp_path / "other"))


def test_a_finished_run_is_not_done_again_and_is_no_other_run(plain, monkeypatch):
    monkeypatch.setattr(SupervisedTask, "training_step", None)
    before = (plain / "model.safetensors").stat().st_mtime_ns
    assert same(learned(plain), run(plain).averaged.state_dict())
    assert (plain / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(FluxBeatError, match="another run: epochs differ"):
        run(plain, replace(TINY, epochs=4))
    with pytest.raises(FluxBeatError, match="items_sha256"):
        fit(SupervisedTask(TINY), SONGS, plain, False)


def test_curves_are_kept_for_tensorboard(plain):
    for name in ("timbre_loss", "texture_loss", "tempo_loss"):
        values = curve(plain, name)
        assert len(values) == TINY.epochs
        assert np.isfinite(values).all()
        assert min(values) > 0
    rate = curve(plain, "learning_rate")
    assert len(rate) == TINY.epochs * len(SONGS) // TINY.batch_size
    assert rate[0] < max(rate) == pytest.approx(TINY.learning_rate, rel=0.1)
    assert rate[-1] < 0.1 * max(rate)


def test_two_processes_learn_what_one_does_from_the_same_batches(tmp_path):
    # what is drawn within a process differs by process: statistics, dropout, masks and blends are off
    recipe = replace(TINY, freeze_norm=True, augment=AugmentConfig(mask=0.0, blend=0.0), epochs=2)
    # unevenly known: the second process's share of a batch may know less than the first one's
    songs = [replace(item, labels=item.labels if n % 3 else None) for n, item in enumerate(SONGS)]
    losses = {}
    for processes in (1, 2):
        torch.manual_seed(0)
        task = SupervisedTask(recipe)
        for module in task.modules():
            if isinstance(module, _DropoutNd):
                module.p = 0.0
        fit(task, songs + RHYTHMS, tmp_path / f"{processes}", False, Machine("cpu", devices=processes))
        names = ("timbre_loss", "texture_loss", "tempo_loss")
        losses[processes] = np.array([curve(tmp_path / f"{processes}", name) for name in names])
    assert losses[1][0, 0] != losses[1][0, 1], "nothing was learned between the epochs"
    np.testing.assert_allclose(losses[2], losses[1], atol=1e-5, rtol=1e-5)
    for name, value in learned(tmp_path / "1").items():
        torch.testing.assert_close(learned(tmp_path / "2")[name], value, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_half_precision_learns_nearly_the_same(family, tmp_path):
    recipe = replace(TINY, family=family, architecture=ARCHITECTURES[family], epochs=1)
    for precision in ("32-true", "bf16-mixed"):
        run(tmp_path / precision, recipe, precision=precision)
    for name in ("timbre_loss", "texture_loss", "tempo_loss"):
        full, half = curve(tmp_path / "32-true", name), curve(tmp_path / "bf16-mixed", name)
        assert half == pytest.approx(full, rel=0.03)
    assert not same(learned(tmp_path / "32-true"), learned(tmp_path / "bf16-mixed"))


def test_a_run_that_learns_nothing_is_stopped(tmp_path):
    recipe = replace(TINY, epochs=20, learning_rate=0.0, freeze_norm=True, validation_share=0.3, patience_epochs=2)
    run(tmp_path, recipe)
    assert len(curve(tmp_path, "validation_loss")) == 1 + recipe.patience_epochs


def test_the_best_epoch_is_shipped_not_the_last(tmp_path, monkeypatch):
    recipe = replace(TINY, epochs=12, learning_rate=0.02, ema_decay=0.5, validation_share=0.3, patience_epochs=3)
    _, asked = split_artists(SONGS, recipe.validation_share, recipe.seed)
    ids = {item.item_id for item in asked}
    # the artists that are asked sound the other way round: the more is learned, the worse it fits them
    songs = [replace(item, log_mel=-item.log_mel) if item.item_id in ids else item for item in SONGS]
    epochs, judged = [], SupervisedTask.on_validation_epoch_end

    def recorded(self):
        epochs.append({name: value.clone() for name, value in self.average.module.state_dict().items()})
        judged(self)

    monkeypatch.setattr(SupervisedTask, "on_validation_epoch_end", recorded)
    fit(SupervisedTask(recipe), songs, tmp_path, False)
    losses = curve(tmp_path, "validation_loss")
    assert len(losses) == len(epochs) < recipe.epochs
    best = int(np.argmin(losses))
    assert len(losses) - 1 - best == recipe.patience_epochs
    assert same(learned(tmp_path), epochs[best])
    assert not same(learned(tmp_path), epochs[-1])
    assert all(0 <= value <= 1 for value in curve(tmp_path, "validation_average_precision"))


def test_validation_shares_no_artist_with_training_and_asks_about_every_genre():
    recording = replace(SONGS[0], source="picture", item_id="0 as picture")
    mute = [replace(SONGS[n], labels=None, tempo_bpm=None, artist=f"unknown {n}") for n in range(4)]
    training, asked = split_artists([*SONGS, recording, *mute], 0.3, seed=0)
    assert not {item.artist for item in training} & {item.artist for item in asked}
    assert {item.labels for item in asked} == {("jazz",), ("metal",)} < {item.labels for item in training}
    assert len(training) + len(asked) == len(SONGS) + 1 + len(mute)
    again = split_artists([*mute, recording, *reversed(SONGS)], 0.3, seed=0)[1]
    assert {item.item_id for item in again} == {item.item_id for item in asked}
    with pytest.raises(FluxBeatError, match="two artists"):
        split_artists(SONGS[:2], 0.3, seed=0)
    with pytest.raises(FluxBeatError, match="patience_epochs needs"):
        replace(TINY, patience_epochs=3)


def test_an_epoch_draws_every_item_once_in_another_order(monkeypatch):
    batches = EpochBatches(12, 4, (0,))
    first = list(batches)
    assert sorted(draw.item for batch in first for draw in batch) == list(range(12))
    assert list(batches) == first
    batches.epoch = 1
    second = list(batches)
    assert [draw.item for batch in second for draw in batch] != [draw.item for batch in first for draw in batch]
    assert not {draw.entropy for batch in first for draw in batch} & {draw.entropy for b in second for draw in b}
    shares = []
    for rank in range(3):
        monkeypatch.setattr(sampling, "rank_and_processes", lambda rank=rank: (rank, 3))
        shares.append(list(batches))
    for batch, parts in zip(second, zip(*shares, strict=True), strict=True):
        assert sorted(draw for part in parts for draw in part) == sorted(batch)


def test_a_model_from_a_checkpoint_learns_with_dropout_and_its_statistics_may_stay(plain, tmp_path):
    model = load_checkpoint(plain)[0]
    assert all(module.training for module in SupervisedTask(TINY, model).modules())
    frozen = SupervisedTask(replace(TINY, freeze_norm=True), load_checkpoint(plain)[0])
    before = {name: value.clone() for name, value in frozen.model.named_buffers()}
    assert any(module.training for module in frozen.model.modules() if isinstance(module, nn.Dropout))
    assert not any(module.training for module in frozen.model.modules() if isinstance(module, _BatchNorm))
    fit(frozen, SONGS, tmp_path, False)
    assert same(before, dict(frozen.model.named_buffers()))


def test_machines_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(FluxBeatError, match="devices must be at least 1, got 0"):
        Machine(devices=0)
    with pytest.raises(FluxBeatError, match="precision must be one of 32-true"):
        Machine(precision="8-bit")
    with pytest.raises(FluxBeatError, match="multiple of 3"):
        run(tmp_path, devices=3)
    with pytest.raises(FluxBeatError, match="cannot train on this machine"):
        run(tmp_path, strategy="telepathy")
    with pytest.raises(FluxBeatError, match="no music"):
        fit(SupervisedTask(TINY), RHYTHMS, tmp_path / "drawn only", False)
