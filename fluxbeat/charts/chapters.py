"""A track told as chapters: what follows what, and where something is not as usual."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fluxbeat.analysis import Segment, TrackAnalysis
from fluxbeat.charts.wording import KIND_WORDS, clock

SAME_BPM = 0.02
"""Tempi this near to each other, relatively, are one tempo."""
UNFAMILIAR_FROM = 0.5
SHORTEST_UNFAMILIAR_S = 5.0


@dataclass(frozen=True)
class Chapter:
    """Segments that follow each other and have their leading genre and their tempo in common.

    Attributes
    ----------
    start_s, end_s : float
    labels : tuple of str
        All genres that are present in it, the leading one first; empty where there is none.
    kind_words : str
        What it is where it has no genre: `speech`, `silence`, `nothing sure`.
    bpm : float or None
        None where it has no beat, or no single one.
    """

    start_s: float
    end_s: float
    labels: tuple[str, ...]
    kind_words: str
    bpm: float | None


def chapters(analysis: TrackAnalysis) -> list[Chapter]:
    """The segments as a listener tells them; in a mix, whose songs differ in genre or tempo, these are the songs."""
    found: list[Chapter] = []
    for segment in analysis.segments:
        if found and _goes_on(found[-1], segment):
            last = found[-1]
            labels = last.labels + tuple(label for label in segment.labels if label not in last.labels)
            found[-1] = Chapter(last.start_s, segment.end_s, labels, last.kind_words, last.bpm or segment.bpm)
        else:
            words = "" if segment.labels else KIND_WORDS[segment.kind]
            found.append(Chapter(segment.start_s, segment.end_s, segment.labels, words, segment.bpm))
    return found


def _goes_on(chapter: Chapter, segment: Segment) -> bool:
    if segment.labels[:1] != chapter.labels[:1]:
        return False
    if not segment.labels and KIND_WORDS[segment.kind] != chapter.kind_words:
        return False
    if chapter.bpm is None or segment.bpm is None:
        return True
    return abs(segment.bpm / chapter.bpm - 1) <= SAME_BPM


def unfamiliar_passages(analysis: TrackAnalysis) -> list[tuple[float, float]]:
    """Where the sound is unlike what the model learned, as (start_s, end_s); passages of less than 5 s are left out.

    A window that is unfamiliar stands for the time nearer to its middle than to any other's.
    """
    timeline = analysis.timeline
    centre_s = timeline.centre_s
    borders_s = np.concatenate([[0.0], (centre_s[1:] + centre_s[:-1]) / 2, [analysis.duration_s]])
    odd = (timeline.unfamiliar >= UNFAMILIAR_FROM) & (timeline.kind.sum(axis=1) > 0)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], odd, [False]]).astype(int)))
    spans = [(float(borders_s[first]), float(borders_s[end])) for first, end in edges.reshape(-1, 2)]
    return [(start_s, end_s) for start_s, end_s in spans if end_s - start_s >= SHORTEST_UNFAMILIAR_S]


def unlike_what_was_learned(analysis: TrackAnalysis) -> str:
    """That the sound is unlike what the model learned, and where if not everywhere; empty where it is not."""
    if analysis.warned("unfamiliar"):
        return "unlike what I learned"
    spans = unfamiliar_passages(analysis)
    if not spans:
        return ""
    told = " and ".join(f"{clock(start_s)} to {clock(end_s)}" for start_s, end_s in spans[:2])
    return f"unlike what I learned: {told}{' and elsewhere' if len(spans) > 2 else ''}"
