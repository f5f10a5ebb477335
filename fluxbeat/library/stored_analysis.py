"""A TrackAnalysis as bytes and back: its JSON, with what the charts need beside it."""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np

from fluxbeat.analysis import Envelope, Genre, Segment, Tempo, TempoCandidate, Timeline, TrackAnalysis
from fluxbeat.zoo import ModelInfo


def pack(analysis: TrackAnalysis) -> bytes:
    """Everything of an analysis, with the precision of `TrackAnalysis.to_dict`; about 10 kB for a song."""
    kept = {
        "analysis": analysis.to_dict(),
        "envelope": {
            "peak": [round(float(peak), 4) for peak in analysis.envelope.peak],
            "step_s": analysis.envelope.step_s,
        },
        "tempo_grid_bpm": [round(float(bpm), 3) for bpm in analysis.tempo.grid_bpm],
        "tempo_distribution": [round(float(share), 7) for share in analysis.tempo.distribution],
        "elapsed_s": round(analysis.elapsed_s, 3),
    }
    return zlib.compress(json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode())


def unpack(content: bytes, file: str) -> TrackAnalysis:
    """The analysis that `pack` was given, under the name `file`; its `to_dict` is equal.

    Raises
    ------
    ValueError
        If the content is damaged.
    """
    try:
        kept = json.loads(zlib.decompress(content))
        return _analysis(kept["analysis"], kept, file)
    except (zlib.error, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"damaged: {type(error).__name__} {error}") from error


def _analysis(said: dict[str, Any], kept: dict[str, Any], file: str) -> TrackAnalysis:
    return TrackAnalysis(
        file=file,
        duration_s=said["duration_s"],
        model=ModelInfo(**said["model"]),
        genres=tuple(Genre(**genre) for genre in said["genres"]),
        tempo=_tempo(said["tempo"], kept),
        timeline=_timeline(said["timeline"]),
        segments=tuple(Segment(part["start_s"], part["end_s"], tuple(part["labels"])) for part in said["segments"]),
        warnings=tuple(said["warnings"]),
        envelope=Envelope(np.array(kept["envelope"]["peak"], np.float32), kept["envelope"]["step_s"]),
        elapsed_s=kept["elapsed_s"],
    )


def _tempo(said: dict[str, Any], kept: dict[str, Any]) -> Tempo:
    candidates = tuple(TempoCandidate(**candidate) for candidate in said["candidates"])
    grid_bpm, distribution = np.array(kept["tempo_grid_bpm"]), np.array(kept["tempo_distribution"])
    return Tempo(said["bpm"], said["confidence"], candidates, grid_bpm, distribution)


def _timeline(said: dict[str, Any]) -> Timeline:
    return Timeline(
        said["window_s"],
        said["hop_s"],
        np.array(said["start_s"], np.float64),
        tuple(said["labels"]),
        np.array(said["probability"], np.float64).reshape(-1, len(said["labels"])),
        np.array([np.nan if bpm is None else bpm for bpm in said["bpm"]], np.float64),
    )
