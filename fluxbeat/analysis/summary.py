"""An analysis in one sentence."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from fluxbeat.audio.clock import clock

if TYPE_CHECKING:
    from fluxbeat.analysis.result import Segment, SegmentKind, TrackAnalysis

MOST_PARTS = 3
"""More parts than this are not told one by one."""
IN_SENTENCE = {"speech": "speech", "noise": "sounds without music", "silence": "silence"}
"""What a part that is no music is called."""
SURE_TEMPO = 0.3
"""Confidence from which a tempo is named without doubt."""


class SummaryPart(NamedTuple):
    """Neighbouring segments of one kind with the same leading genre, if any is sure."""

    kind: SegmentKind
    name: str
    start_s: float
    end_s: float


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
    if all(part.kind != "music" for part in parts):
        kinds = _capital(" and ".join(dict.fromkeys(part.name for part in parts)))
        return f"{kinds}, no genre to name{'' if analysis.tempo.bpm is None else f', {_tempo(analysis)}'}."
    sentence = ", ".join(filter(None, (_story(parts, analysis), _tempo(analysis))))
    unlike = " Unlike the music that the model learned." if analysis.warned("unfamiliar") else ""
    return f"{_capital(sentence)}.{unlike}"


def _parts(segments: Sequence[Segment]) -> list[SummaryPart]:
    """What follows what; neighbours differ in kind or name."""
    parts: list[SummaryPart] = []
    for (kind, name), group in itertools.groupby(segments, key=lambda segment: (segment.kind, _name(segment))):
        same = list(group)
        parts.append(SummaryPart(kind, name, same[0].start_s, same[-1].end_s))
    return parts


def _name(segment: Segment) -> str:
    """The leading genre; empty where none is sure."""
    return segment.labels[0] if segment.labels else IN_SENTENCE.get(segment.kind, "")


def _story(parts: Sequence[SummaryPart], analysis: TrackAnalysis) -> str:
    sure = [part for part in parts if part.name]
    if not sure:
        traces = [genre.label for genre in analysis.genres if genre.presence != "none"][:2]
        return f"perhaps {' or '.join(traces)}, but nothing sure" if traces else "no genre is sure"
    if len(sure) > MOST_PARTS:
        return _many(sure, analysis)
    first, *later = sure
    if not later:
        partly = sum(part.end_s - part.start_s for part in parts) > 2 * (first.end_s - first.start_s)
        passage = f"{first.name} from {clock(first.start_s)} to {clock(first.end_s)}, else nothing sure"
        return passage if partly else first.name
    turns = (f"{'silent' if part.kind == 'silence' else part.name} at {clock(part.start_s)}" for part in later)
    return f"{first.name} that turns {' and '.join(turns)}"


def _many(parts: Sequence[SummaryPart], analysis: TrackAnalysis) -> str:
    """Names of a track that goes back and forth, in the order in which the whole track's genres are given."""
    times: dict[str, float] = {}
    for part in parts:
        times[part.name] = times.get(part.name, 0.0) + part.end_s - part.start_s
    genres = {part.name for part in parts if part.kind == "music"}
    # speech and silence have no probability as genres: the share of time stands for it
    presence = {name: time_s / analysis.duration_s for name, time_s in times.items()}
    presence |= {genre.label: genre.probability for genre in analysis.genres if genre.label in genres}
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
