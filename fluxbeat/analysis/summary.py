"""An analysis in one sentence."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fluxbeat.audio.clock import clock

if TYPE_CHECKING:
    from fluxbeat.analysis.result import Segment, TrackAnalysis

MOST_PARTS = 3
"""More parts than this are not told one by one."""
KIND_WORDS = {"speech": "speech", "noise": "sounds without music", "silence": "silence"}
SURE_TEMPO = 0.3
"""Confidence from which a tempo is named without doubt."""
Part = tuple[str, float, float]
"""Name, begin and end in seconds."""


def whole_bpm(bpm: float) -> str:
    """A tempo as a whole number, halves up: 127.5 is `128`."""
    return str(math.floor(bpm + 0.5))


def summary(analysis: TrackAnalysis) -> str:
    """What the track is and how fast: `Metal that turns classical at 0:15, steady 120 BPM.`"""
    sounding = [number for number, segment in enumerate(analysis.segments) if segment.kind != "silence"]
    if not sounding:
        return "Nothing but silence."
    parts = _parts(analysis.segments[sounding[0] : sounding[-1] + 1])
    if analysis.warned("too_short"):
        return "Too short for a genre or a tempo."
    if all(name in KIND_WORDS.values() for name, _, _ in parts):
        kinds = _capital(" and ".join(dict.fromkeys(name for name, _, _ in parts)))
        return f"{kinds}, no genre to name{'' if analysis.tempo.bpm is None else f', {_tempo(analysis)}'}."
    sentence = ", ".join(filter(None, (_story(parts, analysis), _tempo(analysis))))
    unlike = " Unlike the music that the model learned." if analysis.warned("unfamiliar") else ""
    return f"{_capital(sentence)}.{unlike}"


def _parts(segments: Sequence[Segment]) -> list[Part]:
    """What follows what; neighbours differ in their names."""
    parts: list[Part] = []
    for name, group in itertools.groupby(segments, key=_name):
        same = list(group)
        parts.append((name, same[0].start_s, same[-1].end_s))
    return parts


def _name(segment: Segment) -> str:
    """The leading genre; empty where none is sure."""
    return segment.labels[0] if segment.labels else KIND_WORDS.get(segment.kind, "")


def _story(parts: Sequence[Part], analysis: TrackAnalysis) -> str:
    sure = [part for part in parts if part[0]]
    if not sure:
        traces = [genre.label for genre in analysis.genres if genre.presence != "none"][:2]
        return f"perhaps {' or '.join(traces)}, but nothing sure" if traces else "no genre is sure"
    if len(sure) > MOST_PARTS:
        return _many(sure, analysis)
    first, *later = sure
    if not later:
        partly = sum(end_s - start_s for _, start_s, end_s in parts) > 2 * (first[2] - first[1])
        return f"{first[0]} from {clock(first[1])} to {clock(first[2])}, else nothing sure" if partly else first[0]
    turned = ("silent" if name == KIND_WORDS["silence"] else name for name, _, _ in later)
    turns = " and ".join(f"{name} at {clock(start_s)}" for name, (_, start_s, _) in zip(turned, later, strict=True))
    return f"{first[0]} that turns {turns}"


def _many(parts: Sequence[Part], analysis: TrackAnalysis) -> str:
    """Names of a track that goes back and forth, in the order in which the whole track's genres are given."""
    times: dict[str, float] = {}
    for name, start_s, end_s in parts:
        times[name] = times.get(name, 0.0) + end_s - start_s
    # speech and silence have no probability as genres: the share of time stands for it
    presence = {name: time_s / analysis.duration_s for name, time_s in times.items()}
    presence |= {genre.label: genre.probability for genre in analysis.genres if genre.label in times}
    main, *others = sorted(times, key=lambda name: -presence[name])
    if not others:
        return main
    if times[main] > sum(times.values()) / 2:
        return f"mostly {main}, with {' and '.join(others[:2])}"
    if len(others) == 1:
        return f"{main} and {others[0]}, by turns"
    return f"{main}, {others[0]} and {others[1] if len(others) == 2 else 'more'}, by turns"


def _tempo(analysis: TrackAnalysis) -> str:
    tempo = analysis.tempo
    if tempo.bpm is None:
        return "" if analysis.warned("tempo_not_taught") else "no steady beat"
    if not tempo.stable:
        return f"around {whole_bpm(tempo.bpm)} BPM, which changes"
    if tempo.rival_bpm is not None:
        return f"{whole_bpm(tempo.bpm)} or {whole_bpm(tempo.rival_bpm)} BPM"
    return f"{'steady' if tempo.corrected or tempo.confidence >= SURE_TEMPO else 'perhaps'} {whole_bpm(tempo.bpm)} BPM"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
