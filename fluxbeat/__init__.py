"""FluxBeat shows how genre and tempo flow through a piece of music.

>>> import fluxbeat
>>> analysis = fluxbeat.analyze("song.mp3", model="crnn")  # doctest: +SKIP
>>> analysis.tempo.bpm  # doctest: +SKIP
128.0
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fluxbeat.errors import (
    AnalysisCancelled,
    AudioDecodeError,
    ConfigMismatchError,
    FluxBeatError,
    ModelLoadError,
    TempoError,
)

__version__ = "0.2.0"

# Torch's threads would spin while they wait for each other, and on a busy machine burn the time that they wait for.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch is first imported

if TYPE_CHECKING:
    from fluxbeat.analysis.engine import analyze, compare
    from fluxbeat.analysis.result import TrackAnalysis
    from fluxbeat.explanation.explain import explain, explain_tempo
    from fluxbeat.explanation.result import Explanation
    from fluxbeat.models.registry import load

_HOMES = {
    "TrackAnalysis": "fluxbeat.analysis.result",
    "analyze": "fluxbeat.analysis.engine",
    "compare": "fluxbeat.analysis.engine",
    "load": "fluxbeat.models.registry",
    "Explanation": "fluxbeat.explanation.result",
    "explain": "fluxbeat.explanation.explain",
    "explain_tempo": "fluxbeat.explanation.explain",
}

__all__ = [
    "AnalysisCancelled",
    "AudioDecodeError",
    "ConfigMismatchError",
    "Explanation",
    "FluxBeatError",
    "ModelLoadError",
    "TempoError",
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
