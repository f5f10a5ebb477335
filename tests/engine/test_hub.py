"""Weights travel by the real client of the Hub, to and from a Hub on this machine; what goes wrong is one sentence."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard, constants, set_client_factory
from huggingface_hub.errors import XetDownloadError
from huggingface_hub.utils._http import default_client_factory
from local_hub import NOBODY, TOKEN, Repository, Trouble, sha256, speak_to
from safetensors.torch import load_file, save_file

from fluxbeat.cli.main import main
from fluxbeat.errors import AnalysisCancelled, ConfigMismatchError, FluxBeatError, ModelLoadError
from fluxbeat.features.fingerprint import Fingerprint
from fluxbeat.models import registry
from fluxbeat.models.fingerprint_file import learned_from, write_fingerprints
from fluxbeat.models.hub import HubAddress, fetch, fetching, models_in
from fluxbeat.models.hub.failures import plain_failures
from fluxbeat.models.hub.model_card import card_blocks, facts_of
from fluxbeat.models.hub.publishing import push
from fluxbeat.web.ui.model_facts import model_facts

ROOT = Path(__file__).resolve().parents[2]
CNN = registry.checkpoints_folder() / "cnn"


@pytest.fixture
def logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def cached_files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "cache").rglob("blobs/*") if path.is_file()]


def changed(folder: Path, change: Callable[[dict], None]) -> Path:
    """A copy of the CNN's checkpoint whose config.json is another."""
    shutil.copytree(CNN, folder)
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


# Fetching


def test_a_model_comes_from_the_hub_and_then_from_the_cache_without_asking(hub, monkeypatch):
    commit = hub.publish("ann/rivers", CNN)
    name = f"hf://ann/rivers@{commit}"
    shares: list[float] = []
    fetched = fetch(HubAddress.parse(name), lambda share, file: shares.append(share))
    assert max(shares) == 1.0
    assert (fetched.folder / "README.md").is_file()
    hub.asked.clear()
    model = registry.load(name)
    assert hub.asked == []
    assert model.info.source == name
    assert model.info.name == f"rivers@{commit[:7]}"
    assert model.info.revision == registry.load("cnn").info.revision
    speak_to(monkeypatch, NOBODY)
    assert registry.load(name) is model


def test_the_licence_on_the_card_is_told_as_long_as_the_card_is_there(hub, tmp_path, monkeypatch, capsys):
    name = f"hf://ann/rivers@{hub.publish('ann/rivers', CNN)}"
    assert main(["models", name, "cnn", "--json"]) == 0
    assert [entry["licence"] for entry in json.loads(capsys.readouterr().out)] == ["mit", "mit"]
    assert dict(model_facts(registry.load(name))["facts"])["Licence"] == "MIT"
    model = registry.load(name)
    shutil.rmtree(tmp_path / "cache")
    speak_to(monkeypatch, NOBODY)
    assert facts_of(model)["licence"] is None


@pytest.mark.parametrize("card", [b"---\nlicense: [\n---\n", b"\xff\xfe", b"no metadata", None])
def test_a_card_that_names_no_licence_leaves_it_open(tmp_path, card):
    shutil.copytree(CNN, tmp_path / "own")
    (tmp_path / "own" / "README.md").unlink()
    if card:
        (tmp_path / "own" / "README.md").write_bytes(card)
    assert facts_of(registry.load(tmp_path / "own"))["licence"] is None


def test_a_branch_is_pinned_to_its_commit_and_remembered_offline(hub, monkeypatch):
    first = hub.publish("ann/rivers", CNN)
    assert registry.load("hf://ann/rivers@main").info.source == f"hf://ann/rivers@{first}"
    second = hub.repositories["ann/rivers"].commit({"notes.txt": b"more"})
    assert registry.load("hf://ann/rivers@main").info.source == f"hf://ann/rivers@{second}"
    speak_to(monkeypatch, NOBODY)
    began = time.monotonic()
    assert registry.load("hf://ann/rivers@main").info.source == f"hf://ann/rivers@{second}"
    assert time.monotonic() - began < 3


def test_folders_of_a_repository_are_its_models(hub):
    hub.publish("ann/rivers", CNN, into="small")
    commit = hub.publish("ann/rivers", registry.checkpoints_folder() / "vit", into="large")
    found = models_in(HubAddress.parse("ann/rivers@main"))
    assert [str(one) for one in found] == [f"hf://ann/rivers/{folder}@{commit}" for folder in ("large", "small")]
    assert registry.load(str(found[1])).network.config.family == "cnn"
    assert [one.folder for one in models_in(HubAddress.parse("ann/rivers/small@main"))] == ["small"]
    with pytest.raises(ModelLoadError, match="it has no config.json; name one of its folders: large, small"):
        registry.load("hf://ann/rivers@main")


@pytest.mark.parametrize(
    "text", ["ann", "ann/rivers/../x@main", "ann/rivers@", "ann/rivers@../../x", "https://x/y@main", "@", "a/b@c d"]
)
def test_what_is_no_address_is_refused_before_anything_is_asked(hub, text):
    with pytest.raises(ModelLoadError, match="hf://owner/repo@revision"):
        registry.load(f"hf://{text}")
    assert hub.asked == []


# What goes wrong with the Hub


def refused(name: str, message: str) -> str:
    began = time.monotonic()
    with pytest.raises(ModelLoadError, match=message) as failure:
        registry.load(name)
    assert time.monotonic() - began < 15
    messages = str(failure.value)
    assert messages.startswith("hf://")
    assert "\n" not in messages
    return messages


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        (Trouble(status=503), "out of order"),
        (Trouble(status=429), "asks to wait"),
        (Trouble(status=404, error_code="RepoNotFound"), "no such repository, or a private one: log in"),
        (Trouble(status=401, error_code="RepoNotFound"), "no such repository, or a private one: log in"),
        (Trouble(status=401), "does not allow it .401"),
        (Trouble(status=403), "does not allow it"),
        (Trouble(status=403, error_code="GatedRepo"), "access must be asked for"),
        (Trouble(page=True), "is no Hub"),
        (Trouble(cut=100_000), "cannot be reached"),
        (Trouble(says_size=3_000_000_000), "3,000 MB; no more than 200 MB"),
        (Trouble(swap={"model.safetensors": bytes(1_615_000)}), "cut short|wrong checksum"),
        (Trouble(swap={"config.json": b"{}"}), "wrong checksum"),
        (Trouble(send_on="http://127.0.0.1:9/secret"), "cannot be reached"),
        (Trouble(send_on="file:///etc/passwd"), "cannot be reached|no Hub"),
    ],
)  # fmt: skip
def test_a_hub_in_trouble_is_one_sentence(hub, trouble, message):
    commit = hub.publish("ann/rivers", CNN)
    hub.trouble = trouble
    refused(f"hf://ann/rivers@{commit}", message)
    hub.trouble = Trouble()
    assert registry.load(f"hf://ann/rivers@{commit}").info.revision == registry.load("cnn").info.revision


def test_a_file_with_the_wrong_content_of_the_right_length_does_not_stay(hub, tmp_path):
    commit = hub.publish("ann/rivers", CNN)
    right = (CNN / "model.safetensors").read_bytes()
    hub.trouble = Trouble(swap={"model.safetensors": right[:-1] + bytes([right[-1] ^ 1])})
    refused(f"hf://ann/rivers@{commit}", "model.safetensors is not the file that the Hub lists")
    assert sha256(right) not in [path.name for path in cached_files(tmp_path)]


def test_a_download_that_does_not_end_is_ended(hub, monkeypatch):
    commit = hub.publish("ann/rivers", CNN)
    hub.trouble = Trouble(says_size=100)
    monkeypatch.setattr(fetching, "MOST_BYTES", 1_000_000)
    refused(f"hf://ann/rivers@{commit}", "no more than 1 MB")


def test_a_download_that_nobody_wants_any_more_is_ended(hub, tmp_path):
    def leave(share: float, file: str) -> None:
        raise AnalysisCancelled("the page was closed")

    address = HubAddress.parse(f"hf://ann/rivers@{hub.publish('ann/rivers', CNN)}")
    with pytest.raises(AnalysisCancelled):
        fetch(address, leave)
    assert sha256((CNN / "model.safetensors").read_bytes()) not in [path.name for path in cached_files(tmp_path)]


def test_offline_says_so_at_once(hub, monkeypatch):
    commit = hub.publish("ann/rivers", CNN)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused(f"hf://ann/rivers@{commit}", "HF_HUB_OFFLINE is set, and not all of it is in the local cache")
    refused("hf://ann/rivers@main", "HF_HUB_OFFLINE is set, and not all of it is in the local cache")
    assert hub.asked == []


def test_a_hub_that_is_down_or_slow_is_reported_in_time(hub, monkeypatch):
    commit = hub.publish("ann/rivers", CNN)
    hub.trouble = Trouble(slow_s=30)
    speak_to(monkeypatch, NOBODY)
    refused(f"hf://ann/rivers@{commit}", "cannot be reached")


def test_a_hub_that_takes_questions_and_never_answers_is_not_waited_for(hub, monkeypatch):
    commit = hub.publish("ann/rivers", CNN)
    monkeypatch.setattr(fetching, "TIMEOUT_S", 0.5)
    set_client_factory(default_client_factory)  # a session that no other test gave a limit
    hub.trouble = Trouble(silent_s=4)
    for revision in (commit, "main"):
        refused(f"hf://ann/rivers@{revision}", "did not answer in time")
    set_client_factory(default_client_factory)


def test_private_repositories_need_a_login(hub, monkeypatch):
    commit = hub.publish("ann/own", CNN)
    hub.repositories["ann/own"].private = True
    refused(f"hf://ann/own@{commit}", "private one")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert registry.load(f"hf://ann/own@{commit}").network.config.family == "cnn"


def test_a_missing_revision_or_file_is_named(hub):
    commit = hub.publish("ann/rivers", CNN)
    refused(f"hf://ann/rivers@{'0' * 40}", "no such revision")
    refused(f"hf://ann/rivers/none@{commit}", "it has no config.json")
    with pytest.raises(ModelLoadError, match="no checkpoint there"):
        models_in(HubAddress.parse(f"ann/rivers/none@{commit}"))


def test_a_damaged_cache_is_noticed_offline_and_mended_online(hub, tmp_path, monkeypatch):
    name = f"hf://ann/rivers@{hub.publish('ann/rivers', CNN)}"
    folder = fetch(HubAddress.parse(name)).folder
    weights = (folder / "model.safetensors").resolve()
    content = bytearray(weights.read_bytes())
    content[-5] ^= 255
    weights.write_bytes(content)
    speak_to(monkeypatch, NOBODY)
    refused(name, "wrong checksum. and was removed from the local cache; fetch it again")
    speak_to(monkeypatch, hub.url)
    assert registry.load(name).info.revision == registry.load("cnn").info.revision


# What does not fit


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: (c["labels"].pop(), c["thresholds"].pop()), r"config.json names \d+, the weights answer for \d+"),
        (lambda c: c["labels"].pop(), "labels need as many thresholds"),
        (lambda c: c.update(family="vit", architecture={}), "does not fit its config.json"),
        (lambda c: c["features"].update(n_mels=40), "features"),
        (lambda c: c.update(schema=7), "schema 7"),
        (lambda c: c.pop("labels"), "incomplete or damaged"),
    ],
)
def test_config_that_does_not_fit_the_weights_is_explained(hub, tmp_path, change, message):
    commit = hub.publish("ann/odd", changed(tmp_path / "odd", change))
    with pytest.raises((ModelLoadError, ConfigMismatchError), match=message) as failure:
        registry.load(f"hf://ann/odd@{commit}")
    assert str(failure.value).startswith(f"hf://ann/odd@{commit}: ")
    assert str(tmp_path) not in str(failure.value)


def test_weights_with_a_tensor_too_many_or_none_at_all_are_refused(hub, tmp_path):
    folder = changed(tmp_path / "odd", lambda config: None)
    weights = load_file(CNN / "model.safetensors")
    save_file({**weights, "stranger": weights["genre_head.bias"].clone()}, folder / "model.safetensors")
    refused(f"hf://ann/odd@{hub.publish('ann/odd', folder)}", "in 1 tensors; stranger")
    (folder / "model.safetensors").write_bytes((CNN / "model.safetensors").read_bytes()[:50_000])
    refused(f"hf://ann/odd@{hub.publish('ann/odd', folder)}", "cut short, damaged")
    save_file({**weights, "genre_head.bias": weights["genre_head.bias"] * float("nan")}, folder / "model.safetensors")
    message = refused(f"hf://ann/odd@{hub.publish('ann/odd', folder)}", "not finite")
    assert str(tmp_path) not in message


# FLUXBEAT_HUB_REPO


def test_the_variable_puts_folders_of_a_repository_in_place_of_bundled_models(hub, choose):
    hub.publish("ann/rivers", CNN, into="crnn")
    commit = hub.publish("ann/rivers", CNN, into="tiny")
    choose(f"ann/rivers@{commit}")
    assert registry.model_names() == ["cnn", "crnn", "vit", "tiny"]
    assert registry.load("crnn").info == registry.ModelInfo(
        "crnn", f"hf://ann/rivers/crnn@{commit}", registry.load("cnn").info.revision
    )
    assert registry.load("tiny").info.name == "tiny"
    assert registry.load("vit").info.source == "checkpoints/vit"


def test_one_model_takes_the_place_of_its_family(hub, choose):
    commit = hub.publish("ann/mine", registry.checkpoints_folder() / "vit")
    choose(f"hf://ann/mine@{commit}")
    assert registry.model_names() == ["cnn", "crnn", "vit"]
    assert registry.load("vit").info.source == f"hf://ann/mine@{commit}"
    assert registry.load("cnn").info.source == "checkpoints/cnn"


@pytest.mark.parametrize("wanted", ["ann/none@main", "ann/rivers", "nonsense"])
def test_bundled_weights_are_used_where_the_hub_fails(hub, choose, caplog, wanted):
    choose(wanted)
    with caplog.at_level(logging.WARNING, "fluxbeat"):
        assert registry.load("crnn").info.source == "checkpoints/crnn"
        assert registry.model_names() == ["all", "cnn", "crnn", "vit"]
    assert len(caplog.records) == 1
    assert "the bundled weights are used" in caplog.text
    assert registry.hub_choice().failures[""]


def test_one_damaged_model_does_not_take_the_others_away(hub, choose, tmp_path, caplog):
    odd = changed(tmp_path / "odd", lambda config: (config["labels"].pop(), config["thresholds"].pop()))
    hub.publish("ann/rivers", odd, into="crnn")
    commit = hub.publish("ann/rivers", CNN, into="cnn")
    choose(f"ann/rivers@{commit}")
    assert registry.load("crnn").info.source == "checkpoints/crnn"
    assert "labels do not fit" in registry.hub_choice().failures["crnn"]
    assert registry.load("cnn").info.source == f"hf://ann/rivers/cnn@{commit}"


def test_a_damaged_model_that_only_the_hub_has_is_left_out(hub, choose, tmp_path):
    odd = changed(tmp_path / "odd", lambda config: (config["labels"].pop(), config["thresholds"].pop()))
    choose(f"ann/rivers@{hub.publish('ann/rivers', odd, into='tiny')}")
    assert [model.info.name for model in registry.load_all()] == ["all", "cnn", "crnn", "vit"]
    assert registry.hub_choice().failures["tiny"].endswith("; it is left out")
    with pytest.raises(ModelLoadError, match="labels do not fit"):
        registry.load("tiny")


def test_the_chosen_repository_is_there_offline(hub, choose, monkeypatch):
    commit = hub.publish("ann/rivers", CNN, into="cnn")
    fetch(HubAddress.parse(f"ann/rivers/cnn@{commit}"))
    speak_to(monkeypatch, NOBODY)
    choose(f"ann/rivers@{commit}")
    assert registry.load("cnn").info.source == f"hf://ann/rivers/cnn@{commit}"


# Publishing


def test_what_is_pushed_comes_back_the_same(hub, logged_in):
    address = push(CNN, "ann/new")
    assert address.pinned
    files = hub.repositories["ann/new"].commits[address.revision]
    for name in ("config.json", "model.safetensors"):
        assert files[name] == (CNN / name).read_bytes()
    assert not hub.repositories["ann/new"].private
    assert registry.load(str(address)).info.revision == registry.load("cnn").info.revision


def test_the_licence_of_weights_that_began_as_somebody_elses_goes_along(hub, logged_in):
    address = push(registry.checkpoints_folder() / "crnn", "ann/new")
    assert (
        b"Copyright (c) 2022 Florian Schmid"
        in hub.repositories["ann/new"].commits[address.revision]["LICENSE.EfficientAT"]
    )


def test_what_a_checkpoint_learned_from_goes_along_and_comes_back(hub, logged_in, tmp_path):
    own = Path(shutil.copytree(CNN, tmp_path / "own"))
    known = Fingerprint("ab" * 32, np.random.default_rng(0).standard_normal((20, 104)).astype(np.float32))
    write_fingerprints(own, [known])
    address = push(own, "ann/own")
    model = registry.load(str(address))
    assert learned_from(registry.checkpoint_folder(model), [known]) == [0]


def test_the_cards_metadata_say_what_the_hub_renders(hub, logged_in):
    address = push(CNN, "ann/new")
    text = hub.repositories["ann/new"].commits[address.revision]["README.md"].decode()
    card = ModelCard(text)
    assert card.data.pipeline_tag == "audio-classification"
    assert card.data.library_name == "fluxbeat"
    assert card.data.license == "mit"
    assert set(card.data.tags) == {"music", "genre", "tempo"}
    assert card.data.model_name == "new"
    told = {(one.metric_type, one.dataset_name): one for one in card.data.eval_results}
    metrics = registry.load("cnn").network.config.metrics
    for row in metrics:
        if row["measure"] in ("accuracy", "tempo_accuracy1"):
            one = told[row["measure"], row["split"]]
            assert one.metric_value == row["value"]
            assert one.metric_args["interval_95"] == row["interval_95"]
    assert not [one for one in told if one[0].startswith(("librosa", "essentia", "musicnn"))]
    own = ModelCard((CNN / "README.md").read_text())
    assert card.text.strip() == own.text.strip()


def test_folders_share_the_card_at_the_root(hub, logged_in):
    push(CNN, "ann/rivers", folder="cnn")
    root = hub.repositories["ann/rivers"]
    root.commit({"README.md": root.at("main")[1]["README.md"] + b"\nMy own words.\n"})
    push(registry.checkpoints_folder() / "vit", "ann/rivers", folder="vit")
    address = push(CNN, "ann/rivers", folder="cnn")
    text = root.commits[address.revision]["README.md"].decode()
    metadata = yaml.safe_load(text.split("---\n")[1])
    assert sorted(entry["name"] for entry in metadata["model-index"]) == ["cnn", "vit"]
    assert metadata["pipeline_tag"] == "audio-classification"
    assert "My own words." in text
    assert str(address) == f"hf://ann/rivers/cnn@{address.revision}"
    assert [one.folder for one in models_in(HubAddress.parse(f"ann/rivers@{address.revision}"))] == ["cnn", "vit"]


def test_a_card_at_the_root_that_is_no_text_is_named_before_anything_is_published(hub, logged_in):
    push(CNN, "ann/rivers", folder="cnn")
    root = hub.repositories["ann/rivers"]
    before = root.commit({"README.md": b"\xff\xfe"})
    with pytest.raises(ModelLoadError, match="README.md is no UTF-8 text"):
        push(CNN, "ann/rivers", folder="cnn")
    assert root.branches["main"] == before


def test_a_private_repository_stays_private_and_a_public_one_is_not_pushed_to_by_mistake(hub, logged_in):
    push(CNN, "ann/secret", private=True)
    assert hub.repositories["ann/secret"].private
    hub.repositories["ann/open"] = Repository()
    hub.repositories["ann/open"].commit({"a": b"b"})
    with pytest.raises(ModelLoadError, match="there already and public"):
        push(CNN, "ann/open", private=True)


def test_a_branch_of_its_own_leaves_main_as_it_was(hub, logged_in):
    first = push(CNN, "ann/rivers")
    other = push(registry.checkpoints_folder() / "vit", "ann/rivers", branch="try")
    assert hub.repositories["ann/rivers"].branches == {"main": first.revision, "try": other.revision}
    assert registry.load("hf://ann/rivers@try").network.config.family == "vit"


@pytest.mark.parametrize(
    ("repo", "trouble", "message"),
    [
        ("stranger/rivers", Trouble(), "does not allow it"),
        ("ann/rivers", Trouble(refuse_upload=True), "upload did not get through and nothing was published; try again"),
        ("ann/rivers", Trouble(status=503), "out of order"),
        ("rivers", Trouble(), "expected owner/repo"),
        ("a/b/c", Trouble(), "expected owner/repo"),
    ],
)
def test_pushes_that_fail_are_one_sentence(hub, logged_in, repo, trouble, message):
    hub.trouble = trouble
    with pytest.raises(FluxBeatError, match=message) as failure:
        push(CNN, repo)
    assert TOKEN not in str(failure.value)
    assert not any("model.safetensors" in files for one in hub.repositories.values() for files in one.commits.values())


def test_a_push_that_xet_does_not_get_through_speaks_of_an_upload(hub, logged_in, monkeypatch):
    """Xet is what the Hub's client prefers; this Hub has none."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    with pytest.raises(ModelLoadError) as failure:
        push(CNN, "ann/rivers")
    assert "the upload did not get through" in str(failure.value)
    assert "HF_HUB_DISABLE_XET=1" in str(failure.value)


def test_the_clients_default_route_fetches_from_a_hub_without_xet_and_says_what_xet_refuses(hub, monkeypatch):
    """What Xet's own servers would send cannot be tried here: it begins with a key, which this Hub refuses."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    commit = hub.publish("ann/rivers", CNN)
    hub.trouble = Trouble(xet_status=403)
    refused(f"hf://ann/rivers@{commit}", "the Hub does not allow it .403.")
    assert any(asked.endswith("/xet-key") for asked in hub.asked), "Xet was the way"
    hub.trouble = Trouble()
    assert registry.load(f"hf://ann/rivers@{commit}").info.revision == registry.load("cnn").info.revision


@pytest.mark.parametrize("error", [XetDownloadError("CAS"), RuntimeError("reconstruction"), PermissionError("key")])
def test_what_breaks_off_in_xet_names_the_plain_route(monkeypatch, error):
    words = []
    for disabled in (False, True):
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", disabled)
        with pytest.raises(ModelLoadError) as failure, plain_failures("hf://ann/rivers"):
            raise error
        words.append(str(failure.value))
    assert "HF_HUB_DISABLE_XET=1" in words[0] and "by plain HTTP" in words[0]
    assert "HF_HUB_DISABLE_XET" not in words[1]
    full = OSError(28, "No space left on device")
    with pytest.raises(ModelLoadError, match="No space left on device.; try again$"), plain_failures("hf://ann/rivers"):
        raise full


def test_nobody_logged_in_and_damaged_checkpoints_stop_before_anything_is_sent(hub, tmp_path, monkeypatch):
    with pytest.raises(ModelLoadError, match="nobody is logged in to the Hub: log in with `hf auth login`"):
        push(CNN, "ann/rivers")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(ModelLoadError, match="labels do not fit"):
        push(changed(tmp_path / "odd", lambda c: (c["labels"].pop(), c["thresholds"].pop())), "ann/rivers")
    assert not [line for line in hub.asked if line.startswith("POST")]


def test_a_checkpoint_without_a_card_or_a_licence_gets_a_plain_card_and_a_word_of_warning(hub, logged_in, tmp_path):
    shutil.copytree(CNN, tmp_path / "bare")
    (tmp_path / "bare" / "README.md").unlink()
    message: list[str] = []
    address = push(tmp_path / "bare", "ann/bare", warn=message.append)
    text = hub.repositories["ann/bare"].commits[address.revision]["README.md"].decode()
    assert "names no licence" in message[0]
    assert ", ".join(registry.load("cnn").network.config.labels) in text
    address = push(tmp_path / "bare", "ann/bare", licence="cc-by-4.0")
    text = hub.repositories["ann/bare"].commits[address.revision]["README.md"].decode()
    assert ModelCard(text).data.license == "cc-by-4.0"


# The card's text


def test_a_cards_text_becomes_plain_blocks():
    text = (
        "# A **b**\n\nHello <script>x</script> ![p](http://far/p.png)\n[l](http://far)\n\n- one\n- two\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    assert card_blocks(text) == [
        {"kind": "heading", "level": 1, "text": "A b"},
        {"kind": "text", "text": "Hello <script>x</script> p l"},
        {"kind": "items", "items": ["one", "two"]},
        {"kind": "table", "rows": [["a", "b"], ["1", "2"]]},
    ]


# The command line


def test_push_prints_the_address_that_models_takes_and_never_the_token(hub, logged_in, capsys):
    assert main(["push", "cnn", "ann/rivers"]) == 0
    pushed = capsys.readouterr()
    assert TOKEN in hub.tokens
    assert TOKEN not in pushed.out + pushed.err
    address = pushed.out.strip()
    assert main(["models", address, "--json"]) == 0
    entry = json.loads(capsys.readouterr().out)[0]
    assert entry["source"] == address
    assert entry["revision"] == registry.load("cnn").info.revision


def test_a_missing_repository_is_one_line(hub, capsys):
    assert main(["models", f"hf://ann/none@{'0' * 40}"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("fluxbeat: hf://ann/none")
    assert message.count("\n") == 1


def test_a_program_of_its_own_warns_in_one_line_and_goes_on(hub, tmp_path):
    settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "FLUXBEAT_HUB_REPO": f"ann/none@{'0' * 40}"}
    result = subprocess.run(
        [sys.executable, "-m", "fluxbeat", "models", "cnn", "--json"],
        env=os.environ | settings, capture_output=True, text=True, timeout=180, cwd=ROOT,
    )  # fmt: skip
    assert result.returncode == 0
    assert json.loads(result.stdout)[0]["source"] == "checkpoints/cnn"
    assert result.stderr.count("\n") == 1
    assert "no such repository, or a private one: log in" in result.stderr
    assert "the bundled weights are used" in result.stderr
