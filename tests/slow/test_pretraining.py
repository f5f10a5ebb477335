"""SimCLR and its probe: views show the same music, a run resumes, and few labels are counted right."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_training import ARCHITECTURES, FEATURES, GENRES, music, song_store, tiny_recipe
from torch.optim.swa_utils import update_bn

from fluxbeat.cli.main import main
from fluxbeat.errors import ConfigMismatchError, FluxBeatError
from fluxbeat.features.log_mel import normalise
from fluxbeat.models.checkpoint import load_checkpoint
from fluxbeat.models.tempo import TempoGrid
from fluxbeat.training.data.store import Excerpt, FeatureStore, StoreWriter
from fluxbeat.training.data.windows import AugmentConfig
from fluxbeat.training.probe import cepstra, draw_labels, probe
from fluxbeat.training.recipe import read_recipe
from fluxbeat.training.run import new_model, pretrain
from fluxbeat.training.tasks.simclr import SimclrConfig, SimclrTask, ViewBatches, nt_xent

OFF = AugmentConfig(mix_probability=0.0, eq_db=0.0, low_pass_probability=0.0, shift_bands=0, masks=0)
WINDOW = 96


@pytest.fixture(scope="module")
def songs(tmp_path_factory) -> FeatureStore:
    return song_store(tmp_path_factory.mktemp("songs"), count=12)


def views(store: FeatureStore, batch_size: int, **config: float) -> ViewBatches:
    return ViewBatches([store], GENRES, TempoGrid(), WINDOW, batch_size, OFF, 0, config=SimclrConfig(**config))


def place_in(window: torch.Tensor, store: FeatureStore) -> tuple[int, int]:
    """Which row a window was cut from, and its first frame."""
    best = (np.inf, 0, 0)
    for row in range(len(store)):
        whole = normalise(torch.from_numpy(store.log_mel[row].astype(np.float32))[None].clone(), FEATURES)[0]
        parts = whole.unfold(1, WINDOW, 1).permute(1, 0, 2)
        away = (parts[:, :, 40:56] - window[None, :, 40:56]).square().mean((1, 2))
        best = min(best, (float(away.min()), row, int(away.argmin())))
    return best[1:]


def test_two_views_are_of_one_recording_near_each_other_and_not_the_same(songs):
    batch = views(songs, 8, max_distance_s=4.0)[0]
    rows = []
    for first, second in zip(batch["first"], batch["second"], strict=True):
        (row, start), (other, later) = place_in(first, songs), place_in(second, songs)
        assert row == other
        assert abs(start - later) <= 4.0 * FEATURES.frame_rate_hz
        rows.append(row)
    assert len(set(rows)) == 8, "no stranger in a batch is the same recording"
    assert not torch.equal(batch["first"], batch["second"])


def test_excerpts_of_one_recording_are_never_strangers(tmp_path):
    writer = StoreWriter(tmp_path, FEATURES, 6)
    for number in range(6):
        writer.add(Excerpt(f"song {number // 2}", "x"), music(number, 0))
    store = writer.close()
    with pytest.raises(FluxBeatError, match="got 3 recordings for batches of 4"):
        views(store, 4)
    with pytest.raises(FluxBeatError, match="2 or more"):
        views(store, 1)


@pytest.mark.parametrize("family", list(ARCHITECTURES))
def test_every_family_learns_to_tell_songs_apart_and_ends_as_a_checkpoint(family, songs, tmp_path, monkeypatch):
    course = []
    monkeypatch.setattr(SimclrTask, "log_dict", lambda self, values, **_: course.append(values["contrastive"].item()))
    recipe = tiny_recipe(family, epochs=3, epoch_steps=10, batch_size=8, learning_rate=5e-3, augment=OFF)
    pretrain(recipe, [songs], tmp_path / "run")
    assert len(course) == 30
    assert np.mean(course[-5:]) < np.mean(course[:3]) - 0.2, course
    model, _ = load_checkpoint(tmp_path / "run")
    assert "not for use" in model.config.metrics[0]["split"]
    assert not model.config.tempo_taught and not model.config.kind_taught


def test_pretraining_that_was_cut_off_goes_on_and_ends_the_same(songs, tmp_path, monkeypatch):
    recipe, seen, step = tiny_recipe("vit", epochs=4, epoch_steps=1, batch_size=6), [], SimclrTask.training_step

    def interrupted(self, batch, index):
        seen.append(self.current_epoch)
        if seen == [0, 1, 2]:
            raise ConnectionAbortedError("power cut")
        return step(self, batch, index)

    monkeypatch.setattr(SimclrTask, "training_step", interrupted)
    with pytest.raises(ConnectionAbortedError):
        pretrain(recipe, [songs], tmp_path / "cut")
    pretrain(recipe, [songs], tmp_path / "cut")
    assert seen == [0, 1, 2, 2, 3], "only the epoch that was cut off is done again"
    pretrain(recipe, [songs], tmp_path / "whole")
    cut, whole = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("cut", "whole"))
    assert cut == whole


def one_of_two_processes(rank, rendezvous, first, second, answers):
    torch.distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    mine = slice(4 * rank, 4 * rank + 4)
    a, b = first[mine].clone().requires_grad_(), second[mine].clone().requires_grad_()
    loss = nt_xent(a, b, 0.2)
    loss.backward()
    torch.save((loss.detach(), a.grad, b.grad), f"{answers}-{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_learn_what_one_learns_from_both_batches(tmp_path):
    generator = torch.Generator().manual_seed(3)
    first, second = torch.randn(8, 6, generator=generator), torch.randn(8, 6, generator=generator)
    torch.multiprocessing.spawn(one_of_two_processes, (str(tmp_path / "meet"), first, second, tmp_path / "losses"), 2)
    losses, first_grads, second_grads = zip(
        *(torch.load(tmp_path / f"losses-{rank}.pt") for rank in range(2)), strict=True
    )
    first.requires_grad_(), second.requires_grad_()
    whole = nt_xent(first, second, 0.2)
    whole.backward()
    torch.testing.assert_close(torch.stack(losses).mean(), whole.detach())
    # Lightning averages gradients over the processes
    torch.testing.assert_close(torch.cat(first_grads) / 2, first.grad)
    torch.testing.assert_close(torch.cat(second_grads) / 2, second.grad)


def test_the_published_recipe_can_be_read_and_mistakes_are_named(request):
    path = request.config.rootpath / "recipes" / "simclr-cnn.yaml"
    assert read_recipe(path, ["simclr.temperature=0.5"]).simclr.temperature == 0.5
    with pytest.raises(FluxBeatError, match="simclr.temperature must be above 0"):
        read_recipe(path, ["simclr.temperature=0"])
    with pytest.raises(FluxBeatError, match="wings"):
        read_recipe(path, ["simclr.wings=2"])


def test_no_more_labels_are_drawn_than_claimed_and_no_genre_is_left_out():
    labels = [f"genre {number % 10}" for number in range(315)]
    for share, expected in ((0.01, 10), (0.1, 32), (1.0, 315)):
        drawn = draw_labels(labels, share, seed=4)
        assert len(drawn) == len(set(drawn)) == expected
        assert {labels[row] for row in drawn} == set(labels)
        np.testing.assert_array_equal(drawn, draw_labels(labels, share, seed=4))
    assert set(draw_labels(labels, 0.01, 4)) < set(draw_labels(labels, 0.1, 4))
    assert set(draw_labels(labels, 0.1, 4)) != set(draw_labels(labels, 0.1, 5))
    with pytest.raises(FluxBeatError, match="above 0"):
        draw_labels(labels, 0.0, 0)


def test_cepstra_are_cosine_sums_over_the_bands():
    log_mel = np.random.default_rng(1).standard_normal((80, 50))
    at = np.pi * (np.arange(80) + 0.5) / 80
    sums = np.array([np.cos(order * at) @ log_mel for order in range(20)]) * np.sqrt(2 / 80)
    sums[0] /= np.sqrt(2)
    np.testing.assert_allclose(cepstra(log_mel), [*sums.mean(axis=1), *sums.std(axis=1)], atol=1e-9)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> FeatureStore:
    return song_store(tmp_path_factory.mktemp("clips"), count=32, dev=16)


@pytest.fixture(scope="module")
def settled(clips):
    """A model whose batch norms know how loud things are, as after training."""
    torch.manual_seed(0)
    model = new_model(tiny_recipe())
    log_mel = torch.from_numpy(clips.log_mel[:].astype(np.float32))
    update_bn([normalise(log_mel, FEATURES)[:, :, :WINDOW]], model)
    return model.eval()


def test_probes_find_what_is_there_and_say_how_many_labels_they_saw(clips, settled):
    scores = probe({"mine": settled}, clips, "dev", 2, (0.01, 1.0))
    found = {(score.start, score.probe, score.share): score for score in scores}
    kinds = [("MFCC", "SVM"), ("random cnn", "linear"), ("mine", "linear")]
    assert list(found) == [(*kind, share) for kind in kinds for share in (0.01, 1.0)]
    for score in scores:
        assert (score.labelled, score.tested, len(score.accuracy)) == (2 if score.share == 0.01 else 16, 16, 2)
    for kind in kinds:
        assert found[*kind, 1.0].mean > 0.7, f"{kind}: chance is 0.5"
    repeated = found["mine", "linear", 1.0].accuracy
    assert repeated[0] == repeated[1], "all labels and a frozen model: nothing is left to chance"


def test_probes_learn_nothing_from_labels_that_mean_nothing(clips, settled):
    rng = np.random.default_rng(5)
    shuffled = FeatureStore(clips.folder)
    shuffled.excerpts = [replace(one, labels={GENRES[rng.integers(2)]: 1.0}) for one in shuffled.excerpts]
    scores = probe({"mine": settled}, shuffled, "dev", 1, (1.0,))
    assert all(0.15 < score.mean < 0.85 for score in scores)


def test_stores_that_cannot_be_probed_are_refused(clips, settled):
    one_sided = FeatureStore(clips.folder)
    one_sided.excerpts = [
        replace(one, labels={"jazz": 1.0} if one.split == "dev" else one.labels) for one in clips.excerpts
    ]
    with pytest.raises(FluxBeatError, match="at least two genres"):
        probe({"mine": settled}, one_sided)
    with pytest.raises(FluxBeatError, match="at least one seed"):
        probe({"mine": settled}, clips, seeds=0)
    other = FeatureStore(clips.folder)
    other.features = replace(FEATURES, n_mels=20)
    with pytest.raises(ConfigMismatchError, match="mine takes other features"):
        probe({"mine": settled}, other)


def test_from_the_command_line_music_without_labels_becomes_a_probed_checkpoint(clips, tmp_path, capsys):
    recipe = tmp_path / "pretraining.yaml"
    recipe.write_text(
        "family: cnn\nlabels: [jazz, metal]\nepochs: 2\nepoch_steps: 2\nbatch_size: 4\nwindow_s: 4\n"
        "features: {n_mels: 16, norm_window_s: 4.0}\naugment: {mask_bands: 4}\nsimclr: {projection_size: 8}\n"
        "architecture: {channels: [4, 8], strides: [[2, 2]], hidden: 8, embedding_size: 8}\n"
        f"data: {{stores: [{clips.folder.name}]}}\n"
    )
    run = str(tmp_path / "run")
    assert main(["pretrain", str(recipe), "--data-root", str(clips.folder.parent), "--output", run]) == 0
    assert f"fluxbeat train --data FOLDER --full --from {run}" in capsys.readouterr().out, (
        "the last line says what to type next"
    )
    asked = ["probe", run, "--store", str(clips.folder), "--seeds", "1"]
    assert main([*asked, "--shares", "0.01", "1.0", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert [(score["start"], score["probe"], score["labelled"]) for score in scores] == [
        (start, kind, labelled)
        for start, kind in (("MFCC", "SVM"), ("random cnn", "linear"), (run, "linear"))
        for labelled in (2, 16)
    ]
    assert main([*asked, "--shares", "0.01"]) == 0
    table = capsys.readouterr().out
    assert "2 excerpts" in table
    assert "16 test excerpts" in table
