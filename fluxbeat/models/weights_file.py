"""model.safetensors of a checkpoint: whether its header fits its length and the network, before anything of it is read.

A header that lies would otherwise fill memory. Every message begins with the name of the file.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from fluxbeat.errors import ModelLoadError
from fluxbeat.models.config_file import CONFIG_FILE

WEIGHTS_FILE = "model.safetensors"
HEAD = "genre_head.bias"
_TYPE_NAMES = {torch.float32: "F32", torch.int64: "I64"}

Tensors = dict[str, tuple[tuple[int, ...], str]]
"""Shape and type of each tensor by its name."""


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
    try:
        with safe_open(path, framework="pt") as header:
            slices = {name: header.get_slice(name) for name in header.keys()}  # noqa: SIM118
            return {name: (tuple(one.get_shape()), str(one.get_dtype())) for name, one in slices.items()}
    except (SafetensorError, OSError) as error:
        why = str(error)[:200]
        raise ModelLoadError(f"{WEIGHTS_FILE} is cut short, damaged or no safetensors file ({why})") from error


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
    answers, _ = found.get(HEAD, ((labels,), ""))
    if len(answers) == 1 and answers[0] != labels:
        raise ModelLoadError(
            f"{WEIGHTS_FILE}: labels do not fit the weights: {CONFIG_FILE} names {labels}, the weights answer for "
            f"{answers[0]}; {_difference(HEAD, expected, found)}"
        )
    raise ModelLoadError(
        f"{WEIGHTS_FILE} does not fit its {CONFIG_FILE} in {len(wrong)} tensors; "
        f"{_difference(wrong[0], expected, found)}"
    )


def _difference(name: str, expected: Tensors, found: Tensors) -> str:
    shape, kind = expected.get(name, (None, ""))
    found_shape, found_kind = found.get(name, (None, ""))
    if shape == found_shape:
        return f"{name[:80]}: expected {shape} of {kind}, got {found_shape} of {found_kind}"
    return f"{name[:80]}: expected {shape}, got {found_shape}"
