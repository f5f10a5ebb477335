"""The track player and the file button: both tell which file was given and how the person calls it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, ListFiles

from fluxbeat.audio import needs_playable_copy, playable_copy


@dataclass(frozen=True)
class GivenFile:
    """A file on the server, and its name on the person's own machine."""

    path: str
    name: str


def _given(payload: FileData) -> GivenFile:
    return GivenFile(payload.path, payload.orig_name or Path(payload.path).name)


class TrackPlayer(gr.Audio):
    """`gr.Audio` that keeps the name which Gradio's safe path has lost characters of."""

    is_template = True

    def preprocess(self, payload: FileData | None) -> Any:
        return None if payload is None or not payload.path else _given(payload)


class AnyFileButton(gr.UploadButton):
    """`gr.UploadButton` for one file of any kind, with its name."""

    is_template = True

    def preprocess(self, payload: ListFiles | FileData | None) -> Any:
        if payload is None:
            return None
        return _given(payload if isinstance(payload, FileData) else payload[0])


def track_player() -> TrackPlayer:
    """The one player of the page: a plain audio element, which the page's script can read and move."""
    return TrackPlayer(
        label="Your track",
        type="filepath",
        sources=["upload", "microphone"],
        buttons=["download"],
        editable=False,
        waveform_options=gr.WaveformOptions(show_recording_waveform=False),
        elem_id="player",
    )


def browser_file(path: str) -> str:
    """The file itself where browsers can play it, else an MP3 copy beside it.

    Raises
    ------
    AudioDecodeError
        If the file is missing, empty or cannot be read.
    """
    if not needs_playable_copy(path):
        return path
    copy = Path(path).with_name(f"{Path(path).stem}.playable.mp3")
    if not copy.is_file():
        playable_copy(path, copy)
    return str(copy)
