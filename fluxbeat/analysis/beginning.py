"""What a long recording begins with: shown before all of it is read."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np

from fluxbeat.analysis.engine import analyze_track
from fluxbeat.analysis.result import TrackAnalysis
from fluxbeat.analysis.track import Progress, read_blocks
from fluxbeat.audio.decoding import MAX_DURATION_S, AudioSource, open_audio
from fluxbeat.models.registry import LoadedModel

BEGINNINGS_S = (30.0, 240.0, 1920.0)
"""How much of a long recording is shown before all of it is read: each costs an eighth of the next."""
LEAST_BEGUN = 3
"""A recording must be so many times as long for its beginning to be shown before the whole is read."""


def analyze_beginning(
    source: AudioSource,
    model: LoadedModel,
    name: str | None = None,
    progress: Progress | None = None,
    max_duration_s: float = MAX_DURATION_S,
    length_s: float = BEGINNINGS_S[0],
) -> TrackAnalysis | None:
    """What a model says of the first `length_s` of a long recording, on the time axis of the whole.

    It is there long before the answer to the whole is. Behind the beginning no genre is present and there is no beat;
    `segments` end with the beginning. Other parameters and errors are those of `analyze`; `length_s` is one of
    `BEGINNINGS_S`.

    Returns
    -------
    TrackAnalysis or None
        None of what is short, or of unknown length by its header, and where the model takes sound.
    """
    if model.network.takes_sound:
        return None
    features, block_s = model.network.config.features, BEGINNINGS_S[0]
    with open_audio(
        source, name=name, sample_rate_hz=features.sample_rate_hz, block_s=block_s, max_duration_s=max_duration_s
    ) as stream:
        whole_s = stream.expected_duration_s or 0.0
        if whole_s < LEAST_BEGUN * length_s:
            return None
        blocks = islice(stream, round(length_s / block_s))
        track = read_blocks(stream, blocks, source, features, length_s, progress)
    found = analyze_track(track, model)
    timeline = found.timeline
    later_s = [track.duration_s, whole_s - timeline.window_s]  # two windows in which nothing is known
    return replace(
        found,
        duration_s=whole_s,
        timeline=replace(
            timeline,
            start_s=np.append(timeline.start_s, later_s),
            probability=np.pad(timeline.probability, ((0, 2), (0, 0))),
            bpm=np.append(timeline.bpm, [np.nan, np.nan]),
            kind=np.pad(timeline.kind, ((0, 2), (0, 0))),
            unfamiliar=np.pad(timeline.unfamiliar, (0, 2)),
        ),
    )
