"""Whether weights from elsewhere fit their config.json, found out before anything is built or read whole."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from fluxbeat.errors import ModelLoadError
from fluxbeat.models.checkpoint import CONFIG_FILE, WEIGHTS_FILE, build_model, config_from_dict

LARGEST_SETTING = 4096
"""No network of FluxBeat's families has a larger number in its architecture: one that has would only fill memory."""
LARGEST_NUMBER = 1e6
HEAD = "genre_head.bias"


def check_fits(folder: Path) -> None:
    """Compare config.json with the header of the weights; needs no memory for either network.

    Raises
    ------
    ModelLoadError
        If a file is damaged, or the two do not fit each other; names the first difference.
    ConfigMismatchError
        If the config is of another version of FluxBeat.
    """
    try:
        values = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ModelLoadError(f"{CONFIG_FILE} is not JSON") from error
    if not isinstance(values, dict):
        raise ModelLoadError(f"{CONFIG_FILE} is not a model's configuration")
    _refuse_absurd(values)
    config = config_from_dict(values)
    with torch.device("meta"):
        expected = {name: tuple(value.shape) for name, value in build_model(config).state_dict().items()}
    found = _shapes(folder / WEIGHTS_FILE)
    answers = found.get(HEAD, ())
    if len(answers) == 1 and answers[0] != len(config.labels):
        raise ModelLoadError(
            f"labels do not fit the weights: {CONFIG_FILE} names {len(config.labels)}, the weights answer for "
            f"{answers[0]}"
        )
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        raise ModelLoadError(
            f"{WEIGHTS_FILE} does not fit its {CONFIG_FILE} in {len(wrong)} tensors; {wrong[0][:80]}: expected "
            f"{expected.get(wrong[0])}, got {found.get(wrong[0])}"
        )


def _shapes(weights: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(weights, framework="pt") as header:
            return {name: tuple(header.get_slice(name).get_shape()) for name in header.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelLoadError(f"{WEIGHTS_FILE} is cut short, damaged or no safetensors file") from error


def _refuse_absurd(values: dict[str, Any]) -> None:
    for key, value in values.items():
        if key != "metrics":
            _refuse_large(key, value, LARGEST_SETTING if key == "architecture" else LARGEST_NUMBER)


def _refuse_large(key: str, value: Any, largest: float) -> None:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        _refuse_large(key, part, largest)
    if isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= largest):
        raise ModelLoadError(f"{CONFIG_FILE} asks for {key} of {value:g}: at most {largest:g} makes sense")
