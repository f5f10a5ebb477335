"""A TrackAnalysis as bytes and back: JSON of its fields, with its arrays as text."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import ConfigDict, TypeAdapter
from pydantic_core import to_jsonable_python

from fluxbeat.analysis.correction import as_found
from fluxbeat.analysis.result import TrackAnalysis

_ANALYSES = TypeAdapter(tuple[TrackAnalysis], config=ConfigDict(arbitrary_types_allowed=True))


def pack(analysis: TrackAnalysis) -> bytes:
    """Everything of an analysis as it was found; a person's correction of the tempo is not part of it.

    Onset strength is kept in half precision, which is enough to find beats anew at another tempo.
    """
    analysis = as_found(analysis)
    if onsets := analysis.onsets:
        halves = replace(onsets, strength=onsets.strength.astype(np.float16), low=onsets.low.astype(np.float16))
        analysis = replace(analysis, onsets=halves)
    plain = to_jsonable_python(analysis, fallback=_as_text)
    return zlib.compress(json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode())


def unpack(content: bytes, file: str) -> TrackAnalysis:
    """The analysis that `pack` was given, under the name `file`; its `to_dict` is equal.

    Raises
    ------
    ValueError
        If the content is damaged.
    """
    try:
        plain = json.loads(zlib.decompress(content), object_hook=_as_array)
    except zlib.error as error:
        raise ValueError(f"damaged: {error}") from error
    (analysis,) = _ANALYSES.validate_python([plain])
    return replace(analysis, file=file)


def _as_text(values: np.ndarray) -> dict[str, Any]:
    content = base64.b85encode(values.tobytes()).decode()
    return {"dtype": values.dtype.str, "shape": values.shape, "content": content}


def _as_array(plain: dict[str, Any]) -> Any:
    if "content" not in plain:
        return plain
    values = np.frombuffer(base64.b85decode(plain["content"]), plain["dtype"]).reshape(plain["shape"])
    return values.astype(np.float32) if values.dtype == np.float16 else values
