"""Weights travel by the real client of the Hub, to and from a Hub on this machine; what goes wrong is one sentence."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard, constants
from local_hub import TOKEN, LocalHub, Repository, Trouble, sha256
from safetensors.torch import load_file, save_file

from fluxbeat import zoo
from fluxbeat.cli import main
from fluxbeat.errors import ConfigMismatchError, FluxBeatError, ModelLoadError
from fluxbeat.hub import HubAddress, fetch, fetching, models_in
from fluxbeat.hub.model_card import card_blocks
from fluxbeat.hub.publishing import Publication, push
from fluxbeat.model_facts import facts_of
from fluxbeat.ui.model_facts import model_facts

ROOT = Path(__file__).resolve().parent.parent
CNN = zoo.checkpoints_folder() / "cnn"
NOBODY = "http://127.0.0.1:9"


def speak_to(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Send the client of this process to another Hub; it read HF_ENDPOINT when it was imported."""
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LocalHub]:
    """A local Hub that the client of this process speaks to, with an empty cache and nobody logged in."""
    server = LocalHub()
    speak_to(monkeypatch, server.url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 2)
    monkeypatch.setattr(fetching, "TIMEOUT_S", 2.0)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("FLUXBEAT_HUB_REPO", raising=False)
    yield server
    server.close()


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
    commit = hub.publish("ann/zoo", CNN)
    name = f"hf://ann/zoo@{commit}"
    shares: list[float] = []
    fetched = fetch(HubAddress.parse(name), lambda share, file: shares.append(share))
    assert max(shares) == 1.0
    assert (fetched.folder / "README.md").is_file()
    hub.asked.clear()
    model = zoo.load(name)
    assert hub.asked == []
    assert model.info.source == name
    assert model.info.name == f"zoo@{commit[:7]}"
    assert model.info.revision == zoo.load("cnn").info.revision
    speak_to(monkeypatch, NOBODY)
    assert zoo.load(name) is model


def test_the_licence_on_the_card_is_told_as_long_as_the_card_is_there(hub, tmp_path, monkeypatch, capsys):
    name = f"hf://ann/zoo@{hub.publish('ann/zoo', CNN)}"
    assert main(["models", name, "cnn", "--json"]) == 0
    assert [entry["licence"] for entry in json.loads(capsys.readouterr().out)] == ["mit", "mit"]
    assert dict(model_facts(zoo.load(name))["facts"])["Licence"] == "MIT"
    model = zoo.load(name)
    shutil.rmtree(tmp_path / "cache")
    speak_to(monkeypatch, NOBODY)
    assert facts_of(model).licence is None


@pytest.mark.parametrize("card", [b"---\nlicense: [\n---\n", b"\xff\xfe", b"no metadata", None])
def test_a_card_that_names_no_licence_leaves_it_open(tmp_path, card):
    shutil.copytree(CNN, tmp_path / "own")
    (tmp_path / "own" / "README.md").unlink()
    if card:
        (tmp_path / "own" / "README.md").write_bytes(card)
    assert facts_of(zoo.load(tmp_path / "own")).licence is None


def test_a_branch_is_pinned_to_its_commit_and_remembered_offline(hub, monkeypatch):
    first = hub.publish("ann/zoo", CNN)
    assert zoo.load("hf://ann/zoo@main").info.source == f"hf://ann/zoo@{first}"
    second = hub.repositories["ann/zoo"].commit({"notes.txt": b"more"})
    assert zoo.load("hf://ann/zoo@main").info.source == f"hf://ann/zoo@{second}"
    speak_to(monkeypatch, NOBODY)
    began = time.monotonic()
    assert zoo.load("hf://ann/zoo@main").info.source == f"hf://ann/zoo@{second}"
    assert time.monotonic() - began < 3


def test_folders_of_a_repository_are_its_models(hub):
    hub.publish("ann/zoo", CNN, into="small")
    commit = hub.publish("ann/zoo", zoo.checkpoints_folder() / "vit", into="large")
    found = models_in(HubAddress.parse("ann/zoo@main"))
    assert [str(one) for one in found] == [f"hf://ann/zoo/{folder}@{commit}" for folder in ("large", "small")]
    assert zoo.load(str(found[1])).network.config.family == "cnn"
    assert [one.folder for one in models_in(HubAddress.parse("ann/zoo/small@main"))] == ["small"]
    with pytest.raises(ModelLoadError, match="it has no config.json; name one of its folders: large, small"):
        zoo.load("hf://ann/zoo@main")


@pytest.mark.parametrize(
    "text", ["ann", "ann/zoo/../x@main", "ann/zoo@", "ann/zoo@../../x", "https://x/y@main", "@", "a/b@c d"]
)
def test_what_is_no_address_is_refused_before_anything_is_asked(hub, text):
    with pytest.raises(ModelLoadError, match="hf://owner/repo@revision"):
        zoo.load(f"hf://{text}")
    assert hub.asked == []


# What goes wrong with the Hub


def refused(name: str, message: str) -> str:
    began = time.monotonic()
    with pytest.raises(ModelLoadError, match=message) as failure:
        zoo.load(name)
    assert time.monotonic() - began < 15
    said = str(failure.value)
    assert said.startswith("hf://")
    assert "\n" not in said
    return said


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
        (Trouble(swap={"model.safetensors": bytes(1_615_000)}), "not as long as announced|wrong checksum"),
        (Trouble(swap={"config.json": b"{}"}), "wrong checksum"),
        (Trouble(send_on="http://169.254.169.254/secret"), "sends on to 169.254.169.254"),
        (Trouble(send_on="file:///etc/passwd"), "sends on to nowhere"),
    ],
)  # fmt: skip
def test_a_hub_in_trouble_is_one_sentence(hub, trouble, message):
    commit = hub.publish("ann/zoo", CNN)
    hub.trouble = trouble
    refused(f"hf://ann/zoo@{commit}", message)
    hub.trouble = Trouble()
    assert zoo.load(f"hf://ann/zoo@{commit}").info.revision == zoo.load("cnn").info.revision


def test_a_file_with_the_wrong_content_of_the_right_length_does_not_stay(hub, tmp_path):
    commit = hub.publish("ann/zoo", CNN)
    right = (CNN / "model.safetensors").read_bytes()
    hub.trouble = Trouble(swap={"model.safetensors": right[:-1] + bytes([right[-1] ^ 1])})
    refused(f"hf://ann/zoo@{commit}", "model.safetensors is not the file that the Hub lists")
    assert sha256(right) not in [path.name for path in cached_files(tmp_path)]


def test_a_download_that_does_not_end_is_ended(hub, monkeypatch):
    commit = hub.publish("ann/zoo", CNN)
    hub.trouble = Trouble(says_size=100)
    monkeypatch.setitem(fetching.LARGEST_BYTES, "model.safetensors", 1_000_000)
    refused(f"hf://ann/zoo@{commit}", "no more than 1 MB")


def test_a_hub_that_is_down_or_slow_is_said_in_time(hub, monkeypatch):
    commit = hub.publish("ann/zoo", CNN)
    hub.trouble = Trouble(slow_s=30)
    speak_to(monkeypatch, NOBODY)
    refused(f"hf://ann/zoo@{commit}", "cannot be reached")


def test_private_repositories_need_a_login(hub, monkeypatch):
    commit = hub.publish("ann/own", CNN)
    hub.repositories["ann/own"].private = True
    refused(f"hf://ann/own@{commit}", "private one")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert zoo.load(f"hf://ann/own@{commit}").network.config.family == "cnn"


def test_a_missing_revision_or_file_is_named(hub):
    commit = hub.publish("ann/zoo", CNN)
    refused(f"hf://ann/zoo@{'0' * 40}", "no such revision")
    refused(f"hf://ann/zoo/none@{commit}", "it has no config.json")
    with pytest.raises(ModelLoadError, match="no checkpoint there"):
        models_in(HubAddress.parse(f"ann/zoo/none@{commit}"))


def test_a_damaged_cache_is_noticed_offline_and_mended_online(hub, tmp_path, monkeypatch):
    name = f"hf://ann/zoo@{hub.publish('ann/zoo', CNN)}"
    folder = fetch(HubAddress.parse(name)).folder
    weights = (folder / "model.safetensors").resolve()
    content = bytearray(weights.read_bytes())
    content[-5] ^= 255
    weights.write_bytes(content)
    speak_to(monkeypatch, NOBODY)
    refused(name, "was damaged and has been removed; fetch it again")
    speak_to(monkeypatch, hub.url)
    assert zoo.load(name).info.revision == zoo.load("cnn").info.revision


# What does not fit


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: (c["labels"].pop(), c["thresholds"].pop()), "config.json names 12, the weights answer for 13"),
        (lambda c: c["labels"].pop(), "12 labels need as many thresholds"),
        (lambda c: c.update(family="vit"), "architecture of vit does not fit this program"),
        (lambda c: c.update(family="vit", architecture={}), "does not fit its config.json"),
        (lambda c: c.update(family="oracle"), "model family must be one of"),
        (lambda c: c.update(architecture={"channels": 10**9}), "architecture of 1e.09"),
        (lambda c: c.update(window_s=1e12), "window_s of 1e.12"),
        (lambda c: c["features"].update(n_mels=40), "features"),
        (lambda c: c.update(schema=7), "schema 7"),
        (lambda c: c.pop("labels"), "incomplete or damaged"),
        (lambda c: c.update(labels=None), "incomplete or damaged"),
    ],
)
def test_config_that_does_not_fit_the_weights_is_explained(hub, tmp_path, change, message):
    commit = hub.publish("ann/odd", changed(tmp_path / "odd", change))
    with pytest.raises((ModelLoadError, ConfigMismatchError), match=message) as failure:
        zoo.load(f"hf://ann/odd@{commit}")
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
    said = refused(f"hf://ann/odd@{hub.publish('ann/odd', folder)}", "not finite")
    assert str(tmp_path) not in said


# FLUXBEAT_HUB_REPO


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    yield lambda text: monkeypatch.setenv("FLUXBEAT_HUB_REPO", text)
    monkeypatch.delenv("FLUXBEAT_HUB_REPO", raising=False)
    zoo.hub_choice()


def test_the_variable_puts_folders_of_a_repository_in_place_of_bundled_models(hub, choose):
    hub.publish("ann/zoo", CNN, into="crnn")
    commit = hub.publish("ann/zoo", CNN, into="tiny")
    choose(f"ann/zoo@{commit}")
    assert zoo.model_names() == ["cnn", "crnn", "vit", "tiny"]
    assert zoo.load("crnn").info == zoo.ModelInfo("crnn", f"hf://ann/zoo/crnn@{commit}", zoo.load("cnn").info.revision)
    assert zoo.load("tiny").info.name == "tiny"
    assert zoo.load("vit").info.source == "checkpoints/vit"


def test_one_model_takes_the_place_of_its_family(hub, choose):
    commit = hub.publish("ann/mine", zoo.checkpoints_folder() / "vit")
    choose(f"hf://ann/mine@{commit}")
    assert zoo.model_names() == ["cnn", "crnn", "vit"]
    assert zoo.load("vit").info.source == f"hf://ann/mine@{commit}"
    assert zoo.load("cnn").info.source == "checkpoints/cnn"


@pytest.mark.parametrize("wanted", ["ann/none@main", "ann/zoo", "nonsense"])
def test_bundled_weights_are_used_where_the_hub_fails(hub, choose, caplog, wanted):
    choose(wanted)
    with caplog.at_level(logging.WARNING, "fluxbeat"):
        assert zoo.load("crnn").info.source == "checkpoints/crnn"
        assert zoo.model_names() == ["cnn", "crnn", "vit"]
    assert len(caplog.records) == 1
    assert "the bundled weights are used" in caplog.text
    assert zoo.hub_choice().failures[""]


def test_one_damaged_model_does_not_take_the_others_away(hub, choose, tmp_path, caplog):
    odd = changed(tmp_path / "odd", lambda config: (config["labels"].pop(), config["thresholds"].pop()))
    hub.publish("ann/zoo", odd, into="crnn")
    commit = hub.publish("ann/zoo", CNN, into="cnn")
    choose(f"ann/zoo@{commit}")
    assert zoo.load("crnn").info.source == "checkpoints/crnn"
    assert "labels do not fit" in zoo.hub_choice().failures["crnn"]
    assert zoo.load("cnn").info.source == f"hf://ann/zoo/cnn@{commit}"


def test_a_damaged_model_that_only_the_hub_has_is_left_out(hub, choose, tmp_path):
    odd = changed(tmp_path / "odd", lambda config: (config["labels"].pop(), config["thresholds"].pop()))
    choose(f"ann/zoo@{hub.publish('ann/zoo', odd, into='tiny')}")
    assert [model.info.name for model in zoo.load_all()] == ["cnn", "crnn", "vit"]
    assert zoo.hub_choice().failures["tiny"].endswith("; it is left out")
    with pytest.raises(ModelLoadError, match="labels do not fit"):
        zoo.load("tiny")


def test_the_chosen_repository_is_there_offline(hub, choose, monkeypatch):
    commit = hub.publish("ann/zoo", CNN, into="cnn")
    fetch(HubAddress.parse(f"ann/zoo/cnn@{commit}"))
    speak_to(monkeypatch, NOBODY)
    choose(f"ann/zoo@{commit}")
    assert zoo.load("cnn").info.source == f"hf://ann/zoo/cnn@{commit}"


# Publishing


def test_what_is_pushed_comes_back_the_same(hub, logged_in):
    address = push(Publication(CNN, "ann/new"))
    assert address.pinned
    files = hub.repositories["ann/new"].commits[address.revision]
    for name in ("config.json", "model.safetensors"):
        assert files[name] == (CNN / name).read_bytes()
    assert not hub.repositories["ann/new"].private
    assert zoo.load(str(address)).info.revision == zoo.load("cnn").info.revision


def test_the_cards_metadata_say_what_the_hub_renders(hub, logged_in):
    address = push(Publication(CNN, "ann/new"))
    text = hub.repositories["ann/new"].commits[address.revision]["README.md"].decode()
    card = ModelCard(text)
    assert card.data.pipeline_tag == "audio-classification"
    assert card.data.library_name == "fluxbeat"
    assert card.data.license == "mit"
    assert set(card.data.tags) == {"music", "genre", "tempo"}
    assert card.data.model_name == "new"
    told = {(one.metric_type, one.dataset_name): one for one in card.data.eval_results}
    metrics = zoo.load("cnn").network.config.metrics
    for row in metrics:
        if row["measure"] in ("accuracy", "tempo_accuracy1"):
            one = told[row["measure"], row["split"]]
            assert one.metric_value == row["value"]
            assert one.metric_args["interval_95"] == row["interval_95"]
    assert not [one for one in told if one[0].startswith(("librosa", "essentia", "musicnn"))]
    own = ModelCard((CNN / "README.md").read_text())
    assert card.text.strip() == own.text.strip()


def test_folders_share_the_card_at_the_root(hub, logged_in):
    push(Publication(CNN, "ann/zoo", folder="cnn"))
    root = hub.repositories["ann/zoo"]
    root.commit({"README.md": root.at("main")[1]["README.md"] + b"\nMy own words.\n"})
    push(Publication(zoo.checkpoints_folder() / "vit", "ann/zoo", folder="vit"))
    address = push(Publication(CNN, "ann/zoo", folder="cnn"))
    text = root.commits[address.revision]["README.md"].decode()
    metadata = yaml.safe_load(text.split("---\n")[1])
    assert sorted(entry["name"] for entry in metadata["model-index"]) == ["cnn", "vit"]
    assert metadata["pipeline_tag"] == "audio-classification"
    assert "My own words." in text
    assert str(address) == f"hf://ann/zoo/cnn@{address.revision}"
    assert [one.folder for one in models_in(HubAddress.parse(f"ann/zoo@{address.revision}"))] == ["cnn", "vit"]


def test_a_private_repository_stays_private_and_a_public_one_is_not_pushed_to_by_mistake(hub, logged_in):
    push(Publication(CNN, "ann/secret", private=True))
    assert hub.repositories["ann/secret"].private
    hub.repositories["ann/open"] = Repository()
    hub.repositories["ann/open"].commit({"a": b"b"})
    with pytest.raises(ModelLoadError, match="there already and public"):
        push(Publication(CNN, "ann/open", private=True))


def test_a_branch_of_its_own_leaves_main_as_it_was(hub, logged_in):
    first = push(Publication(CNN, "ann/zoo"))
    other = push(Publication(zoo.checkpoints_folder() / "vit", "ann/zoo", branch="try"))
    assert hub.repositories["ann/zoo"].branches == {"main": first.revision, "try": other.revision}
    assert zoo.load("hf://ann/zoo@try").network.config.family == "vit"


@pytest.mark.parametrize(
    ("repo", "trouble", "message"),
    [
        ("stranger/zoo", Trouble(), "does not allow it"),
        ("ann/zoo", Trouble(refuse_upload=True), "did not take or give all of it"),
        ("ann/zoo", Trouble(status=503), "out of order"),
        ("zoo", Trouble(), "expected owner/repo"),
        ("a/b/c", Trouble(), "expected owner/repo"),
    ],
)
def test_pushes_that_fail_are_one_sentence(hub, logged_in, repo, trouble, message):
    hub.trouble = trouble
    with pytest.raises(FluxBeatError, match=message) as failure:
        push(Publication(CNN, repo))
    assert TOKEN not in str(failure.value)
    assert not any("model.safetensors" in files for one in hub.repositories.values() for files in one.commits.values())


def test_nobody_logged_in_and_damaged_checkpoints_stop_before_anything_is_sent(hub, tmp_path, monkeypatch):
    with pytest.raises(ModelLoadError, match="nobody is logged in to the Hub: log in with `hf auth login`"):
        push(Publication(CNN, "ann/zoo"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(ModelLoadError, match="labels do not fit"):
        push(Publication(changed(tmp_path / "odd", lambda c: (c["labels"].pop(), c["thresholds"].pop())), "ann/zoo"))
    assert not [line for line in hub.asked if line.startswith("POST")]


def test_a_checkpoint_without_a_card_or_a_licence_gets_a_plain_card_and_a_word_of_warning(hub, logged_in, tmp_path):
    shutil.copytree(CNN, tmp_path / "bare")
    (tmp_path / "bare" / "README.md").unlink()
    said: list[str] = []
    address = push(Publication(tmp_path / "bare", "ann/bare"), said.append)
    text = hub.repositories["ann/bare"].commits[address.revision]["README.md"].decode()
    assert "names no licence" in said[0]
    assert "blues, classical" in text
    address = push(Publication(tmp_path / "bare", "ann/bare", licence="cc-by-4.0"))
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
    assert main(["push", "cnn", "ann/zoo"]) == 0
    pushed = capsys.readouterr()
    assert TOKEN in hub.tokens
    assert TOKEN not in pushed.out + pushed.err
    address = pushed.out.strip()
    assert main(["models", address, "--json"]) == 0
    entry = json.loads(capsys.readouterr().out)[0]
    assert entry["source"] == address
    assert entry["revision"] == hashlib.sha256((CNN / "model.safetensors").read_bytes()).hexdigest()[:12]


def test_a_missing_repository_is_one_line(hub, capsys):
    assert main(["models", f"hf://ann/none@{'0' * 40}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("fluxbeat: hf://ann/none")
    assert said.count("\n") == 1


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
