"""A torch and a torchaudio that do not match are one clear sentence, not a stack of loader errors."""

import sys
from importlib import metadata

import pytest

from fluxbeat.errors import ConfigMismatchError
from fluxbeat.features import torch_pair


def pretend(monkeypatch, **versions):
    def version(package):
        if versions[package] is None:
            raise metadata.PackageNotFoundError(package)
        return versions[package]

    monkeypatch.setattr(torch_pair.metadata, "version", version)


def test_matching_pair_passes():
    torch_pair.check_torch_pair()


def test_mismatch_names_both_versions_and_the_cure(monkeypatch):
    pretend(monkeypatch, torch="2.14.0", torchaudio="2.11.0")
    with pytest.raises(ConfigMismatchError) as refused:
        torch_pair.check_torch_pair()
    sentence = str(refused.value)
    assert "2.14.0" in sentence
    assert "2.11.0" in sentence
    assert f"pip install {torch_pair.PAIR}" in sentence
    assert "\n" not in sentence


def test_missing_package_is_named(monkeypatch):
    pretend(monkeypatch, torch="2.11.0", torchaudio=None)
    with pytest.raises(ConfigMismatchError, match="torchaudio not installed"):
        torch_pair.check_torch_pair()


def test_builds_that_cannot_be_loaded_together_are_one_sentence(monkeypatch):
    pretend(monkeypatch, torch="2.11.0+cpu", torchaudio="2.11.0")
    monkeypatch.setitem(sys.modules, "torchaudio", None)  # what the import system does with a broken module
    with pytest.raises(ConfigMismatchError, match=r"2\.11\.0\+cpu .* cannot be loaded together"):
        torch_pair.check_torch_pair()
