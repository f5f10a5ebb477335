"""What a checkpoint's metrics must be, so that whoever shows or publishes them finds what they need."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

LARGEST_NUMBER = 2.0**64
"""No count and no seed is larger."""
LONGEST_NAME = 200


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= LONGEST_NAME and value.isprintable()


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return not (isinstance(value, float) and math.isnan(value)) and abs(value) <= LARGEST_NUMBER


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and _is_number(value)


def _is_count(value: Any) -> bool:
    return _is_whole(value) and value >= 1


def _is_interval(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_number, value))


Kind = tuple[Callable[[Any], bool], str]
_NAME: Kind = (_is_name, f"1 to {LONGEST_NAME} printable characters")
_NUMBER: Kind = (_is_number, "a number")
_COUNT: Kind = (_is_count, "a whole number above 0")
REQUIRED: dict[str, Kind] = {"measure": _NAME, "value": _NUMBER, "n": _COUNT, "split": _NAME}
"""What was measured, what came out, on how many tracks (or labels), and which they are."""
OPTIONAL: dict[str, Kind] = {
    "interval_95": (_is_interval, "two numbers"),
    "sd": _NUMBER,
    "seeds": _COUNT,
    "seed": (_is_whole, "a whole number"),
    "date": _NAME,
}
"""Each may be missing or null: 95 % interval of the value, its deviation between training runs and their number, the
run's seed, and the day."""


def fault_of(metric: Any) -> str:
    """What is wrong with one of a config.json's metrics, in words; empty where nothing is.

    Other keys than those of `REQUIRED` and `OPTIONAL` are let through: nobody reads them.
    """
    if not isinstance(metric, dict):
        return f"a metric must be an object, got {_shown(metric)}"
    missing = [name for name in REQUIRED if name not in metric]
    if missing:
        return f"a metric needs {', '.join(REQUIRED)}; this one has no {missing[0]}: {_shown(metric)}"
    for name, (fits, kind) in {**REQUIRED, **OPTIONAL}.items():
        value = metric.get(name)
        if not fits(value) and (value is not None or name in REQUIRED):
            return f"a metric's {name} must be {kind}, got {_shown(value)}"
    return ""


def measured(metric: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Some of a metric's values by their names, without what is missing or null."""
    return {name: metric[name] for name in names if metric.get(name) is not None}


def _shown(value: Any) -> str:
    return repr(str(value)[:60])
