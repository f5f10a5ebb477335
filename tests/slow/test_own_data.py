"""A user's own music becomes a checkpoint of its own genres, measured on other artists."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_datasets import bursts, chords, save
from tiny_training import tiny_recipe

from fluxbeat.cli.main import main
from fluxbeat.errors import FluxBeatError
from fluxbeat.models.checkpoint import load_checkpoint, save_checkpoint
from fluxbeat.models.fingerprint_file import read_fingerprints
from fluxbeat.models.quick_head import with_labels
from fluxbeat.models.registry import CHECKPOINTS_VARIABLE
from fluxbeat.training import own_data, own_stores
from fluxbeat.training.data.artist_split import read_split
from fluxbeat.training.data.datasets import read_dataset
from fluxbeat.training.data.recordings import Recording
from fluxbeat.training.own_data import OwnPlan, train_own_data
from fluxbeat.training.own_stores import unlabelled_store
from fluxbeat.training.run import new_model


@pytest.fixture(scope="module")
def bundled(tmp_path_factory) -> Path:
    """A folder of checkpoints with a tiny CNN and CRNN that know tempo and kind; their weights are random."""
    folder = tmp_path_factory.mktemp("bundled")
    torch.manual_seed(0)
    for family in ("cnn", "crnn"):
        model = new_model(tiny_recipe(family, window_s=4.0)).eval()
        model.config = replace(model.config, tempo_taught=True)
        save_checkpoint(model, folder / family)
    return folder


@pytest.fixture(autouse=True)
def _its_checkpoints(bundled, monkeypatch):
    monkeypatch.setenv(CHECKPOINTS_VARIABLE, str(bundled))
    monkeypatch.setattr(own_data, "STEPS", 60)
    monkeypatch.setattr(own_data, "LEARNING_RATE", 5e-3)


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    """Ten small files in two genres, in a folder with what is made of them."""
    folder = tmp_path_factory.mktemp("own")
    for seed in range(5):
        save(folder / "music" / "chords" / f"{seed}.wav", chords(seed))
        save(folder / "music" / "noise bursts" / f"{seed}.flac", bursts(seed))
    return folder


def plan(own: Path, output: str, **changes: object) -> OwnPlan:
    return OwnPlan(own / "music", own / output, **{"cache": own / "cache", **changes})


def test_ten_small_files_make_a_checkpoint_of_their_own_genres(own, capsys, caplog):
    checkpoint = own / "runs" / "mine"
    command = ["train", "--data", str(own / "music"), "--output", str(checkpoint), "--cache", str(own / "cache")]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "Learned 2 genres from 10 songs: chords 5, noise bursts 5." in printed.out
    assert "songs that it had not learned from" in printed.out and "by artists" not in printed.out
    assert "Nobody says who made any song" in printed.out
    assert (
        printed.out.strip().splitlines()[-1] == f"  fluxbeat train --data {own / 'music'} --full --output {checkpoint}"
    )
    assert "left\n" in printed.err and "read 10 of 10 recordings\n" in printed.err, "progress without a terminal"
    model, _ = load_checkpoint(checkpoint)
    assert (model.config.labels, model.config.family) == (("chords", "noise bursts"), "crnn")
    assert model.config.tempo_taught
    assert len(read_fingerprints(checkpoint)) == 10
    for make, label in ((chords, "chords"), (bursts, "noise bursts")):
        new = save(own / f"new {label}.wav", make(99, 9.0))
        assert main(["analyze", str(new), "--model", str(checkpoint), "--json"]) == 0
        genres = json.loads(capsys.readouterr().out)["genres"]
        assert genres[0]["label"] == label
    asked = ["evaluate", str(checkpoint), "--data", str(own / "music"), "--cache", str(own / "cache"), "--json"]
    assert main(asked) == 0
    assert "mine learned from 10 of these 10 recordings" in caplog.text


def test_the_full_training_follows_the_quick_head_where_it_is_asked_for(own, capsys):
    checkpoint = own / "runs" / "full"
    command = ["train", "--data", str(own / "music"), "--output", str(checkpoint), "--cache", str(own / "cache")]
    assert main([*command, "--full"]) == 0
    printed = capsys.readouterr()
    assert "Now the full training; until it is done" in printed.out
    assert "The whole network learned 2 genres from recordings: chords 5, noise bursts 5." in printed.out
    assert "Not measured" in printed.out
    assert "step 0 of" in printed.err
    model, _ = load_checkpoint(checkpoint)
    assert (model.config.labels, model.config.family) == (("chords", "noise bursts"), "cnn")
    assert len(read_fingerprints(checkpoint)) == 10, "it knows what it learned from as well"
    card = (checkpoint / "README.md").read_text(encoding="utf-8")
    assert "Too few recordings were set aside" in card
    assert "checkpoints/cnn, revision" in card or "cnn" in card
    assert {split for _, split in read_split(checkpoint / "split.txt").values()} == {"train"}
    assert main([*command, "--epochs", "2"]) == 2
    assert "add --full" in capsys.readouterr().err


def test_artists_set_aside_measure_and_calibrate_the_checkpoint(tmp_path):
    for seed in range(8):
        save(tmp_path / "music" / "chords" / f"artist {seed // 2}" / f"{seed}.wav", chords(seed, 4.0))
        save(tmp_path / "music" / "bursts" / f"band {seed // 2}" / f"{seed}.wav", bursts(seed, 4.0))
    output = tmp_path / "run"
    output.mkdir()
    lines = []
    for entry in read_dataset(tmp_path / "music"):
        split = "dev" if entry.artist[-1] in "01" else "train"
        lines.append(f"{entry.name}\t{entry.artist}\t{split}")
    (output / "split.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    made = train_own_data(plan(tmp_path, "run"))
    assert made.trained == made.held_out == {"chords": 4, "bursts": 4}
    assert made.calibrated
    accuracy = made.measures[0]
    assert (accuracy.measure, accuracy.n) == ("accuracy", 8)
    assert accuracy.value >= 0.85
    model, _ = load_checkpoint(output)
    assert model.config.metrics[0]["measure"] == "accuracy"
    assert model.config.thresholds != (0.5, 0.5)
    card = (output / "README.md").read_text(encoding="utf-8")
    assert "8/8" in card or "7/8" in card
    (output / "split.txt").write_text("\n".join(lines).replace("0.wav\tartist 0\tdev", "0.wav\tartist 0\ttrain"))
    with pytest.raises(FluxBeatError, match="share artists.*artist 0"):
        train_own_data(plan(tmp_path, "run"))


def test_a_finished_run_is_not_done_again_and_another_is_refused(own):
    made = train_own_data(plan(own, "again", epochs=2))
    weights = (own / "again" / "training" / "model.safetensors").stat().st_mtime_ns
    again = train_own_data(plan(own, "again", epochs=2))
    assert again == made
    assert (own / "again" / "training" / "model.safetensors").stat().st_mtime_ns == weights
    with pytest.raises(FluxBeatError, match="again.training holds another run: .*epochs differ"):
        train_own_data(plan(own, "again", epochs=3))


def test_a_start_that_knows_no_tempo_takes_over_the_bundled_ones(own, bundled):
    """After pretraining without labels the tempo of a song must not be noise."""
    knowing, _ = load_checkpoint(bundled / "cnn")
    torch.manual_seed(5)
    pretrained = new_model(tiny_recipe()).eval()
    pretrained.config = replace(pretrained.config, tempo_taught=False, kind_taught=False)
    save_checkpoint(pretrained, own / "pretrained")
    train_own_data(plan(own, "from", start=str(own / "pretrained"), epochs=1))
    made, _ = load_checkpoint(own / "from")
    assert made.config.tempo_taught and not made.config.kind_taught
    far = (made.tempo_head.onset.weight - pretrained.tempo_head.onset.weight).abs().mean()
    near = (made.tempo_head.onset.weight - knowing.tempo_head.onset.weight).abs().mean()
    assert near < 0.5 * far


def test_new_labels_keep_all_that_the_model_has_learned(bundled):
    model, _ = load_checkpoint(bundled / "cnn")
    fresh = with_labels(model, ("chords", "bursts", "drones"))
    assert fresh.config.labels == ("chords", "bursts", "drones")
    assert fresh.genre_head.out_features == 3
    new = ("genre_head.", "known_centres", "whitening")
    before, after = model.state_dict(), fresh.state_dict()
    assert all((before[name] == after[name]).all() for name in before if not name.startswith(new))


def test_what_cannot_be_trained_on_is_named_before_anything_is_trained(tmp_path, capsys):
    save(tmp_path / "music" / "rock" / "a.wav", bursts(1))
    save(tmp_path / "music" / "folk" / "a.wav", chords(1))
    save(tmp_path / "music" / "folk" / "b.wav", chords(2))
    with pytest.raises(FluxBeatError, match="'rock' has 1 recording, every genre needs at least 2"):
        train_own_data(plan(tmp_path, "run"))
    with pytest.raises(FluxBeatError, match="--model vit cannot start from cnn, which is a cnn"):
        train_own_data(plan(tmp_path, "run", family="vit", start="cnn"))
    with pytest.raises(FluxBeatError, match="epochs must be 1 or more"):
        plan(tmp_path, "run", epochs=-1)
    (tmp_path / "music" / "rock" / "b.wav").write_bytes(b"RIFF nothing")
    with pytest.raises(FluxBeatError, match="can be read.*'rock' has 1 recording"):
        train_own_data(plan(tmp_path, "run"))
    for arguments in (["train"], ["train", "recipe.yaml", "--data", str(tmp_path)]):
        assert main(arguments) == 2
        assert "either a RECIPE.yaml or --data" in capsys.readouterr().err


def test_pieces_of_one_recording_get_one_artist_and_so_one_side():
    def recording(name, artist=""):
        return Recording(Path(name), ("x",), None, artist, "", name)

    given = [recording("a"), recording("b", "Ada"), recording("c"), recording("d", "Bo"), recording("e")]
    kept = own_stores._one_artist_per_group(given, {"a": 0, "b": 0, "c": 2, "e": 2, "d": 3})
    assert [one.artist for one in kept] == ["Ada", "Ada", "c", "Bo", "c"]


def test_two_files_of_one_recording_do_not_count_twice(tmp_path, caplog):
    for seed in range(3):
        save(tmp_path / "music" / "chords" / f"{seed}.wav", chords(seed))
        save(tmp_path / "music" / "bursts" / f"{seed}.wav", bursts(seed))
    song = np.concatenate([part(seed, 2.0) for seed in range(3) for part in (chords, bursts)])
    save(tmp_path / "music" / "chords" / "song.wav", song)
    save(tmp_path / "music" / "chords" / "same song.flac", 0.5 * song)
    made = train_own_data(plan(tmp_path, "run", epochs=1))
    assert made.trained == {"chords": 4, "bursts": 3}
    assert "is the same recording as" in caplog.text


def test_any_music_pretrains_a_model_that_labelled_music_probes(own, capsys):
    recipe = own / "pretraining.yaml"
    recipe.write_text(
        "family: cnn\nlabels: [jazz, metal]\nepochs: 1\nepoch_steps: 2\nbatch_size: 4\nwindow_s: 4\n"
        "features: {n_mels: 16, norm_window_s: 4.0}\naugment: {mask_bands: 4}\nsimclr: {projection_size: 8}\n"
        "architecture: {channels: [4, 8], strides: [[2, 2]], hidden: 8, embedding_size: 8}\n"
    )
    cache = ["--cache", str(own / "cache")]
    run = str(own / "simclr")
    assert main(["pretrain", str(recipe), "--data", str(own / "music"), "--output", run, *cache]) == 0
    assert f"fluxbeat probe {run} --data FOLDER" in capsys.readouterr().out
    rows = [(f"music/{path}", path.split("/")[0], path, "dev" if "4." in path or "3." in path else "train")
            for path in (entry.name for entry in read_dataset(own / "music"))]  # fmt: skip
    lines = ["path,labels,artist,split", *(",".join(row) for row in rows)]
    (own / "labelled.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    asked = ["probe", run, "--data", str(own / "labelled.csv"), "--seeds", "1", "--shares", "1.0", "--json", *cache]
    assert main(asked) == 0
    scores = json.loads(capsys.readouterr().out)
    assert [(score["start"], score["labelled"], score["tested"]) for score in scores] == [
        ("MFCC", 6, 4),
        ("random cnn", 6, 4),
        (run, 6, 4),
    ]
    with pytest.raises(FluxBeatError, match="no audio files"):
        unlabelled_store(own / "simclr", tiny_recipe().features, own / "cache")
