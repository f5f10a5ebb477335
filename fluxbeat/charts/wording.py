"""Numbers and names as listeners read them; `wording.js` writes times, tempi and shares in the same way."""

from __future__ import annotations

import math

from fluxbeat.analysis.result import Segment, SegmentKind, Tempo, TrackAnalysis
from fluxbeat.analysis.summary import whole_bpm as whole_bpm
from fluxbeat.analysis.track_warnings import NOT_TAUGHT_TEMPO
from fluxbeat.audio.clock import clock as clock
from fluxbeat.models.registry import model_title as model_title

KIND_WORDS: dict[SegmentKind, str] = {
    "music": "nothing sure",
    "speech": "speech",
    "noise": "no music",
    "silence": "silence",
}


def segment_name(segment: Segment) -> str:
    """What a segment is: its genres, `rock, metal`; `nothing sure`, `speech`, `silence` ... where there are none."""
    return ", ".join(segment.labels) or KIND_WORDS[segment.kind]


def percent(probability: float) -> str:
    """Probability without false precision: `62 %`, `< 1 %`."""
    return "< 1 %" if 0 < probability < 0.01 else f"{math.floor(100 * probability + 0.5)} %"


def took(seconds: float) -> str:
    """How long something takes: `40 ms`, `0.4 s`, `12 s`, `3 min`."""
    if seconds < 0.095:
        return f"{max(1, round(1000 * seconds))} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def confidence(value: float) -> str:
    """Tempo confidence in words."""
    steps = ((0.7, "very sure"), (0.5, "fairly sure"), (0.3, "not quite sure"))
    return next((words for least, words in steps if value >= least), "only guessing")


def tempo_choice(tempo: Tempo) -> str:
    """The tempo with its rival, as one would say it: `86 or 172 BPM`; empty where there is no beat."""
    return "" if tempo.bpm is None else f"{tempo_words(tempo.bpm, tempo.rival_bpm)} BPM"


def tempo_words(bpm: float | None, rival_bpm: float | None) -> str:
    """A tempo and what it could be as well: `86 or 172`; empty where there is none."""
    return " or ".join(whole_bpm(tempo) for tempo in (bpm, rival_bpm) if tempo is not None)


def no_tempo(analysis: TrackAnalysis) -> str:
    """Why there is no tempo, in a few words."""
    return "not taught tempo" if analysis.warned(NOT_TAUGHT_TEMPO.code) else "no steady beat"


def no_tempo_sentence(analysis: TrackAnalysis) -> str:
    """Why there is no tempo, where there is room to say it."""
    if analysis.warned(NOT_TAUGHT_TEMPO.code):
        return f"{model_title(analysis.model.name)} was not taught tempo, so there is none to show."
    return (
        "No steady beat found in this track, so there is no tempo to show. "
        "That is usual for ambient music, speech and free playing."
    )


def capitalised(words: str) -> str:
    """With a capital letter at the begin: what the engine is doing, for a progress bar."""
    return f"{words[:1].upper()}{words[1:]}"


def waiting(before: int) -> str:
    """What to tell those who wait for their turn: how many go first."""
    others = "1 other" if before == 1 else f"{before} others"
    return f"Waiting: {others} before you." if before else "Waiting: you are next."


def as_sentence(note: str) -> str:
    """A note of the engine as a sentence: capital letter and full stop."""
    return f"{capitalised(note)}{'' if note.endswith(('.', '!', '?')) else '.'}"
