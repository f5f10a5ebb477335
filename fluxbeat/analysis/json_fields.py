"""Numbers of a result as its JSON has them: rounded to what they mean."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def json_fields(result: object, **digits: int) -> dict[str, Any]:
    """These fields of a result, numbers and arrays of them, rounded to so many digits; None for NaN."""
    return {name: _rounded(getattr(result, name), places) for name, places in digits.items()}


def _rounded(value: Any, digits: int) -> Any:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        return [_rounded(one, digits) for one in value]
    return None if value is None or math.isnan(value) else round(value, digits)
