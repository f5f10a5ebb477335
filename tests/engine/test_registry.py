"""Models come from a name or a folder (the Hub: test_hub.py); what cannot be had is one clear sentence."""

import shutil

import pytest

from fluxbeat.errors import ModelLoadError
from fluxbeat.models import registry


def test_bundled_models_are_there_and_verified():
    assert registry.bundled_names() == ["all", "cnn", "crnn", "vit"]
    for name in registry.bundled_names():
        model = registry.load(name)
        assert model.info.name == name
        assert model.info.source == f"checkpoints/{name}"
        assert not model.network.training
        assert model.network.config.metrics, "a shipped model carries its numbers"
        assert all({"measure", "value", "n", "split", "date"} <= set(row) for row in model.network.config.metrics)


def test_every_checkpoint_has_a_card_with_its_data_and_limits():
    for name in registry.bundled_names():
        card = (registry.checkpoints_folder() / name / "README.md").read_text()
        for part in ("trained on", "How good", "Features, and why", "must not be used for"):
            assert part in card


def test_a_model_is_loaded_once():
    assert registry.load("cnn") is registry.load("cnn")


def test_a_folder_is_a_model_too(tmp_path):
    shutil.copytree(registry.checkpoints_folder() / "cnn", tmp_path / "mine")
    model = registry.load(tmp_path / "mine")
    assert model.info.name == "mine"
    assert model.info.revision == registry.load("cnn").info.revision


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("oracle", "expected one of all, cnn, crnn, vit"),
        ("hf://nobody", "expected hf://owner/repo@revision"),
        ("hf://owner/repo@main/../x", "expected hf://owner/repo@revision"),
    ],
)
def test_wrong_names_are_explained(name, message):
    with pytest.raises(ModelLoadError, match=message):
        registry.load(name)
