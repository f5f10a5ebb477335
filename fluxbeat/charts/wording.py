"""Numbers and names as listeners read them."""

from __future__ import annotations

from collections.abc import Sequence

from fluxbeat.analysis import NOT_TAUGHT_TEMPO, Tempo, TrackAnalysis

MODEL_TITLES = {"cnn": "CNN", "crnn": "CRNN", "vit": "ViT"}
CONFIDENCE_WORDS = ((0.7, "very sure"), (0.5, "fairly sure"), (0.3, "not quite sure"), (0.0, "only guessing"))
CLOSE_SECOND = 0.4
"""A second tempo with this share of the first one's probability is worth naming beside it."""


def model_title(name: str) -> str:
    """Name of a model as written on the page."""
    return MODEL_TITLES.get(name, name)


def genre_names(labels: Sequence[str]) -> str:
    """Genres of a stretch of music: `rock, metal`; `nothing sure` where there are none."""
    return ", ".join(labels) or "nothing sure"


def percent(probability: float) -> str:
    """Probability without false precision: `62 %`, `< 1 %`."""
    return "< 1 %" if 0 < probability < 0.01 else f"{probability:.0%}".replace("%", " %")


def clock(seconds: float) -> str:
    """Time in a track: `3:05`, `1:02:09`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def took(seconds: float) -> str:
    """How long a model needed: `40 ms`, `0.4 s`, `12 s`, `3 min`."""
    if seconds < 0.095:
        return f"{max(1, round(1000 * seconds))} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def confidence(value: float) -> str:
    """Tempo confidence in words."""
    return next(words for least, words in CONFIDENCE_WORDS if value >= least)


def tempo_choice(tempo: Tempo) -> str:
    """The tempo with its rival, as one would say it: `86 or 172 BPM`; empty where there is no beat."""
    if tempo.bpm is None:
        return ""
    named = [tempo.bpm]
    if len(tempo.candidates) > 1 and tempo.candidates[1].probability >= CLOSE_SECOND * tempo.candidates[0].probability:
        named.append(tempo.candidates[1].bpm)
    return " or ".join(f"{bpm:.0f}" for bpm in named) + " BPM"


def no_tempo(analysis: TrackAnalysis) -> str:
    """Why there is no tempo, in a few words."""
    return "not taught tempo" if NOT_TAUGHT_TEMPO in analysis.warnings else "no steady beat"


def no_tempo_sentence(analysis: TrackAnalysis) -> str:
    """Why there is no tempo, where there is room to say it."""
    if NOT_TAUGHT_TEMPO in analysis.warnings:
        return f"{model_title(analysis.model.name)} was not taught tempo, so there is none to show."
    return (
        "No steady beat found in this track, so there is no tempo to show. "
        "That is usual for ambient music, speech and free playing."
    )


def doing(engine_words: str, title: str) -> str:
    """What the engine is at, for the progress bar."""
    return "Listening to the track" if engine_words == "listening" else f"Hearing it with the {title} model"


def as_sentence(note: str) -> str:
    """A note of the engine as a sentence: capital letter and full stop."""
    return f"{note[:1].upper()}{note[1:]}{'' if note.endswith(('.', '!', '?')) else '.'}"
