"""A person's word on the tempo: it belongs to the analysis from then on, and can be taken back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fluxbeat.analysis.beats import track_beats
from fluxbeat.analysis.result import Segment, TempoCandidate, TrackAnalysis
from fluxbeat.errors import TempoError, TrackWarning

BPM_RANGE = (20.0, 400.0)
"""What a person may say."""
WORDS = {"half": 0.5, "double": 2.0}
"""Corrections by a word, and what they do to the tempo that was found."""
NO_BEAT = TrackWarning("no_steady_beat", "no steady beat: no tempo given")
"""Among the warnings where it is so."""


def corrected(analysis: TrackAnalysis, bpm: float) -> TrackAnalysis:
    """The analysis with the tempo that a person gives.

    Timeline and segments move by the same factor, the beats are looked for anew in the onsets. What was found stays in
    `found`, and a second correction starts from there.

    Parameters
    ----------
    analysis : TrackAnalysis
    bpm : float
        20 to 400.

    Raises
    ------
    TempoError
        If it is out of range.
    """
    check_bpm(bpm)
    found = as_found(analysis)
    timeline, before = found.timeline, found.tempo.bpm
    curve = np.full(len(timeline.bpm), bpm) if before is None else timeline.bpm * (bpm / before)
    tempo = replace(
        found.tempo,
        bpm=bpm,
        confidence=1.0,
        candidates=(TempoCandidate(bpm, 1.0),),
        corrected=True,
        beats_s=track_beats(found.onsets, curve, timeline.centre_s),
        downbeats_s=np.zeros(0),  # other beats make other bars
    )
    return replace(
        found,
        tempo=tempo,
        timeline=replace(timeline, bpm=curve),
        segments=tuple(_segment(one, before, bpm) for one in found.segments),
        warnings=tuple(one for one in found.warnings if one.code != NO_BEAT.code),
        found=found,
    )


def as_found(analysis: TrackAnalysis) -> TrackAnalysis:
    """The analysis without a person's correction."""
    return analysis.found or analysis


def wanted_bpm(analysis: TrackAnalysis | None, word: str) -> float:
    """The tempo in BPM that is meant by `half` or `double` of what was found, or by a number, which needs no analysis.

    Raises
    ------
    TempoError
        If it is none of these, is out of range, or is `half` or `double` of no tempo.
    """
    if word in WORDS:
        found_bpm = None if analysis is None else as_found(analysis).tempo.bpm
        if found_bpm is None:
            name = "" if analysis is None else f"{analysis.file}: "
            raise TempoError(f"{name}no tempo was found that {word} could be taken of: give it as a number")
        return check_bpm(found_bpm * WORDS[word])
    try:
        return check_bpm(float(word))
    except ValueError:
        raise TempoError(f"a tempo is {', '.join(WORDS)} or a number of beats per minute, got {word!r}") from None


def check_bpm(bpm: float) -> float:
    """The same, if it is a tempo.

    Raises
    ------
    TempoError
        If it is not from 20 to 400.
    """
    if not BPM_RANGE[0] <= bpm <= BPM_RANGE[1]:
        raise TempoError(f"a tempo must be {BPM_RANGE[0]:g} to {BPM_RANGE[1]:g} BPM, got {bpm:g}")
    return bpm


def _segment(one: Segment, before: float | None, bpm: float) -> Segment:
    if before is None:
        return replace(one, bpm=bpm)
    return replace(one, bpm=None if one.bpm is None else one.bpm * (bpm / before))
