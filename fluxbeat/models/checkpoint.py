"""A model on disk: a folder with config.json and model.safetensors. Loading is strict, nothing is unpickled."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save_file

from fluxbeat.errors import ConfigMismatchError, ModelLoadError
from fluxbeat.features import FeatureConfig
from fluxbeat.models.base import Calibration, GenreTempoModel, ModelConfig
from fluxbeat.models.cnn import BaselineCNN
from fluxbeat.models.crnn import CRNN
from fluxbeat.models.tempo import TempoGrid
from fluxbeat.models.vetting import CONFIG_FILE as CONFIG_FILE
from fluxbeat.models.vetting import WEIGHTS_FILE as WEIGHTS_FILE
from fluxbeat.models.vetting import check_length, check_tensors, read_config, tensors_in, tensors_of
from fluxbeat.models.vit import AudioTransformer

SCHEMA = 1
LONGEST_MESSAGE = 500
FAMILIES: dict[str, type[GenreTempoModel]] = {"cnn": BaselineCNN, "crnn": CRNN, "vit": AudioTransformer}


def build_model(config: ModelConfig) -> GenreTempoModel:
    """A model with fresh weights, as its configuration describes it.

    The model's own configuration names every setting of the architecture, also those that the given one leaves to this
    program: a checkpoint stays what it is when a later version's defaults are others.

    Raises
    ------
    ModelLoadError
        If the family is not known or does not take the architecture's settings.
    """
    if config.family not in FAMILIES:
        raise ModelLoadError(f"model family must be one of {', '.join(FAMILIES)}, got {config.family!r}")
    family = FAMILIES[config.family]
    settings = inspect.signature(family).parameters.values()
    defaults = {one.name: one.default for one in settings if one.default is not one.empty}
    try:
        # lists in place of tuples, as config.json gives them back
        architecture = json.loads(json.dumps(defaults | config.architecture))
        return family(replace(config, architecture=architecture), **architecture)
    except (TypeError, ValueError, ArithmeticError, AssertionError, LookupError, RuntimeError) as error:
        raise ModelLoadError(f"architecture of {config.family} does not fit this program: {error}") from error


def config_to_dict(config: ModelConfig) -> dict[str, Any]:
    """What config.json holds."""
    return {
        "schema": SCHEMA,
        "family": config.family,
        "labels": list(config.labels),
        "thresholds": list(config.thresholds),
        "tempo_grid": asdict(config.tempo_grid),
        "tempo_threshold": config.tempo_threshold,
        "tempo_taught": config.tempo_taught,
        "features": config.features.to_dict(),
        "window_s": config.window_s,
        "calibration": asdict(config.calibration),
        "architecture": config.architecture,
        "metrics": list(config.metrics),
    }


def config_from_dict(values: dict[str, Any]) -> ModelConfig:
    """Read what `config_to_dict` wrote.

    Raises
    ------
    ConfigMismatchError
        If the schema, the features or the labels are not what this program can serve.
    ModelLoadError
        If a setting is missing or has the wrong type.
    """
    if values.get("schema") != SCHEMA:
        raise ConfigMismatchError(f"config.json has schema {values.get('schema')}, this program reads {SCHEMA}")
    try:
        return ModelConfig(
            family=values["family"],
            labels=tuple(values["labels"]),
            thresholds=tuple(float(threshold) for threshold in values["thresholds"]),
            tempo_grid=TempoGrid(**values["tempo_grid"]),
            tempo_threshold=float(values["tempo_threshold"]),
            tempo_taught=bool(values.get("tempo_taught", True)),  # what was written before this setting was taught
            features=FeatureConfig.from_dict(values["features"]),
            window_s=float(values["window_s"]),
            calibration=Calibration(**values["calibration"]),
            architecture=dict(values["architecture"]),
            metrics=tuple(values["metrics"]),
        )
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise ModelLoadError(f"config.json is incomplete or damaged: {type(error).__name__} {error}") from error


def save_checkpoint(model: GenreTempoModel, folder: str | Path) -> None:
    """Write config.json and model.safetensors into `folder`, which is made where it is missing.

    Both are written beside their places and moved there when they are whole, the weights last: whoever is cut off
    leaves the checkpoint that was there before, and a folder with weights is a finished one.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder) as beside:
        config = json.dumps(config_to_dict(model.config), indent=2) + "\n"
        Path(beside, CONFIG_FILE).write_text(config, encoding="utf-8")
        save_file(weights, Path(beside, WEIGHTS_FILE))
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            with open(Path(beside, name), "rb") as written:
                os.fsync(written.fileno())
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            os.replace(Path(beside, name), folder / name)


def check_checkpoint(folder: str | Path) -> ModelConfig:
    """Compare config.json with the header of the weights; needs no memory for either network.

    Raises
    ------
    ModelLoadError
        If a file is damaged or absurd, or the two do not fit each other; names the first difference.
    ConfigMismatchError
        If the config is of another version of FluxBeat.
    """
    folder = Path(folder)
    try:
        config = config_from_dict(read_config(folder / CONFIG_FILE))
        check_length(config)
        with torch.device("meta"):
            expected = tensors_of(build_model(config))
        check_tensors(expected, tensors_in(folder / WEIGHTS_FILE), len(config.labels))
    except (ModelLoadError, ConfigMismatchError) as error:
        text = _one_line(str(error))
        named = text.startswith((CONFIG_FILE, WEIGHTS_FILE))
        raise type(error)(text if named else f"{CONFIG_FILE}: {text}") from error
    return config


def _one_line(text: str) -> str:
    """Without the line breaks and the lengths that a strange configuration brings into a message."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_MESSAGE else f"{line[:LONGEST_MESSAGE]} …"


def load_checkpoint(folder: str | Path) -> tuple[GenreTempoModel, str]:
    """Read a checkpoint.

    Parameters
    ----------
    folder : path
        Folder with config.json and model.safetensors.

    Returns
    -------
    model : GenreTempoModel
        In evaluation mode.
    revision : str
        First 12 hexadecimal digits of the SHA-256 of the weights file.

    Raises
    ------
    ModelLoadError
        If a file is missing or damaged, or the weights do not fit the configuration exactly.
    ConfigMismatchError
        If features, labels or schema differ from what this program computes, or settings contradict each other.
    """
    folder = Path(folder)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise ModelLoadError(f"{folder} is no checkpoint: it has no {name}")
    try:
        config = check_checkpoint(folder)
    except (ModelLoadError, ConfigMismatchError) as error:
        raise type(error)(str(folder / str(error))) from error
    model = build_model(config)
    content = (folder / WEIGHTS_FILE).read_bytes()
    try:
        weights = load_safetensors(content)
    except SafetensorError as error:
        raise ModelLoadError(f"{folder / WEIGHTS_FILE} is damaged or no safetensors file: {error}") from error
    if any(not torch.isfinite(value).all() for value in weights.values()):
        raise ModelLoadError(f"{folder / WEIGHTS_FILE} holds values that are not finite: the file is damaged")
    model.load_state_dict(weights, strict=True)
    # on processors convolutions over interleaved channels take half the time; answers agree to 1e-5
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval(), hashlib.sha256(content).hexdigest()[:12]
