"""A teacher's published weights, from the folder that a person keeps them in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fluxbeat.errors import FluxBeatError


def read_weights(folder: str | Path, file: str, needed: Iterable[str]) -> dict[str, Tensor]:
    """The arrays of a file as Tensors, by name.

    Parameters
    ----------
    folder : path
        Folder of the teachers' weights.
    file : str
        Name of a NumPy archive in it.
    needed : iterable of str
        Names that must be there, to know the file from any other.

    Raises
    ------
    FluxBeatError
        If the file is missing, is no archive, or holds something else.
    """
    path = Path(folder) / file
    if not path.is_file():
        raise FluxBeatError(f"{path}: no such file; the folder of teachers must hold {file}")
    try:
        with np.load(path) as arrays:
            weights = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    except (OSError, ValueError, TypeError) as error:
        raise FluxBeatError(f"{path} is no archive of weights ({error}); fetch it again") from error
    missing = sorted(set(needed) - set(weights))
    if missing:
        raise FluxBeatError(f"{path} holds other weights than expected: {missing[0]} is missing")
    return weights
