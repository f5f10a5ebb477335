"""Whether the two files of a checkpoint make sense, found out before anything is built or read whole.

A checkpoint may come from anybody. What is refused here would otherwise fill memory (a file of some bytes can promise a
network of terabytes), never end, or fail much later in words that nobody understands. Every message begins with the
name of the file.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open

from fluxbeat.errors import ModelLoadError
from fluxbeat.models.metrics import fault_of

if TYPE_CHECKING:
    from fluxbeat.models.base import ModelConfig

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
LARGEST_CONFIG_BYTES = 1_000_000
LARGEST_HEADER_BYTES = 1_000_000
"""The bundled checkpoints have 13,000 and 14,000 bytes."""
LARGEST_SETTING = 4096
"""No network of FluxBeat's families has a larger number in its architecture: one that has would only fill memory."""
MOST_LAYERS = 64
LARGEST_NUMBER = 1e6
MOST_WINDOW_FRAMES = 4096
MOST_LABELS, LONGEST_LABEL = 1000, 100
HEAD = "genre_head.bias"

Range = tuple[float, float]
RANGES: dict[str, dict[str, Range]] = {
    "": {"window_s": (0.5, 120), "tempo_threshold": (-1e3, 1e3)},
    "calibration": {"scale": (1e-3, 1e3), "bias": (-1e3, 1e3)},
    "tempo_grid": {"min_bpm": (1, 1000), "max_bpm": (1, 1000), "bins": (2, 512)},
    "features": {
        "sample_rate_hz": (4000, 192_000), "n_fft": (64, 65_536), "window_samples": (16, 65_536),
        "hop_samples": (16, 65_536), "n_mels": (4, 1024), "f_min_hz": (0, 96_000), "f_max_hz": (1, 96_000),
        "floor_db": (-1000, 1000), "dynamic_range_db": (1, 1000), "norm_window_s": (0.1, 3600),
    },
}  # fmt: skip
"""By part of config.json: what makes sense for music, and can be computed in little memory."""
WHOLE = {"bins", "sample_rate_hz", "n_fft", "window_samples", "hop_samples", "n_mels"}
LAYERS = {"depth", "heads", "lstm_layers"}
_TYPE_NAMES = {torch.float32: "F32", torch.int64: "I64"}

Tensors = dict[str, tuple[tuple[int, ...], str]]
"""Shape and type of each tensor by its name."""


def read_config(path: Path) -> dict[str, Any]:
    """What config.json holds: an object without absurd numbers.

    Raises
    ------
    ModelLoadError
        If it is too large, no JSON object, or asks for what no model of FluxBeat needs.
    """
    size_bytes = path.stat().st_size
    if size_bytes > LARGEST_CONFIG_BYTES:
        raise _refused(f"has {size_bytes / 1e6:,.1f} MB: at most {LARGEST_CONFIG_BYTES / 1e6:g} MB makes sense")
    try:
        values = json.loads(path.read_bytes())
        if not isinstance(values, dict):
            raise _refused("is not a model's configuration")
        for key, value in values.items():
            if key != "metrics":
                _refuse_large(key, value)
    except RecursionError as error:
        raise _refused("is not JSON that can be read: it is nested too deep") from error
    except ValueError as error:
        raise _refused(f"is not JSON: {str(error)[:200]}") from error
    for part, ranges in RANGES.items():
        _refuse_out_of_range(values if not part else values.get(part), ranges)
    _refuse_wrong_lists(values)
    if not isinstance(values.get("family", ""), str):
        raise _refused("is incomplete or damaged: family must be a name")
    return values


def check_length(config: ModelConfig) -> None:
    """Refuse windows that are too long to be computed: a short clip is padded to one.

    Raises
    ------
    ModelLoadError
    """
    if config.window_frames > MOST_WINDOW_FRAMES:
        raise _refused(
            f"asks for windows of {config.window_frames:,} frames: at most {MOST_WINDOW_FRAMES:,} make sense"
        )


def tensors_of(network: torch.nn.Module) -> Tensors:
    """What a network's weights must be; the network may lie on the meta device."""
    state = network.state_dict()
    return {name: (tuple(value.shape), _TYPE_NAMES.get(value.dtype, str(value.dtype))) for name, value in state.items()}


def tensors_in(path: Path) -> Tensors:
    """What the header of a safetensors file says of its content, of which nothing is read.

    Raises
    ------
    ModelLoadError
        If it is no such file, or its header and its length contradict each other.
    """
    with path.open("rb") as file:
        start = file.read(8)
    header_bytes = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if header_bytes > LARGEST_HEADER_BYTES:
        raise _damaged(f"its header claims to have {header_bytes:,} bytes")
    try:
        with safe_open(path, framework="pt") as header:
            slices = {name: header.get_slice(name) for name in header.keys()}  # noqa: SIM118
            return {name: (tuple(one.get_shape()), str(one.get_dtype())) for name, one in slices.items()}
    except (SafetensorError, OSError) as error:
        raise _damaged(str(error)[:200]) from error


def check_tensors(expected: Tensors, found: Tensors, labels: int) -> None:
    """Compare what a network needs with what a file says it holds.

    Raises
    ------
    ModelLoadError
        Names the first difference.
    """
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if not wrong:
        return
    head, _ = found.get(HEAD, ((), ""))
    answers = head[0] if len(head) == 1 else labels
    if answers != labels:
        raise ModelLoadError(
            f"{WEIGHTS_FILE}: labels do not fit the weights: {CONFIG_FILE} names {labels}, the weights answer for "
            f"{answers}; {_difference(HEAD, expected, found)}"
        )
    raise ModelLoadError(
        f"{WEIGHTS_FILE} does not fit its {CONFIG_FILE} in {len(wrong)} tensors; "
        f"{_difference(wrong[0], expected, found)}"
    )


def _difference(name: str, expected: Tensors, found: Tensors) -> str:
    wanted, there = expected.get(name), found.get(name)
    types = bool(wanted and there and wanted[1] != there[1])

    def described(tensor: tuple[tuple[int, ...], str] | None) -> str:
        return "None" if tensor is None else f"{tensor[0]} of {tensor[1]}" if types else str(tensor[0])

    return f"{name[:80]}: expected {described(wanted)}, got {described(there)}"


def _refuse_large(key: str, value: Any, within: str = "") -> None:
    """Walk through everything under a key of config.json."""
    largest = LARGEST_SETTING if "architecture" in (key, within) else LARGEST_NUMBER
    if isinstance(value, dict):
        for name, part in value.items():
            _refuse_large(key, part, str(name))
            if name in LAYERS and isinstance(part, int) and part > MOST_LAYERS:
                raise _refused(f"asks for {name} of {_number(part)}: at most {MOST_LAYERS} makes sense")
    elif isinstance(value, list):
        if key == "architecture" and len(value) > MOST_LAYERS:
            raise _refused(f"asks for {len(value)} values of {within}: at most {MOST_LAYERS} make sense")
        for part in value:
            _refuse_large(key, part, within)
    elif isinstance(value, int | float) and not abs(value) <= largest:  # not a number is not less either
        raise _refused(f"asks for {key} of {_number(value)}: at most {largest:g} makes sense")


def _refuse_out_of_range(values: Any, ranges: Mapping[str, Range]) -> None:
    """Settings that are missing are named where the configuration is made of them."""
    if not isinstance(values, dict):
        return
    for name, (least, most) in ranges.items():
        value = values.get(name, least)
        if isinstance(value, bool) or not isinstance(value, int if name in WHOLE else int | float):
            kind = "a whole number" if name in WHOLE else "a number"
            raise _refused(f"is incomplete or damaged: {name} must be {kind}, got {str(value)[:40]!r}")
        if not least <= value <= most:
            raise _refused(f"asks for {name} of {_number(value)}: {least:g} to {most:g} make sense")


def _refuse_wrong_lists(values: Mapping[str, Any]) -> None:
    labels, thresholds, metrics = (values.get(name, []) for name in ("labels", "thresholds", "metrics"))
    for name, value in (("labels", labels), ("thresholds", thresholds), ("metrics", metrics)):
        if not isinstance(value, list):
            raise _refused(f"is incomplete or damaged: {name} must be a list")
        if len(value) > MOST_LABELS:
            raise _refused(f"has {len(value):,} {name}: at most {MOST_LABELS:,} make sense")
    for label in labels:
        if not isinstance(label, str) or not 1 <= len(label) <= LONGEST_LABEL or not label.isprintable():
            raise _refused(
                f"is incomplete or damaged: a label must be 1 to {LONGEST_LABEL} printable characters, "
                f"got {str(label)[:40]!r}"
            )
    for threshold in thresholds:
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold < 1:
            raise _refused(
                f"is incomplete or damaged: a threshold must be above 0 and below 1, got {str(threshold)[:40]!r}"
            )
    for metric in metrics:
        fault = fault_of(metric)
        if fault:
            raise _refused(f"is incomplete or damaged: {fault}")


def _number(value: float) -> str:
    """A number in few characters, also where it is an integer of a thousand digits."""
    try:
        return f"{value:g}"
    except OverflowError:
        return f"about 1e+{math.floor(math.log10(abs(value)))}"


def _refused(found: str) -> ModelLoadError:
    return ModelLoadError(f"{CONFIG_FILE} {found}")


def _damaged(why: str) -> ModelLoadError:
    return ModelLoadError(f"{WEIGHTS_FILE} is cut short, damaged or no safetensors file ({why})")
