"""A model on disk: a folder with config.json and model.safetensors. Loading is strict, nothing is unpickled."""

from __future__ import annotations

import hashlib
import inspect
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save_file

from fluxbeat.atomic_write import atomic_write
from fluxbeat.errors import ConfigMismatchError, ModelLoadError
from fluxbeat.features.log_mel import FeatureConfig
from fluxbeat.models.base import Calibration, Familiarity, GenreTempoModel, ModelConfig
from fluxbeat.models.cnn import BaselineCNN
from fluxbeat.models.config_file import CONFIG_FILE as CONFIG_FILE
from fluxbeat.models.config_file import SCHEMA, ConfigFile, read_config
from fluxbeat.models.crnn import CRNN
from fluxbeat.models.tempo import TempoGrid
from fluxbeat.models.vit import AudioTransformer
from fluxbeat.models.weights_file import WEIGHTS_FILE as WEIGHTS_FILE
from fluxbeat.models.weights_file import check_tensors, tensors_in, tensors_of

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
    parameters = inspect.signature(family).parameters.values()
    defaults = {setting.name: setting.default for setting in parameters if setting.default is not setting.empty}
    try:
        # lists in place of tuples, as config.json gives them back
        architecture = json.loads(json.dumps(defaults | config.architecture))
        return family(replace(config, architecture=architecture), **architecture)
    except (TypeError, ValueError, ArithmeticError, AssertionError, LookupError, RuntimeError) as error:
        raise ModelLoadError(f"architecture of {config.family} does not fit this program: {error}") from error


def config_of(found: ConfigFile) -> ModelConfig:
    """What config.json means.

    Raises
    ------
    ConfigMismatchError
        If the features or the labels are not what this program can serve, or settings contradict each other.
    """
    settings = found.model_dump(exclude={"schema_version", "weights_sha256"}, exclude_unset=True)
    parts: dict[str, Any] = {
        "tempo_grid": TempoGrid(**settings["tempo_grid"]),
        "features": FeatureConfig.from_dict(settings["features"]),
        "familiarity": Familiarity(**settings["familiarity"]) if found.familiarity else None,
        "calibration": Calibration(**settings["calibration"]),
    }
    return ModelConfig(**settings | parts)


def save_checkpoint(model: GenreTempoModel, folder: str | Path) -> None:
    """Write config.json and model.safetensors into `folder`, which is made where it is missing.

    Both are written beside their places and moved there when they are whole, the weights last: whoever is cut off
    leaves the checkpoint that was there before, and a folder with weights is a finished one. config.json names the
    weights that belong to it, so that a cut between the two moves leaves nothing that loads: new thresholds never
    decide on old weights.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    with atomic_write(folder / WEIGHTS_FILE) as weights_path, atomic_write(folder / CONFIG_FILE) as config_path:
        save_file(weights, weights_path)
        own = {"features": model.config.features.to_dict(), "weights_sha256": sha256_of(weights_path)}
        config = {"schema": SCHEMA, **asdict(model.config), **own}
        config_path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
        First 12 hexadecimal digits of the SHA-256 of config.json and the weights, one after the other.

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
        found, described = read_config(folder / CONFIG_FILE)
        config = config_of(found)
        with torch.device("meta"):  # needs no memory for either network
            expected = tensors_of(build_model(config))
        check_tensors(expected, tensors_in(folder / WEIGHTS_FILE), len(config.labels))
    except (ModelLoadError, ConfigMismatchError) as error:
        text = " ".join(str(error).split())  # a strange configuration brings line breaks into a message
        if not text.startswith((CONFIG_FILE, WEIGHTS_FILE)):
            text = f"{CONFIG_FILE}: {text}"
        raise type(error)(f"{folder}/{text:.500}") from error
    model = build_model(config)
    content = (folder / WEIGHTS_FILE).read_bytes()
    weights = load_safetensors(content)
    if any(not torch.isfinite(value).all() for value in weights.values()):
        raise ModelLoadError(f"{folder / WEIGHTS_FILE} holds values that are not finite: the file is damaged")
    if found.weights_sha256 not in (None, hashlib.sha256(content).hexdigest()):
        raise ModelLoadError(
            f"{folder / CONFIG_FILE} belongs to other weights than {WEIGHTS_FILE} holds: one of the two files was "
            "replaced alone, as when saving is cut off; save or fetch the checkpoint again"
        )
    model.load_state_dict(weights, strict=True)
    # on processors convolutions over interleaved channels take half the time; answers agree to 1e-5
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval(), hashlib.sha256(described + content).hexdigest()[:12]
