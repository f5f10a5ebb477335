"""One file of a library: its tags and its analysis, or in one sentence why there is none. What a worker does."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from fluxbeat.analysis import TrackAnalysis, analyze
from fluxbeat.audio import MAX_DURATION_S
from fluxbeat.errors import AnalysisCancelled, FluxBeatError
from fluxbeat.library.tags import Tags, read_tags
from fluxbeat.zoo import ZooModel


@dataclass(frozen=True, eq=False)
class Answer:
    """What became of one file: `analysis`, or else `error`, which may contain the `name` that was given."""

    tags: Tags
    analysis: TrackAnalysis | None
    error: str | None = None
    name: str = ""


def hear(
    source: str | os.PathLike[str] | bytes,
    name: str,
    model: ZooModel,
    hop_s: float,
    stop: threading.Event | None = None,
    max_duration_s: float = MAX_DURATION_S,
) -> Answer:
    """Analyse one file.

    Parameters
    ----------
    source : path, or the bytes of the file
    name : str
        What to call it in front of a person.
    model : ZooModel
    hop_s : float
        Distance of windows in seconds.
    stop : threading.Event, optional
        Once set, the work ends.
    max_duration_s : float
        Longest recording in seconds; a longer one is an answer with its `error`.

    Raises
    ------
    AnalysisCancelled
        If `stop` was set.
    """

    def watch(share: float, doing: str) -> None:
        if stop is not None and stop.is_set():
            raise AnalysisCancelled("no longer wanted")

    watch(0.0, "")
    tags = read_tags(source)
    try:
        return Answer(
            tags, analyze(source, model, name=name, hop_s=hop_s, max_duration_s=max_duration_s, progress=watch)
        )
    except AnalysisCancelled:
        raise
    except FluxBeatError as error:
        return Answer(tags, None, str(error), name)
