"""What can go wrong: one family of errors, each naming cause and cure, and warnings that travel with a result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

WarningCode: TypeAlias = Literal[
    "cut_off", "damaged", "invalid_samples", "narrow_band", "no_music", "no_steady_beat", "only_strongest", "padded",
    "silent", "stereo_cancels", "tempo_changes", "tempo_not_taught", "too_short", "undecoded", "unfamiliar",
]  # fmt: skip
"""By which programs tell warnings apart. A name stays what it means: JSON and REST give it to other programs."""


class FluxBeatError(Exception):
    """Base of every error that FluxBeat raises on purpose; its text is fit to be shown to a person."""


class AudioDecodeError(FluxBeatError):
    """The audio cannot be read or is not fit for analysis; says which file, what was found and what to do."""


class ConfigMismatchError(FluxBeatError):
    """Two parts that must agree do not (features, labels, versions); shows both values."""


class ModelLoadError(FluxBeatError):
    """A checkpoint cannot be found, is incomplete or does not fit its weights."""


class AnalysisCancelled(FluxBeatError):
    """The person who asked for an analysis no longer wants it."""


class TempoError(FluxBeatError):
    """What a person gives as the tempo is none, or is out of range; says what can be given."""


class ExportError(FluxBeatError):
    """An analysis cannot be written in the format asked for, or not to that place; says what to do instead."""


class ExplanationError(FluxBeatError):
    """What was asked cannot be explained; names what can."""


@dataclass(frozen=True)
class TrackWarning:
    """What a person should know about a recording that was read all the same.

    Attributes
    ----------
    code : WarningCode
        For programs, which compare this and never the text.
    text : str
        One sentence for a person, without full stop.
    """

    code: WarningCode
    text: str

    def __str__(self) -> str:
        return self.text
