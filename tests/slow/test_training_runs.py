"""Training runs: killed they go on, finished they rest, and neither loading processes nor precision change them."""

from __future__ import annotations

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
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_training import ARCHITECTURES, GENRES, song_store, tiny_recipe
from torch import Tensor, nn

from fluxbeat.errors import FluxBeatError
from fluxbeat.models.checkpoint import load_checkpoint
from fluxbeat.training.data.store import FeatureStore
from fluxbeat.training.data.windows import AugmentConfig
from fluxbeat.training.evaluation.answers import ask
from fluxbeat.training.evaluation.catalogue import tracks
from fluxbeat.training.machine import Machine
from fluxbeat.training.run import HEADS_FILE, new_model, open_stores, train
from fluxbeat.training.tasks.supervised import SupervisedTask

PATIENCE_S = 240
KILLED_AFTER_EPOCHS = 3


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> FeatureStore:
    return song_store(tmp_path_factory.mktemp("store"))


def run(store: FeatureStore, output: Path, recipe=None, **machine: object) -> None:
    train(recipe or tiny_recipe(), [store], output, machine=Machine(**machine))


def learned(output: Path) -> dict[str, Tensor]:
    return load_checkpoint(output)[0].state_dict()


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def curve(output: Path, name: str) -> list[float]:
    """What TensorBoard would draw."""
    events = EventAccumulator(str(output / "logs"))
    events.Reload()
    return [event.value for event in events.Scalars(name)]


@pytest.fixture(scope="module")
def plain(store, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("plain")
    run(store, output)
    return output


def test_a_run_ends_as_a_checkpoint_with_its_genres_and_the_teachers_heads_beside_it(plain):
    model, _ = load_checkpoint(plain)
    assert model.config.labels == GENRES
    heads = load_file(plain / HEADS_FILE)
    assert heads["heads.msd.weight"].shape == (3, 8)
    assert heads["heads.embedding.weight"].shape == (4, 8)
    assert not any("msd" in name for name in model.state_dict()), "teachers are no part of what ships"


@pytest.mark.parametrize("family", list(ARCHITECTURES))
def test_a_run_that_was_cut_off_goes_on_and_ends_the_same(family, store, tmp_path, monkeypatch):
    recipe, seen, step = tiny_recipe(family), [], SupervisedTask.training_step

    def interrupted(self, batch, index):
        seen.append(self.current_epoch)
        if seen == [0, 0, 0, 1, 1]:
            raise ConnectionAbortedError("power cut")
        return step(self, batch, index)

    monkeypatch.setattr(SupervisedTask, "training_step", interrupted)
    with pytest.raises(ConnectionAbortedError):
        run(store, tmp_path / "cut", recipe)
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    run(store, tmp_path / "cut", recipe)
    assert seen == [0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2], "only the epoch that was cut off is done again"
    run(store, tmp_path / "whole", recipe)
    assert same(learned(tmp_path / "cut"), learned(tmp_path / "whole"))
    cut, whole = (load_file(tmp_path / name / HEADS_FILE) for name in ("cut", "whole"))
    assert same(cut, whole)


def command(folder: Path, output: str, epochs: int) -> list[str]:
    settings = ["--data-root", str(folder), "--output", str(folder / output), "--set", f"epochs={epochs}"]
    return [sys.executable, "-m", "fluxbeat", "train", str(folder / "small.yaml"), *settings]


def test_a_killed_run_goes_on_after_its_last_finished_epoch_and_ends_the_same(tmp_path):
    song_store(tmp_path / "songs")
    (tmp_path / "small.yaml").write_text(
        "family: cnn\nlabels: [jazz, metal]\nepoch_steps: 2\nbatch_size: 4\nwindow_s: 4\ndata: {stores: [songs]}\n"
        "features: {n_mels: 16, norm_window_s: 4.0}\naugment: {mask_bands: 4}\n"
        "architecture: {channels: [4, 8], strides: [[2, 2]], hidden: 8, embedding_size: 8}\n"
    )
    epochs, environment = 25, {**os.environ, "OMP_NUM_THREADS": "1"}
    state = tmp_path / "killed" / "state" / "latest.ckpt"
    victim = subprocess.Popen(command(tmp_path, "killed", epochs), env=environment, stderr=subprocess.PIPE, text=True)
    written: set[int] = set()
    deadline = time.monotonic() + PATIENCE_S
    while len(written) < KILLED_AFTER_EPOCHS and time.monotonic() < deadline:
        if state.is_file():
            written.add(state.stat().st_mtime_ns)
        assert victim.poll() is None, "ended before it could be killed"
        time.sleep(0.002)
    victim.send_signal(signal.SIGKILL)
    assert "step 0 of 50" in victim.communicate()[1], "progress without a terminal"
    assert not (tmp_path / "killed" / "model.safetensors").is_file()
    finished = torch.load(state, weights_only=False)["epoch"] + 1
    assert KILLED_AFTER_EPOCHS - 1 <= finished < epochs
    for output in ("killed", "whole"):
        subprocess.run(command(tmp_path, output, epochs), env=environment, check=True, timeout=PATIENCE_S)
    assert same(learned(tmp_path / "killed"), learned(tmp_path / "whole"))


def test_loading_processes_change_nothing_even_where_a_run_goes_on(plain, store, tmp_path, monkeypatch):
    step = SupervisedTask.training_step

    def interrupted(self, batch, index):
        if self.current_epoch == 1:
            raise ConnectionAbortedError("power cut")
        return step(self, batch, index)

    monkeypatch.setattr(SupervisedTask, "training_step", interrupted)
    with pytest.raises(ConnectionAbortedError):
        run(store, tmp_path, workers=1)
    monkeypatch.setattr(SupervisedTask, "training_step", step)
    run(store, tmp_path, workers=1)
    assert same(learned(plain), learned(tmp_path))


def test_the_seed_decides_everything(plain, store, tmp_path):
    torch.manual_seed(77)  # what the caller drew before counts for nothing
    run(store, tmp_path / "again")
    run(store, tmp_path / "other", tiny_recipe(seed=1))
    assert same(learned(plain), learned(tmp_path / "again"))
    assert not same(learned(plain), learned(tmp_path / "other"))


def test_a_finished_run_is_not_done_again_and_is_no_other_run(plain, store, tmp_path, monkeypatch):
    monkeypatch.setattr(SupervisedTask, "training_step", None)
    before = (plain / "model.safetensors").stat().st_mtime_ns
    run(store, plain)
    assert (plain / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(FluxBeatError, match="another run: epochs differ"):
        run(store, plain, tiny_recipe(epochs=4))
    with pytest.raises(FluxBeatError, match="another run: excerpts, rows differ"):
        run(song_store(tmp_path, count=6), plain)


def test_pretraining_with_another_seed_is_another_run(store, tmp_path):
    """What was pretrained with one seed must not pass for what another would have given."""
    from fluxbeat.training.run import pretrain

    pretrain(tiny_recipe(epochs=1), [store], tmp_path / "a")
    with pytest.raises(FluxBeatError, match="seed differ"):
        pretrain(tiny_recipe(epochs=1, seed=1), [store], tmp_path / "a")
    pretrain(tiny_recipe(epochs=1, seed=1), [store], tmp_path / "b")
    assert not same(learned(tmp_path / "a"), learned(tmp_path / "b"))


def test_curves_are_kept_for_tensorboard(plain):
    for name in ("genre", "tempo", "teacher_msd", "teacher_embedding"):
        values = curve(plain, name)
        assert len(values) == 3
        assert min(values) > 0 and np.isfinite(values).all()
    rate = curve(plain, "learning_rate")
    assert max(rate) == pytest.approx(1e-2, rel=0.01) and rate[-1] < 0.1 * max(rate)


def test_a_network_learns_what_is_there_to_learn(store, tmp_path):
    """Of songs it has never seen it names the genre, and speaks the teacher's mind."""
    folder = tmp_path / "more"
    songs = song_store(folder, count=20, dev=8)
    recipe = tiny_recipe(epochs=4, epoch_steps=40, batch_size=8, augment=AugmentConfig(0.3, mask_bands=4.0))
    train(recipe, [songs], tmp_path / "run")
    network = load_checkpoint(tmp_path / "run")[0]
    rows = songs.rows("dev").tolist()
    found = ask({"tiny": network}, tracks(songs, rows))["tiny"]
    answer = [GENRES[place] for place in found.whole(found.genre_logits).argmax(axis=1)]
    truth = [next(iter(songs.excerpts[row].labels)) for row in rows]
    assert np.mean([a == b for a, b in zip(answer, truth, strict=True)]) >= 0.75
    losses = curve(tmp_path / "run", "teacher_msd")
    assert losses[-1] < 0.7 * losses[0]


def test_a_frozen_network_learns_its_kind_and_tempo_heads_only(plain, store, tmp_path):
    frozen = tiny_recipe(frozen=True, start_from=str(plain))
    run(store, tmp_path / "frozen", frozen)
    before, after = learned(plain), learned(tmp_path / "frozen")
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed <= {"kind_head", "tempo_head"}
    assert changed == {"kind_head", "tempo_head"}


def test_two_processes_train_together_and_take_a_batch_each(store, tmp_path):
    recipe = tiny_recipe(epochs=2, epoch_steps=4)
    run(store, tmp_path, recipe, accelerator="cpu", devices=2)
    assert all(torch.isfinite(value).all() for value in learned(tmp_path).values())
    assert len(curve(tmp_path, "learning_rate")) == 2 * (4 // 2)


@pytest.mark.parametrize("family", list(ARCHITECTURES))
def test_half_precision_learns_nearly_the_same(family, store, tmp_path):
    for precision in ("32-true", "bf16-mixed"):
        run(store, tmp_path / precision, tiny_recipe(family, epochs=1), precision=precision)
    for name in ("genre", "tempo"):
        full, half = curve(tmp_path / "32-true", name), curve(tmp_path / "bf16-mixed", name)
        assert half == pytest.approx(full, rel=0.05)
    assert not same(learned(tmp_path / "32-true"), learned(tmp_path / "bf16-mixed"))


def test_a_model_from_a_checkpoint_learns_with_dropout(plain):
    task = SupervisedTask(tiny_recipe(), load_checkpoint(plain)[0])
    assert any(module.training for module in task.model.modules() if isinstance(module, nn.Dropout))


def test_what_cannot_be_trained_is_one_sentence(store, tmp_path):
    with pytest.raises(FluxBeatError, match="devices must be at least 1, got 0"):
        Machine(devices=0)
    with pytest.raises(FluxBeatError, match="precision must be one of 32-true"):
        Machine(precision="8-bit")
    with pytest.raises(FluxBeatError, match="cannot train on this machine"):
        run(store, tmp_path / "telepathy", strategy="telepathy")
    with pytest.raises(FluxBeatError, match="no music to learn from"):
        train(tiny_recipe(), [], tmp_path / "nothing")
    recipe = tiny_recipe()
    recipe = replace(
        recipe, data=replace(recipe.data, stores=(store.folder.name,)), features=replace(recipe.features, n_mels=8)
    )
    with pytest.raises(FluxBeatError, match="other features"):
        open_stores(recipe, store.folder.parent)
    assert new_model(tiny_recipe()).config.labels == GENRES
