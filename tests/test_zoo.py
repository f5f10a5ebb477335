"""Models come from a name or a folder (the Hub: test_hub.py); what cannot be had is one clear sentence."""

import shutil

import pytest

from fluxbeat import zoo
from fluxbeat.errors import ModelLoadError


def test_bundled_models_are_there_and_verified():
    assert zoo.bundled_names() == ["cnn", "crnn", "vit"]
    for name in zoo.bundled_names():
        model = zoo.load(name)
        assert model.info.name == name
        assert model.info.source == f"checkpoints/{name}"
        assert not model.network.training
        assert model.network.config.metrics, "a shipped model carries its numbers"
        assert all({"measure", "value", "n", "split", "date"} <= set(row) for row in model.network.config.metrics)


def test_every_checkpoint_has_a_card_with_its_data_and_limits():
    for name in zoo.bundled_names():
        card = (zoo.checkpoints_folder() / name / "README.md").read_text()
        for part in ("trained on", "How good", "Features, and why", "must not be used for"):
            assert part in card


def test_a_model_is_loaded_once():
    assert zoo.load("cnn") is zoo.load("cnn")


def test_a_folder_is_a_model_too(tmp_path):
    shutil.copytree(zoo.checkpoints_folder() / "cnn", tmp_path / "mine")
    model = zoo.load(tmp_path / "mine")
    assert model.info.name == "mine"
    assert model.info.revision == zoo.load("cnn").info.revision


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("oracle", "expected one of cnn, crnn, vit"),
        ("hf://nobody", "expected hf://owner/repo@revision"),
        ("hf://owner/repo", "names no revision"),
    ],
)
def test_wrong_names_are_explained(name, message):
    with pytest.raises(ModelLoadError, match=message):
        zoo.load(name)
