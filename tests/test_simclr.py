"""SimCLR: the loss is the paper's, views show the same music, a run resumes, and the probe counts labels right."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from torch.optim.swa_utils import update_bn

from fluxbeat.cli import main
from fluxbeat.errors import FluxBeatError
from fluxbeat.models import load_checkpoint
from fluxbeat.training.augment import AugmentConfig
from fluxbeat.training.items import Item
from fluxbeat.training.machine import Machine
from fluxbeat.training.probe import Start, cepstra, draw_labels, probe
from fluxbeat.training.recipe import Recipe, read_recipe
from fluxbeat.training.simclr import SimclrTask, nt_xent, pretrain, recognised
from fluxbeat.training.supervised import new_model
from fluxbeat.training.views import SimclrConfig, ViewDataset

RATE_HZ = 21.0
OFF = AugmentConfig(**dict.fromkeys(AugmentConfig.__dataclass_fields__, 0.0))
STACK = {"channels": (4, 8), "pools": ((4, 3), (4, 1)), "frame_size": 16, "timbre_size": 16, "head_dropout": 0.0}
STEM = {"stem_channels": (4, 8), "stem_pools": ((4, 3), (4, 1)), "timbre_size": 16, "head_dropout": 0.0}
TINY = {
    "cnn": {**STACK, "dropout": 0.0},
    "crnn": {**STACK, "dropout": 0.0, "lstm_size": 8},
    "vit": {**STEM, "dropout": 0.0, "width": 16, "depth": 1, "heads": 2},
}


def by_the_paper(first: np.ndarray, second: np.ndarray, temperature: float) -> float:
    """Algorithm 1 of Chen et al. 2020, pair by pair."""
    n = len(first)
    z = [view for pair in zip(first, second, strict=True) for view in pair]  # z[2k - 1], z[2k] there
    s = [[float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))) for b in z] for a in z]

    def pair_loss(i: int, j: int) -> float:
        others = sum(math.exp(s[i][k] / temperature) for k in range(2 * n) if k != i)
        return -math.log(math.exp(s[i][j] / temperature) / others)

    return sum(pair_loss(2 * k, 2 * k + 1) + pair_loss(2 * k + 1, 2 * k) for k in range(n)) / (2 * n)


@pytest.fixture
def views():
    rng = np.random.default_rng(0)
    return rng.standard_normal((7, 5)), rng.standard_normal((7, 5))


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_the_loss_is_the_papers(views, temperature):
    first, second = views
    found = nt_xent(torch.from_numpy(first), torch.from_numpy(second), temperature)
    assert found.item() == pytest.approx(by_the_paper(first, second, temperature), rel=1e-5)


def test_the_loss_does_not_ask_which_view_is_first_nor_how_long_it_is(views):
    first, second = map(torch.from_numpy, views)
    one = nt_xent(first, second, 0.2)
    torch.testing.assert_close(nt_xent(second, first, 0.2), one)
    lengths = torch.linspace(0.1, 50, 7)[:, None]
    torch.testing.assert_close(nt_xent(first * lengths, second * 3, 0.2), one)


@pytest.mark.parametrize("n", [2, 16])
def test_views_that_all_look_the_same_cost_the_logarithm_of_the_others(n):
    same = torch.ones(n, 3)
    assert nt_xent(same, same, 0.1).item() == pytest.approx(math.log(2 * n - 1), rel=1e-5)


def test_the_loss_is_lower_where_views_of_the_same_music_agree(views):
    first, second = map(torch.from_numpy, views)
    agreeing = [nt_xent(first, first + noise * second, 0.2).item() for noise in (0.0, 0.3, 1.0, 3.0)]
    assert agreeing == sorted(agreeing)
    assert agreeing[0] < nt_xent(first, first.roll(1, 0), 0.2).item()
    assert recognised(first, first) == 1
    assert recognised(first, first.roll(1, 0)) == 0


def test_what_cannot_be_compared_is_refused(views):
    first, second = map(torch.from_numpy, views)
    with pytest.raises(FluxBeatError, match="same shape"):
        nt_xent(first, second[:3], 0.2)
    with pytest.raises(FluxBeatError, match="temperature must be above 0"):
        nt_xent(first, second, 0.0)


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
    torch.multiprocessing.spawn(one_of_two_processes, (str(tmp_path / "meet"), first, second, tmp_path / "said"), 2)
    losses, first_grads, second_grads = zip(
        *(torch.load(tmp_path / f"said-{rank}.pt") for rank in range(2)), strict=True
    )
    first.requires_grad_(), second.requires_grad_()
    whole = nt_xent(first, second, 0.2)
    whole.backward()
    torch.testing.assert_close(torch.stack(losses).mean(), whole.detach())
    # Lightning averages gradients over the processes
    torch.testing.assert_close(torch.cat(first_grads) / 2, first.grad)
    torch.testing.assert_close(torch.cat(second_grads) / 2, second.grad)


def clock(frames: int = 1000) -> np.ndarray:
    """A spectrogram that says in every band what time it is, in frames."""
    return np.tile(np.arange(frames, dtype=np.float32), (80, 1))


def test_two_views_are_near_each_other_and_not_the_same():
    item = Item("clock", clock(), None, None)
    dataset = ViewDataset([item], OFF, SimclrConfig(max_distance_s=4.0), 168, RATE_HZ)
    torch.manual_seed(0)
    starts = np.array([[view[0, 0].item() for view in dataset[0]] for _ in range(200)])
    apart_s = np.abs(starts[:, 0] - starts[:, 1]) / RATE_HZ
    assert apart_s.max() <= 4.0
    assert apart_s.max() > 3.0
    assert np.ptp(starts[:, 0]) > 600, "excerpts come from the whole track"


def test_a_recording_meets_its_picture_half_of_the_time_and_at_the_same_moment():
    item = Item("clock", clock(), None, None, picture=clock() + 5000)
    dataset = ViewDataset([item], OFF, SimclrConfig(max_distance_s=4.0), 168, RATE_HZ)
    torch.manual_seed(0)
    starts = np.array([[view[0, 0].item() for view in dataset[0]] for _ in range(200)])
    as_picture = starts[:, 1] >= 5000
    assert (starts[:, 0] < 1000).all()
    assert 0.4 < as_picture.mean() < 0.6
    assert (np.abs(starts[:, 1] % 5000 - starts[:, 0]) <= 4.0 * RATE_HZ).all()


def test_music_shorter_than_a_view_is_repeated():
    dataset = ViewDataset([Item("short", clock(60), None, None)], OFF, SimclrConfig(), 168, RATE_HZ)
    first, second = dataset[0]
    assert first.shape == second.shape == (80, 168)
    assert first.max() <= 59


def track(number: int, genre: int = 0, frames: int = 400) -> np.ndarray:
    """Music like no other: own resonances, own rhythm; the genres are dark and clear, bright and noisy."""
    rng = np.random.default_rng(number)
    bands = np.arange(80)[:, None]
    shape = sum(np.exp(-0.5 * ((bands - centre) / 4) ** 2) for centre in rng.uniform(0, 80, 3))
    beat = np.cos(2 * np.pi * rng.uniform(1, 3) * np.arange(frames) / RATE_HZ + rng.uniform(0, 6))
    slope = 4 * (genre - 0.5) * (bands - 40) / 40
    wave = 1.5 * shape * (1 + 0.5 * beat) + slope + (0.3 + 0.6 * genre) * rng.standard_normal((80, frames))
    return ((wave - wave.mean()) / wave.std()).astype(np.float16)


def tiny(family: str, **changes: object) -> Recipe:
    settings = {"epochs": 8, "batch_size": 12, "learning_rate": 1e-2, "architecture": TINY[family], "window_s": 4.0}
    return Recipe(family, ("jazz", "metal"), **{**settings, **changes})


@pytest.fixture(scope="module")
def tracks():
    return [Item(f"track {number}", track(number), None, None) for number in range(12)]


@pytest.mark.parametrize("family", list(TINY))
def test_every_family_learns_to_recognise_tracks_and_ends_as_a_checkpoint(family, tracks, tmp_path, monkeypatch):
    course = {"timbre_loss": [], "texture_loss": []}
    monkeypatch.setattr(
        SimclrTask, "log_dict", lambda self, values, **_: [course[name].append(values[name].item()) for name in course]
    )
    recipe = tiny(family, epochs=15, learning_rate=4e-3 if family == "vit" else 1e-2)
    assert pretrain(recipe, tracks, tmp_path / "run", progress=False) == tmp_path / "run"
    for name, losses in course.items():
        assert len(losses) == 15
        assert np.mean(losses[-3:]) < np.mean(losses[:2]) - 0.2, (name, losses)
    model, _ = load_checkpoint(tmp_path / "run")
    assert model.config.family == family
    assert "not for use" in model.config.metrics[0]["split"]
    assert not model.config.tempo_taught


def test_pretraining_that_was_cut_off_goes_on_and_ends_the_same(tracks, tmp_path, monkeypatch):
    seen, step = [], SimclrTask.training_step

    def interrupted(self, batch, index):
        seen.append(self.current_epoch)
        if seen == [0, 1, 2, 3]:
            raise ConnectionAbortedError("power cut")
        return step(self, batch, index)

    monkeypatch.setattr(SimclrTask, "training_step", interrupted)
    with pytest.raises(ConnectionAbortedError):
        pretrain(tiny("cnn", epochs=5), tracks, tmp_path / "cut", progress=False)
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    pretrain(tiny("cnn", epochs=5), tracks, tmp_path / "cut", progress=False)
    assert seen == [0, 1, 2, 3, 3, 4], "only the epoch that was cut off is done again"
    pretrain(tiny("cnn", epochs=5), tracks, tmp_path / "whole", progress=False)
    cut, whole = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("cut", "whole"))
    assert cut == whole


def test_two_processes_can_pretrain_together(tracks, tmp_path):
    pretrain(tiny("cnn", epochs=1), tracks, tmp_path, progress=False, machine=Machine("cpu", devices=2))
    model, _ = load_checkpoint(tmp_path)
    assert all(torch.isfinite(value).all() for value in model.parameters())
    with pytest.raises(FluxBeatError, match="evenly"):
        pretrain(tiny("cnn"), tracks, tmp_path, progress=False, machine=Machine("cpu", devices=5))


def test_one_piece_of_music_cannot_be_told_apart(tracks, tmp_path):
    with pytest.raises(FluxBeatError, match="at least 2"):
        pretrain(tiny("cnn"), tracks[:1], tmp_path, progress=False)
    with pytest.raises(FluxBeatError, match="at least 2"):
        pretrain(tiny("cnn", batch_size=1), tracks, tmp_path, progress=False)


def test_published_recipes_can_be_read_and_mistakes_are_named(tmp_path, request):
    for family in TINY:
        recipe = read_recipe(request.config.rootpath / "recipes" / f"simclr-{family}.yaml")
        assert recipe.family == family
        assert not recipe.data.gtzan_archive, "what the probe is tested on must not be pretrained on"
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
    log_mel = track(1).astype(np.float64)
    at = np.pi * (np.arange(80) + 0.5) / 80
    sums = np.array([np.cos(order * at) @ log_mel for order in range(20)]) * np.sqrt(2 / 80)
    sums[0] /= np.sqrt(2)
    np.testing.assert_allclose(cepstra(log_mel), [*sums.mean(axis=1), *sums.std(axis=1)], atol=1e-9)


@pytest.fixture(scope="module")
def clips():
    genres = ("jazz", "metal")
    return [
        Item(f"clip {n}", track(n, genre=n % 2, frames=180), (genres[n % 2],), None, fold=1 + n // 20)
        for n in range(40)
    ]


def test_probes_hear_what_is_there_and_say_how_many_labels_they_saw(clips):
    torch.manual_seed(0)
    model = new_model(tiny("cnn"))
    # as after training: its batch norms know how loud things are
    update_bn([torch.from_numpy(np.stack([clip.log_mel[:, :84] for clip in clips]).astype(np.float32))], model)
    scores = probe({"mine": model}, lambda features: clips, 2, (0.01, 1.0), finetune_epochs=0)
    found = {(score.start, score.probe, score.share): score for score in scores}
    kinds = [("MFCC", "SVM"), ("random cnn", "linear"), ("mine", "linear")]
    assert list(found) == [(*kind, share) for kind in kinds for share in (0.01, 1.0)]
    for score in scores:
        assert score.labelled == ((2, 2) if score.share == 0.01 else (20, 20))
        assert score.tested == 40
        assert len(score.accuracy) == 2
    for kind in kinds:
        assert found[*kind, 1.0].mean > 0.7, f"{kind}: chance is 0.5"
    repeated = found["mine", "linear", 1.0].accuracy
    assert repeated[0] == repeated[1], "all labels and a frozen model: nothing is left to chance"


def test_fine_tuning_hears_what_is_there(clips):
    torch.manual_seed(0)
    model = new_model(tiny("cnn"))
    scores = probe({"mine": model}, lambda features: clips, 1, (1.0,), finetune_epochs=12)
    tuned = {score.start: score.mean for score in scores if score.probe == "fine-tuned"}
    assert list(tuned) == ["random cnn", "mine"]
    assert min(tuned.values()) > 0.65, f"{tuned}: chance is 0.5"


def test_probes_learn_nothing_from_labels_that_mean_nothing(clips):
    rng = np.random.default_rng(5)
    shuffled = [replace(clip, labels=(("jazz", "metal")[rng.integers(2)],)) for clip in clips]
    torch.manual_seed(0)
    scores = probe({"mine": new_model(tiny("cnn"))}, lambda features: shuffled, 1, (1.0,), finetune_epochs=0)
    assert all(0.25 < score.mean < 0.75 for score in scores)


def test_folds_with_different_genres_cannot_be_probed(clips):
    one_sided = [clip for clip in clips if clip.fold == 1 or clip.labels == ("jazz",)]
    with pytest.raises(FluxBeatError, match="same genres"):
        probe({"mine": new_model(tiny("cnn"))}, lambda features: one_sided)


def test_a_new_head_leaves_what_was_learned_alone():
    model = new_model(tiny("cnn"))
    started = Start("mine", model).weights(("blues", "pop", "rock"), seed=1)
    before, after = model.state_dict(), started.state_dict()
    assert started.config.labels == ("blues", "pop", "rock")
    assert after["genre_head.weight"].shape[0] == 3
    for name in before:
        if not name.startswith("genre_head"):
            torch.testing.assert_close(after[name], before[name])
    random = Start("mine", model, is_random=True).weights(("blues", "pop", "rock"), seed=1)
    assert not torch.equal(random.state_dict()["stack.layers.0.weight"], before["stack.layers.0.weight"])


@pytest.fixture
def small_archive(tmp_path):
    rng = np.random.default_rng(1)
    rows = [(f"{genre}.{n:05d}", genre, "", n, 1 + n % 2) for genre in ("jazz", "metal") for n in range(6)]
    levels = {"jazz": np.linspace(90, 165, 129), "metal": np.linspace(170, 85, 129)}
    pictures = [levels[row[1]][:, None] + rng.integers(0, 60, (129, 200)) for row in rows]
    np.savez(
        tmp_path / "small.npz", clip_id=np.array([row[0] for row in rows]), spectrogram=np.array(pictures, np.uint8)
    )
    with open(tmp_path / "small.csv", "w", newline="") as handle:
        csv.writer(handle).writerows([("clip_id", "genre", "bpm", "artist_group", "fold"), *rows])
    return tmp_path


def test_from_the_command_line_music_without_labels_becomes_a_probed_checkpoint(small_archive, capsys):
    rng = np.random.default_rng(2)
    for name in "abcd":
        noise = rng.standard_normal(6 * 22_050) * 0.1
        soundfile.write(small_archive / f"{name}.wav", np.convolve(noise, rng.standard_normal(8)), 22_050)
    (small_archive / "music.csv").write_text("path\n" + "".join(f"{name}.wav\n" for name in "abcd"))
    recipe = small_archive / "pretraining.yaml"
    recipe.write_text(
        "family: cnn\nlabels: [jazz, metal]\nepochs: 2\nbatch_size: 4\nwindow_s: 4\n"
        "architecture: {channels: [4, 8], pools: [[4, 3], [4, 1]], frame_size: 8, timbre_size: 8}\n"
        "data: {recordings: music.csv}\nsimclr: {projection_size: 8}\n"
    )
    run = str(small_archive / "run")
    assert main(["pretrain", str(recipe), "--data-root", str(small_archive), "--output", run]) == 0
    asked = ["probe", run, "--gtzan-archive", str(small_archive / "small"), "--seeds", "1", "--no-finetune"]
    assert main([*asked, "--shares", "0.01", "1.0", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert [(score["start"], score["probe"], score["labelled"]) for score in scores] == [
        (start, kind, clips)
        for start, kind in (("MFCC", "SVM"), ("random cnn", "linear"), (run, "linear"))
        for clips in ([2, 2], [6, 6])
    ]
    assert main([*asked, "--shares", "0.01"]) == 0
    table = capsys.readouterr().out
    assert "2 clips" in table
    assert "12 test clips" in table


def test_pretraining_without_music_says_what_to_give(small_archive, capsys):
    recipe = small_archive / "nothing.yaml"
    recipe.write_text("family: cnn\nlabels: [jazz]\ndata: {synthetic: 3}\n")
    assert main(["pretrain", str(recipe), "--output", str(small_archive / "run")]) == 2
    assert "--corpus" in capsys.readouterr().err
