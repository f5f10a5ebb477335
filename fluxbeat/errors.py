"""What can go wrong, as one family of errors: each message names the cause and the cure."""


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


class ExportError(FluxBeatError):
    """An analysis cannot be written in the format asked for, or not to that place; says what to do instead."""


class ExplanationError(FluxBeatError):
    """What was asked cannot be explained; names what can."""
