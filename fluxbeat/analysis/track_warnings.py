"""What a person should know about an answer: warnings that the analysis itself gives, beside those of the sound."""

from __future__ import annotations

from collections.abc import Iterator

from fluxbeat.analysis.correction import NO_BEAT
from fluxbeat.analysis.result import Tempo, TrackKind
from fluxbeat.errors import TrackWarning
from fluxbeat.models.base import ModelConfig

SHORTEST_GENRE_S = 1.0
"""Less sound than this has no genre."""
MANY_LABELS, STRONGEST = 50, 20
"""Of a model with more labels than this only the strongest are shown, so many."""
MOSTLY = 0.5
"""From here on a share of music, speech or strangeness speaks for the whole track."""
TOO_SHORT = TrackWarning("too_short", "shorter than a second: too short for a genre or a tempo")
PADDED = TrackWarning("padded", "shorter than one window: padded")
SPEECH = TrackWarning("no_music", "mostly speech: genres are named only where there is music")
NOISE = TrackWarning("no_music", "hardly any music: genres are named only where there is some")
UNFAMILIAR = TrackWarning(
    "unfamiliar", "unlike the music that this model learned: it holds its answers back, take them with care"
)
NOT_TAUGHT_TEMPO = TrackWarning("tempo_not_taught", "this model was not taught tempo: none given")
ONLY_STRONGEST = TrackWarning(
    "only_strongest",
    f"this model knows very many labels: the {STRONGEST} that are strongest in some passage are drawn, the others can "
    "be searched",
)
TEMPO_CHANGES = TrackWarning("tempo_changes", "the tempo changes on the way: the one number is what is heard most")


def warnings_of(
    duration_s: float, padded: bool, silent: bool, kind: TrackKind, tempo: Tempo, config: ModelConfig
) -> Iterator[TrackWarning]:
    """What there is to know about one model's answer.

    Parameters
    ----------
    duration_s : float
        Length of the track.
    padded : bool
        Whether it was repeated to fill a window.
    silent : bool
        Whether no window sounds.
    kind : TrackKind
    tempo : Tempo
    config : ModelConfig
        Of the model.
    """
    if duration_s < SHORTEST_GENRE_S:
        yield TOO_SHORT
        return
    if len(config.labels) > MANY_LABELS:
        yield ONLY_STRONGEST
    if padded:
        yield PADDED
    if silent:
        return
    if kind.music < MOSTLY:
        yield SPEECH if kind.speech >= MOSTLY else NOISE
    if kind.unfamiliar >= MOSTLY:
        yield UNFAMILIAR
    if tempo.bpm is None:
        yield NO_BEAT if config.tempo_taught else NOT_TAUGHT_TEMPO
    elif not tempo.stable:
        yield TEMPO_CHANGES
