"""Runs of an array in which something holds without a break."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import find_objects, label


def runs(flags: np.ndarray) -> list[slice]:
    """Where flags, shape (n,), are set without a break: one slice for each run, in order."""
    return [run for (run,) in find_objects(label(flags)[0])] if len(flags) else []
