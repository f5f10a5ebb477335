"""A checkpoint may come from anybody: what its two files may not be, found out quickly and in little memory."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import struct
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from fluxbeat.errors import ConfigMismatchError, ModelLoadError
from fluxbeat.features.log_mel import FeatureConfig
from fluxbeat.models import registry
from fluxbeat.models.base import Calibration, Familiarity, ModelConfig
from fluxbeat.models.checkpoint import build_model, load_checkpoint, save_checkpoint
from fluxbeat.models.config_file import CalibrationPart, ConfigFile, FamiliarityPart, FeaturesPart, TempoGridPart
from fluxbeat.models.tempo import TempoGrid

LABELS = ("ambient", "jazz", "metal")
METRIC = {"measure": "accuracy", "value": 0.5, "n": 40, "split": "my own"}
TINY = {"channels": [4, 4, 4, 4], "hidden": 8, "embedding_size": 8}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole checkpoint of a small CNN."""
    folder = tmp_path_factory.mktemp("tiny")
    config = ModelConfig("cnn", LABELS, (0.5,) * 3, architecture=TINY, metrics=(METRIC,))
    save_checkpoint(build_model(config), folder)
    return folder


@pytest.fixture
def changed(tiny: Path, tmp_path: Path) -> Callable[[Callable[[dict], Any]], Path]:
    """Makes a copy whose config.json is another."""

    def copy(change: Callable[[dict], Any]) -> Path:
        shutil.copytree(tiny, tmp_path / "odd")
        path = tmp_path / "odd" / "config.json"
        config = json.loads(path.read_text())
        change(config)
        path.write_text(json.dumps(config))
        return tmp_path / "odd"

    return copy


Changed = Callable[[Callable[[dict], Any]], Path]


@pytest.mark.parametrize(
    ("part", "made_into"),
    [
        (ConfigFile, ModelConfig),
        (TempoGridPart, TempoGrid),
        (FeaturesPart, FeatureConfig),
        (CalibrationPart, Calibration),
        (FamiliarityPart, Familiarity),
    ],
)
def test_the_file_holds_what_the_program_needs_and_nothing_else(part: Any, made_into: Any) -> None:
    of_the_file = {"schema_version", "weights_sha256", "hash"}
    assert set(part.model_fields) - of_the_file == {field.name for field in fields(made_into)}


def test_what_is_written_is_what_is_read(tiny: Path) -> None:
    config = load_checkpoint(tiny)[0].config
    assert (config.labels, config.thresholds, config.metrics) == (LABELS, (0.5,) * 3, (METRIC,))


# A checkpoint is config and weights


def test_the_revision_covers_config_and_weights(changed: Changed, tiny: Path) -> None:
    revision = load_checkpoint(tiny)[1]
    folder = changed(lambda config: config["thresholds"].__setitem__(0, 0.4))
    other = load_checkpoint(folder)[1]
    assert other != revision
    content = b"".join((folder / name).read_bytes() for name in ("config.json", "model.safetensors"))
    assert other == hashlib.sha256(content).hexdigest()[:12]


def test_a_config_that_was_changed_on_the_disk_is_seen(changed: Changed) -> None:
    folder = changed(lambda config: None)
    before = registry.load(folder)
    assert registry.load(folder) is before
    path = folder / "config.json"
    path.write_text(path.read_text().replace("0.5,", "0.625,", 1))
    after = registry.load(folder)
    assert after.network.config.thresholds[0] == 0.625
    assert after.info.revision != before.info.revision


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_a_save_cut_at_any_moment_never_gives_new_thresholds_to_old_weights(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    """Power fails after so many of the two files were moved to their places."""
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    old = load_checkpoint(folder)[1]
    torch.manual_seed(5)
    new = build_model(ModelConfig("cnn", LABELS, (0.9,) * 3, architecture=TINY))
    replace, done = os.replace, []

    def fails(source: Path, target: Path) -> None:
        if len(done) == moved:
            raise KeyboardInterrupt
        done.append(target)
        replace(source, target)

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr("fluxbeat.atomic_write.os.replace", fails)
        save_checkpoint(new, folder)
    if moved == 0:
        assert load_checkpoint(folder)[1] == old
    elif moved == 1:
        assert "config.json belongs to other weights than model.safetensors holds" in refusal_of(folder)
    else:
        loaded = load_checkpoint(folder)[0]
        assert loaded.config.thresholds == (0.9,) * 3
        torch.testing.assert_close(loaded.genre_head.weight, new.genre_head.weight)


# What is refused


@contextlib.contextmanager
def cheaply(cpu_s: float = 5.0, megabytes: int = 200) -> Iterator[None]:
    """What happens inside takes neither long nor much memory, not even for a moment."""

    def kilobytes(field: str) -> int:
        return int(re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])

    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before, began_s = kilobytes("VmRSS"), time.process_time()
    yield
    assert time.process_time() - began_s < cpu_s
    assert kilobytes("VmHWM") - before < megabytes * 1000


def refusal_of(folder: Path) -> str:
    """What is told of a checkpoint that is refused."""
    with cheaply(), pytest.raises((ModelLoadError, ConfigMismatchError)) as refusal:
        load_checkpoint(folder)
    sentence = str(refusal.value)
    assert "\n" not in sentence
    assert len(sentence) < 800
    return sentence


def trapped() -> None:
    os.environ["FLUXBEAT_TRAPPED"] = "1"


class Trap:
    """Says so where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return trapped, ()


def as_pickle() -> bytes:
    return pickle.dumps(Trap())


def as_torch_zip() -> bytes:
    file = io.BytesIO()
    torch.save({"weights": Trap()}, file)
    return file.getvalue()


def as_zip_bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("data.pkl", bytes(100_000_000))
    return file.getvalue()


def with_header(header: Any, content: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


WEIGHTS: dict[str, Callable[[], bytes]] = {
    "pickle": as_pickle,
    "torch file": as_torch_zip,
    "zip bomb": as_zip_bomb,
    "nothing": bytes,
    "a header of 2**60 bytes": lambda: struct.pack("<Q", 2**60) + b"{}",
    "a header of 99 MB in a small file": lambda: struct.pack("<Q", 99_000_000) + b"{}",
    "a header nested 100,000 deep": lambda: with_header(b'{"a":' + b"[" * 100_000),
    "a huge shape": lambda: with_header(
        {"a": {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 4]}}, bytes(4)
    ),
    "offsets outside": lambda: with_header(
        {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}, bytes(4)
    ),
    "no offsets": lambda: with_header({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)),
    "an unknown type": lambda: with_header({"a": {"dtype": "X9", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)),
    "no object": lambda: with_header(b"[]"),
    "no text": lambda: with_header(b"\xff\xfe"),
}


@pytest.mark.parametrize("content", WEIGHTS.values(), ids=WEIGHTS)
def test_weights_that_are_none_are_refused_unopened(changed: Changed, content: Callable[[], bytes]) -> None:
    folder = changed(lambda config: None)
    (folder / "model.safetensors").write_bytes(content())
    assert "cut short, damaged or no safetensors file" in refusal_of(folder)
    assert "FLUXBEAT_TRAPPED" not in os.environ


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w["genre_head.weight"][0].fill_(torch.nan), "not finite"),
        (lambda w: w["genre_head.weight"][0].fill_(-torch.inf), "not finite"),
        (lambda w: w.update({"genre_head.weight": w["genre_head.weight"].double()}), "of F32, got .* of F64"),
        (lambda w: w.update({"genre_head.weight": w["genre_head.weight"].half()}), "of F32, got .* of F16"),
        (lambda w: w.update({"genre_head.weight": torch.zeros(3, 2, 2)}), r"genre_head.weight: expected \(3, 8\)"),
        (lambda w: w.update({"x" * 5000: torch.zeros(1)}), "xxx: expected None"),
        (lambda w: w.clear(), "does not fit"),
    ],
    ids=range(7),
)
def test_weights_of_another_network_or_of_no_numbers_are_refused(
    changed: Changed, change: Callable[[dict], Any], message: str
) -> None:
    folder = changed(lambda config: None)
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")
    assert re.search(message, refusal_of(folder))


def with_features(**values: Any) -> Callable[[dict], None]:
    """Features with a hash that fits them: whoever writes a config.json can compute one."""

    def change(config: dict) -> None:
        settings = {**config["features"], **values}
        settings.pop("hash")
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        config["features"] = {**settings, "hash": digest[:12]}

    return change


def with_architecture(family: str, **values: Any) -> Callable[[dict], None]:
    return lambda config: config.update(family=family, architecture=values)


CONFIGS: dict[str, tuple[Callable[[dict], Any], str]] = {
    "channels": (with_architecture("cnn", channels=[10**9] * 5), "asks for channels of 1e.09: at most 4096"),
    "negative": (with_architecture("cnn", hidden=-(10**9)), "hidden of -1e.09"),
    "no stride": (
        with_architecture("cnn", strides=[[2, 0], [2, 2], [2, 1]]),
        "strides must be two numbers of at least 1",
    ),
    "many layers": (with_architecture("cnn", channels=[1] * 1000, strides=[[1, 1]] * 999), "1000 values of channels"),
    "lists in lists": (with_architecture("cnn", strides=[[[[1]]]]), "values of strides: at most 64, in lists"),
    "4096 wide": (with_architecture("vit", width=4096, depth=64, heads=64), "does not fit"),
    "deep": (with_architecture("vit", depth=4096), "asks for depth of 4096: at most 64"),
    "lstm": (with_architecture("crnn", lstm_size=4096, lstm_layers=64), "does not fit"),
    "no heads": (with_architecture("vit", heads=0), "architecture of vit does not fit"),
    "odd heads": (with_architecture("vit", heads=7), "architecture of vit does not fit"),
    "no strides": (with_architecture("cnn", strides=[]), "architecture of cnn does not fit"),
    "more than all left out": (with_architecture("vit", left_out=5), "left_out must be at least 0 and below 1, got 5"),
    "less than none left out": (with_architecture("vit", left_out=-1), "left_out must be at least 0 and below 1, got"),
    "text": (with_architecture("cnn", channels="many"), "architecture of cnn does not fit"),
    "config": (with_architecture("cnn", config={}), "architecture of cnn does not fit"),
    "window": (lambda c: c.update(window_s=1e9), "window_s should be less than or equal to 120, got 1e.09"),
    "window of frames": (with_features(hop_samples=16), "windows of 15,000 frames: at most 4,096"),
    "window of half a second": (
        lambda c: c.update(window_s=0.5),
        "window_s must be at least .*, got 0.5: .* 12 frames",
    ),
    "no window": (lambda c: c.update(window_s=0), "window_s should be greater than or equal to 0.5, got 0"),
    "bins": (lambda c: c["tempo_grid"].update(bins=10**9), "tempo_grid.bins should be less .* to 512, got 1e.09"),
    "bins as text": (
        lambda c: c["tempo_grid"].update(bins="160"),
        "tempo_grid.bins should be a valid integer, got '160'",
    ),
    "half a bin": (lambda c: c["tempo_grid"].update(bins=2.5), "tempo_grid.bins should be a valid integer, got 2.5"),
    "grid of one tempo": (lambda c: c["tempo_grid"].update(max_bpm=30.0), "max_bpm must be .* got 30 to 30 BPM"),
    "grid that falls": (lambda c: c["tempo_grid"].update(min_bpm=300.0, max_bpm=30.0), "got 300 to 30 BPM"),
    "grid without width": (lambda c: c["tempo_grid"].update(max_bpm=30.000001), "at least 1.1 times min_bpm"),
    "mels": (with_features(n_mels=10**9), "features.n_mels should be less than or equal to 1024, got 1e.09"),
    "rate": (with_features(sample_rate_hz=10**6), "features.sample_rate_hz should be less"),
    "fft": (with_features(n_fft=10**6), "features.n_fft should be less"),
    "fft below the window": (with_features(n_fft=1024), "window_samples must be .* got 2048 with .* n_fft 1024"),
    "sound between frames": (with_features(hop_samples=2049), "window_samples must be .* hop_samples 2049"),
    "bands upside down": (with_features(f_min_hz=12_000.0), "f_min_hz must be below f_max_hz .* got 12000 to 10000 Hz"),
    "bands beyond": (
        with_features(f_max_hz=13_000.0),
        "at most half of sample_rate_hz, got 40 to 13000 Hz at 24000 Hz",
    ),
    "digits": (lambda c: c.update(window_s=10**400), "window_s should be"),
    "infinite": (lambda c: c["calibration"].update(scale=float("inf")), "calibration.scale should be a finite number"),
    "scale of nothing": (
        lambda c: c["calibration"].update(scale=0),
        "calibration.scale should be greater .* 0.001, got 0",
    ),
    "scale that turns": (lambda c: c["calibration"].update(scale=-1.7), "calibration.scale should be .* got -1.7"),
    "not a number": (lambda c: c.update(tempo_threshold=float("nan")), "tempo_threshold should be a finite number"),
    "threshold": (
        lambda c: c["thresholds"].__setitem__(1, "nan"),
        r"thresholds\[1\] should be a valid number, got 'nan'",
    ),
    "threshold of everything": (
        lambda c: c["thresholds"].__setitem__(0, 0),
        r"thresholds\[0\] .* greater than 0, got 0",
    ),
    "threshold of nothing": (lambda c: c["thresholds"].__setitem__(0, 1.0), r"thresholds\[0\] .* less than 1, got 1"),
    "true": (with_features(n_mels=True), "features.n_mels should be a valid integer, got"),
    "label": (lambda c: c["labels"].__setitem__(0, "<b>" * 100), r"labels\[0\] .* at most 100 characters, got '<b><b>"),
    "no label": (lambda c: c["labels"].__setitem__(0, ""), r"labels\[0\] .* at least 1 character"),
    "label of lines": (lambda c: c["labels"].__setitem__(0, "a\nb"), r"labels\[0\] .* printable characters only"),
    "label of a list": (lambda c: c["labels"].__setitem__(0, ["a"]), r"labels\[0\] should be a valid string"),
    "labels": (lambda c: c.update(labels=[str(n) for n in range(5000)]), "labels .* at most 1000 items"),
    "labels as text": (lambda c: c.update(labels="rock"), "labels should be a valid .*, got 'rock'"),
    "no labels": (lambda c: c.pop("labels"), "is incomplete or damaged: it has no labels"),
    "metrics": (lambda c: c.update(metrics=["good"]), r"metrics\[0\] should be an object, got 'good'"),
    "metrics of text": (
        lambda c: c["metrics"][0].update(value="x"),
        r"metrics\[0\].value should be a valid number, got 'x'",
    ),
    "family": (lambda c: c.update(family="x\n" * 50_000), "family .* at most 200 characters"),
    "family of no kind": (
        lambda c: c.update(family="oracle"),
        "model family must be one of cnn, crnn, vit, got 'oracle'",
    ),
    "family as list": (lambda c: c.update(family=["cnn"]), "family should be a valid string"),
    "features as list": (lambda c: c.update(features=[1, 2]), "features should be an object"),
    "no grid": (lambda c: c.update(tempo_grid=None), "tempo_grid should be an object"),
    "a setting of the future": (
        lambda c: c.update(wings=2),
        "is of another version: wings is no setting of this program",
    ),
    "schema": (lambda c: c.update(schema="x" * 100_000), "has schema 'xxx.*…, this program reads 2"),
    "schema of before": (lambda c: (c.update(schema=1), c.pop("kind_taught")), "has schema 1, this program reads 2"),
    "no schema": (lambda c: c.pop("schema"), "has schema none, this program reads 2"),
}


@pytest.mark.parametrize(("change", "message"), CONFIGS.values(), ids=CONFIGS)
def test_a_configuration_that_would_fill_memory_or_makes_no_sense_is_refused(
    changed: Changed, change: Callable[[dict], Any], message: str
) -> None:
    assert re.search(message, refusal_of(changed(change)))


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ({"value": 1, "n": 2, "split": "x"}, r"it has no metrics\[1\].measure"),
        ({"measure": "accuracy", "value": 0.5, "split": "x"}, r"it has no metrics\[1\].n"),
        ({"measure": "accuracy", "value": 0.5, "n": 3}, r"it has no metrics\[1\].split"),
        (METRIC | {"measure": 7}, r"metrics\[1\].measure should be a valid string, got 7"),
        (METRIC | {"value": None}, r"metrics\[1\].value should be a valid number, got None"),
        (METRIC | {"value": True}, "value should be a valid number, got"),
        (METRIC | {"value": float("nan")}, "value should be a finite number|value should be"),
        (METRIC | {"n": "many"}, "n should be a valid integer, got 'many'"),
        (METRIC | {"n": 0}, "n should be greater than or equal to 1, got 0"),
        (METRIC | {"n": 4.5}, "n should be a valid integer"),
        (METRIC | {"split": ""}, "split should have at least 1 character"),
        (METRIC | {"split": "a\nb"}, "split .*printable characters only"),
        (METRIC | {"interval_95": 0.3}, "interval_95 should be a valid .*, got 0.3"),
        (METRIC | {"interval_95": [0.3]}, "interval_95 .* at least 2 items"),
        (METRIC | {"interval_95": [0.3, "0.7"]}, r"interval_95\[1\] should be a valid number"),
        (METRIC | {"seed": "zero"}, "seed should be a valid integer, got 'zero'"),
        (METRIC | {"seeds": 0}, "seeds should be greater than or equal to 1"),
        (METRIC | {"sd": "small"}, "sd should be a valid number"),
        (METRIC | {"date": 2026}, "date should be a valid string"),
        (METRIC | {"value": 1e308}, r"value should be less than or equal to .*, got 1e\+308"),
        (METRIC | {"interval_95": [-1e300, 1.0]}, r"interval_95\[0\] should be greater than or equal to"),
        (METRIC | {"sd": 1e300}, "sd should be less than or equal to"),
        (METRIC | {"n": 10**400}, "n should be less than or equal to .*, got a number of 401 digits"),
        (METRIC | {"seed": 10**400}, "seed should be less than or equal to"),
    ],
)
def test_a_metric_that_nobody_could_show_is_refused(changed: Changed, metric: dict, message: str) -> None:
    assert re.search(message, refusal_of(changed(lambda config: config["metrics"].append(metric))))


@pytest.mark.parametrize("more", [{"interval_95": None, "sd": None, "date": None}, {"of": "mine", "sd": 0}])
def test_what_a_metric_may_leave_open_or_add_is_kept(changed: Changed, more: dict) -> None:
    folder = changed(lambda config: config["metrics"].append(METRIC | more))
    assert load_checkpoint(folder)[0].config.metrics[1] == METRIC | more


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: b'{"a": "' + b"x" * 100_000_000 + b'"}', "has 100.0 MB: at most 1 MB"),
        (lambda: b"[" * 100_000 + b"]" * 100_000, "recursion limit"),
        (lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "recursion limit"),
        (lambda: b'{"window_s": ' + b"9" * 10_000 + b"}", "is not JSON|window_s"),
        (lambda: b"\xff\xfe\x00", "is not JSON that can be read"),
        (lambda: b"null", "should be an object"),
        (lambda: b"", "is not JSON that can be read"),
    ],
    ids=range(7),
)
def test_a_configuration_that_is_none_is_refused(changed: Changed, content: Callable[[], bytes], message: str) -> None:
    folder = changed(lambda config: None)
    (folder / "config.json").write_bytes(content())
    sentence = refusal_of(folder)
    assert str(folder / "config.json") in sentence
    assert re.search(message, sentence)
