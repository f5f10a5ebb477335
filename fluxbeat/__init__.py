"""FluxBeat shows how genre and tempo flow through a piece of music.

>>> import fluxbeat
>>> analysis = fluxbeat.analyze("song.mp3", model="crnn")  # doctest: +SKIP
>>> analysis.tempo.bpm  # doctest: +SKIP
128.0
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fluxbeat.analysis import TrackAnalysis, analyze, compare
    from fluxbeat.errors import (
        AnalysisCancelled,
        AudioDecodeError,
        ConfigMismatchError,
        FluxBeatError,
        ModelLoadError,
    )
    from fluxbeat.explanation import Explanation, explain, explain_tempo
    from fluxbeat.zoo import load

_HOMES = {
    "TrackAnalysis": "fluxbeat.analysis",
    "analyze": "fluxbeat.analysis",
    "compare": "fluxbeat.analysis",
    "load": "fluxbeat.zoo",
    "Explanation": "fluxbeat.explanation",
    "explain": "fluxbeat.explanation",
    "explain_tempo": "fluxbeat.explanation",
    "AnalysisCancelled": "fluxbeat.errors",
    "AudioDecodeError": "fluxbeat.errors",
    "ConfigMismatchError": "fluxbeat.errors",
    "FluxBeatError": "fluxbeat.errors",
    "ModelLoadError": "fluxbeat.errors",
}

__all__ = [
    "AnalysisCancelled",
    "AudioDecodeError",
    "ConfigMismatchError",
    "Explanation",
    "FluxBeatError",
    "ModelLoadError",
    "TrackAnalysis",
    "__version__",
    "analyze",
    "compare",
    "explain",
    "explain_tempo",
    "load",
]


def __getattr__(name: str) -> Any:
    """Import torch and the models only when they are asked for, so that `--help` and errors come at once."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'fluxbeat' has no attribute {name!r}")
