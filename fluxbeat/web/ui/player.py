"""The player at the foot of the page, the input that takes files of any kind, and what the bar shows of the tempo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fluxbeat.analysis.correction import BPM_RANGE, as_found
from fluxbeat.analysis.result import TrackAnalysis
from fluxbeat.audio.playback import needs_playable_copy, playable_copy
from fluxbeat.web.ui.gradio_internals import file_url
from fluxbeat.web.ui.track_results import TrackResults

# Of several choices that follow each other closely Gradio sends the last one with the data of the first one's event,
# so the choice is read when it is sent.
CHOSEN_BPM = "(_, ...others) => [window.FluxBeat.chosenBpm, ...others]"
"""The tempo that a person chose last, for the first input; null where it is to be as found."""


def player_view(track: TrackResults, opening: bool = False) -> dict[str, Any]:
    """What the player plays; `opening` says whether the page opens with it, and nobody gave it.

    Raises
    ------
    AudioDecodeError
        As `browser_file`.
    """
    url = file_url(browser_file(track.path, track.name, track.max_duration_s))
    return {"key": track.key, "token": track.token, "url": url, "name": track.name, "opening": opening}


def beat_view(key: str, analysis: TrackAnalysis) -> dict[str, Any]:
    """What the bar shows of one model's tempo, and what its controls need to change it."""
    tempo = analysis.tempo.to_dict()
    shown = {name: tempo[name] for name in ("bpm", "stable", "corrected", "beats_s", "downbeats_s")}
    return {"key": key, "found": as_found(analysis).tempo.to_dict()["bpm"], "range": list(BPM_RANGE), **shown}


def browser_file(path: str, name: str, max_duration_s: float) -> str:
    """The file itself where browsers can play it, else an MP3 copy beside it.

    Raises
    ------
    AudioDecodeError
        If the file is missing, empty or cannot be read, or a copy is needed of more than `max_duration_s` seconds.
    """
    if not needs_playable_copy(path):
        return path
    copy = Path(path).with_name(f"{Path(path).stem}.playable.mp3")
    if not copy.is_file():
        playable_copy(path, copy, name=name, max_duration_s=max_duration_s)
    return str(copy)
