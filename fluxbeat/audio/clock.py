"""Time in a recording as players show it: the one place where it is written, for errors, summaries and every view."""

from __future__ import annotations

import math

TOLERANCE_S = 0.005
"""A time this close below a full second is that second: 2.9999 s of a decoder are `0:03`."""


def clock(seconds: float) -> str:
    """The second that has begun: `3:05`, `1:02:09`; `charts/wording.js` writes the same."""
    minutes, second = divmod(max(0, math.floor(seconds + TOLERANCE_S)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
