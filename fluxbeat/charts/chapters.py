"""A track told as chapters: what follows what, and where something is not as usual."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fluxbeat.analysis.result import Segment, TrackAnalysis
from fluxbeat.analysis.runs import runs
from fluxbeat.charts.wording import clock


def chapters(analysis: TrackAnalysis) -> list[Segment]:
    """The segments as a listener tells them; in a mix, whose songs differ in genre or tempo, these are the songs.

    Segments that follow each other and have their leading genre and their tempo in common are one.
    """
    found: list[Segment] = []
    for segment in analysis.segments:
        if found and _goes_on(found[-1], segment):
            last = found[-1]
            labels = tuple(dict.fromkeys(last.labels + segment.labels))
            found[-1] = replace(last, end_s=segment.end_s, labels=labels, bpm=last.bpm or segment.bpm)
        else:
            found.append(segment)
    return found


def _goes_on(chapter: Segment, segment: Segment) -> bool:
    if segment.labels[:1] != chapter.labels[:1]:
        return False
    if not segment.labels and segment.kind != chapter.kind:
        return False
    if chapter.bpm is None or segment.bpm is None:
        return True
    return abs(segment.bpm / chapter.bpm - 1) <= 0.02


def unfamiliar_passages(analysis: TrackAnalysis) -> list[tuple[float, float]]:
    """Where the sound is unlike what the model learned, as (start_s, end_s); passages of less than 5 s are left out.

    A window that is unfamiliar stands for the time nearer to its middle than to any other's.
    """
    timeline = analysis.timeline
    centre_s = timeline.centre_s
    borders_s = np.concatenate([[0.0], (centre_s[1:] + centre_s[:-1]) / 2, [analysis.duration_s]])
    odd = (timeline.unfamiliar >= 0.5) & (timeline.kind.sum(axis=1) > 0)
    spans = [(float(borders_s[run.start]), float(borders_s[run.stop])) for run in runs(odd)]
    return [(start_s, end_s) for start_s, end_s in spans if end_s - start_s >= 5.0]


def unlike_what_was_learned(analysis: TrackAnalysis) -> str:
    """That the sound is unlike what the model learned, and where if not everywhere; empty where it is not."""
    if analysis.warned("unfamiliar"):
        return "unlike what I learned"
    spans = unfamiliar_passages(analysis)
    if not spans:
        return ""
    passages = " and ".join(f"{clock(start_s)} to {clock(end_s)}" for start_s, end_s in spans[:2])
    return f"unlike what I learned: {passages}{' and elsewhere' if len(spans) > 2 else ''}"
