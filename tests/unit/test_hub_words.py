"""What strangers' cards and the Hub's refusals may say, and how often it is asked; no Hub is needed."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
import yaml
from huggingface_hub.errors import DisabledRepoError
from tiny_models import tiny

from fluxbeat.errors import ModelLoadError
from fluxbeat.models import registry
from fluxbeat.models.hub.failures import plain_failures
from fluxbeat.models.hub.model_card import Card, card_of_several

METRIC = {"measure": "accuracy", "value": 0.5, "n": 4, "split": "mine"}


@pytest.fixture
def chosen_anew(monkeypatch):
    """$FLUXBEAT_HUB_REPO names a repository that nobody has asked for yet."""
    monkeypatch.setenv(registry.HUB_REPO_VARIABLE, "ann/rivers")
    yield
    registry._chosen.cache_clear()


@pytest.mark.parametrize("index", [[{"results": []}], ["text"], [None], {"name": "x"}, "text", 7, None])
def test_a_root_card_with_any_model_index_takes_another_models_metrics(index):
    config = tiny("cnn", metrics=(METRIC,)).config
    text = card_of_several(Card({"model-index": index}, "My own words."), config, "ann/rivers", "cnn", "mit")
    entries = yaml.safe_load(text.split("---\n")[1])["model-index"]
    assert entries[-1]["name"] == "cnn"
    assert entries[:-1] == (index if isinstance(index, list) else [])


def test_a_model_that_is_pushed_again_stands_in_the_root_card_once():
    config, card = tiny("cnn", metrics=(METRIC,)).config, Card({"model-index": [{"name": "cnn"}, {"name": "vit"}]}, "")
    metadata = yaml.safe_load(card_of_several(card, config, "ann/rivers", "cnn", "").split("---\n")[1])
    assert [entry["name"] for entry in metadata["model-index"]] == ["vit", "cnn"]


def test_a_disabled_repository_is_no_question_of_logging_in():
    answer = httpx2.Response(403, request=httpx2.Request("GET", "http://hub"))
    with pytest.raises(ModelLoadError, match="the Hub has disabled this repository$"), plain_failures("hf://ann/gone"):
        raise DisabledRepoError("disabled", response=answer)


def test_the_hub_is_asked_once_by_many_threads_and_what_failed_is_noted_for_all(monkeypatch, chosen_anew):
    asked: list[str] = []

    def models_in(address):
        asked.append(str(address))
        time.sleep(0.05)
        return []

    monkeypatch.setattr(registry, "models_in", models_in)
    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(lambda _: registry.hub_choice(), range(4))
    assert len(asked) == 1
    assert all(other is first for other in others)
