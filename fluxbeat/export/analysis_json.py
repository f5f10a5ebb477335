"""The one JSON of the program, as a file."""

from __future__ import annotations

import json

from fluxbeat.analysis.result import TrackAnalysis


def to_json(analysis: TrackAnalysis) -> bytes:
    """`TrackAnalysis.to_dict` as UTF-8 text, indented; no NaN."""
    return (json.dumps(analysis.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
