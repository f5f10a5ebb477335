"""The consensus: a model of its own that is nothing but the calibrated mean of its members."""

import json

import numpy as np
import pytest
import torch
from tiny_models import ARCHITECTURES, LABELS, tiny, write_consensus, write_three

from fluxbeat.analysis.windows import slide
from fluxbeat.errors import ConfigMismatchError, ModelLoadError
from fluxbeat.models import registry
from fluxbeat.models.checkpoint import save_checkpoint
from fluxbeat.models.registry import default_model, load, model_names


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_three(tmp_path)
    write_consensus(tmp_path)
    monkeypatch.setenv("FLUXBEAT_CHECKPOINTS", str(tmp_path))
    return tmp_path


def spectrogram(frames=24 * 40):
    return np.random.default_rng(frames).standard_normal((80, frames)).astype(np.float32)


def test_it_is_the_calibrated_weighted_mean_of_its_members(folder):
    log_mel = spectrogram()
    found = slide(load("all").network, log_mel)
    members = [slide(load(name).network, log_mel) for name in ("cnn", "crnn", "vit")]
    weights = np.array([0.25, 0.5, 0.25])
    mean = sum(weight * member.genre_logits for weight, member in zip(weights, members, strict=True))
    music = sum(weight * member.kind[:, :1] for weight, member in zip(weights, members, strict=True))
    np.testing.assert_allclose(found.genre_logits, mean, atol=1e-5)
    np.testing.assert_allclose(found.probability, music / (1 + np.exp(-(1.5 * mean + 0.25))), atol=1e-5)
    tempo = [np.exp(one.tempo_logits) / np.exp(one.tempo_logits).sum(1, keepdims=True) for one in members]
    expected = sum(weight * one for weight, one in zip(weights, tempo, strict=True))
    np.testing.assert_allclose(np.exp(found.tempo_logits), expected, atol=1e-6)


def test_a_window_alone_gives_what_the_track_gives(folder):
    network, log_mel = load("all").network, spectrogram()
    found = slide(network, log_mel)
    window = torch.from_numpy(np.ascontiguousarray(log_mel[:, 24 * 5 : 24 * 15]))[None]
    with torch.inference_mode():
        alone = network(window)
    np.testing.assert_allclose(alone.genre_logits[0], found.genre_logits[5], atol=1e-4)
    np.testing.assert_allclose(alone.embedding[0], found.embedding[5], atol=1e-4)
    np.testing.assert_allclose(torch.softmax(alone.tempo_logits, -1)[0], np.exp(found.tempo_logits[5]), atol=1e-5)


def test_members_are_not_computed_twice(folder, monkeypatch):
    log_mel, known = spectrogram(), {}
    all_three = load("all").network
    slide(all_three, log_mel, known=known)
    for member in all_three.networks:
        monkeypatch.setattr(member, "encode", lambda log_mel: pytest.fail("computed a second time"))
        assert len(slide(member, log_mel, known=known).start_s) == 31


def test_its_members_are_the_models_of_their_names(folder):
    together = load("all").network
    assert together.names == ("cnn", "crnn", "vit")
    members = [load(name).network for name in together.names]
    assert all(mine is theirs for mine, theirs in zip(together.networks, members, strict=True))
    assert together.n_parameters == sum(member.n_parameters for member in members)


def test_a_member_that_is_forgotten_takes_the_consensus_along(folder, monkeypatch):
    monkeypatch.setattr(registry, "_loaded", {})
    for _ in range(3):
        together = load("all")
        registry.forget(load("cnn"))
        assert load("all") is not together
        assert load("all").network.networks[0] is load("cnn").network
    assert sorted(model.info.name for model in registry._loaded.values()) == ["all", "cnn", "crnn", "vit"]


def test_it_comes_first_and_is_the_default_if_its_configuration_says_so(folder):
    assert model_names() == ["all", *ARCHITECTURES]
    assert default_model() == load().info.name == "all"
    write_consensus(folder, default=False)
    assert default_model() == load().info.name == "crnn"


@pytest.mark.parametrize("missing", ["cnn", "vit"])
def test_without_all_its_members_there_is_none(folder, missing):
    (folder / missing / "model.safetensors").unlink()
    (folder / missing / "config.json").unlink()
    assert "all" not in model_names()
    assert default_model() == "crnn"
    with pytest.raises(ModelLoadError, match="no model 'all'|vit|cnn"):
        load(folder / "all")


def test_own_checkpoints_have_a_default_too(tmp_path, monkeypatch):
    save_checkpoint(tiny("cnn"), tmp_path / "mine")
    monkeypatch.setenv("FLUXBEAT_CHECKPOINTS", str(tmp_path))
    assert model_names() == ["mine"]
    assert load().info.name == "mine"


def test_an_own_model_can_stand_beside_a_bundled_one(tmp_path, monkeypatch):
    write_three(tmp_path / "shipped")
    save_checkpoint(tiny("cnn"), tmp_path / "own" / "mine")
    monkeypatch.setattr("fluxbeat.models.registry.shipped_folder", lambda: tmp_path / "shipped")
    monkeypatch.setenv("FLUXBEAT_CHECKPOINTS", str(tmp_path / "own"))
    assert [load(name).info.name for name in ("mine", "crnn")] == ["mine", "crnn"]


def test_no_models_at_all_is_told_with_its_cure(tmp_path, monkeypatch):
    monkeypatch.setenv("FLUXBEAT_CHECKPOINTS", str(tmp_path))
    with pytest.raises(ModelLoadError, match="no models found.*FLUXBEAT_CHECKPOINTS"):
        default_model()


def test_its_revision_covers_its_configuration_and_its_members(folder):
    before = load("all").info.revision
    write_consensus(folder, thresholds=[0.4, 0.5, 0.6])
    other_thresholds = load("all")
    assert other_thresholds.info.revision != before
    assert list(other_thresholds.network.thresholds) == [0.4, 0.5, 0.6]
    save_checkpoint(tiny("cnn", seed=9), folder / "cnn")
    assert load("all").info.revision not in (before, other_thresholds.info.revision)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"labels": ["calm", "loud", "mild"]}, "calibrate it anew"),
        ({"calibration": {"scale": [1.0], "bias": 0.0}}, "as many scales"),
        ({"calibration": {"scale": -1.0, "bias": 0.0}}, "scale must be above 0"),
        ({"thresholds": [0.5]}, "thresholds"),
        ({"thresholds": [0.5, 0.5, 1.5]}, "threshold"),
        ({"members": {"cnn": 1.0, "../crnn": 1.0}}, "name of a folder"),
        ({"members": {"cnn": 1.0, "vit": -1.0}}, "weight above 0"),
        ({"members": {"cnn": 1.0}}, "members"),
        ({"schema": 1}, "schema"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(folder, changes, reason):
    write_consensus(folder, **changes)
    with pytest.raises((ModelLoadError, ConfigMismatchError), match=reason):
        load(folder / "all")


def test_members_with_other_labels_are_refused(folder):
    save_checkpoint(tiny("vit", labels=(*LABELS, "more")), folder / "vit")
    with pytest.raises(ConfigMismatchError, match="labels is .* in cnn"):
        load("all")


def test_a_broken_consensus_harms_no_other_model(folder):
    (folder / "all" / "config.json").write_text(json.dumps({"family": "consensus"}))
    assert load("cnn").info.name == "cnn"
    with pytest.raises(ModelLoadError, match="incomplete or damaged"):
        load("all")
