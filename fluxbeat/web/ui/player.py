"""The track player, the button for files of any kind, and the name under which a listener knows a file."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from fluxbeat.audio.playback import needs_playable_copy, playable_copy

NAMED_FILE = """(file, _) => {
  const one = Array.isArray(file) ? file[0] : file;
  return [file, one?.orig_name ?? ''];
}"""
"""For an event's `js`, with inputs (file, name): sends the name that Gradio's safe path has lost characters of."""


def track_player() -> gr.Audio:
    """The one player of the page: a plain audio element, which the page's script can read and move."""
    return gr.Audio(
        label="Your track",
        type="filepath",
        sources=["upload", "microphone"],
        buttons=["download"],
        editable=False,
        waveform_options=gr.WaveformOptions(show_recording_waveform=False),
        elem_id="player",
    )


def any_file_button() -> gr.UploadButton:
    """Takes what the player's own dialog refuses, and replaces a track without clearing the player first."""
    return gr.UploadButton("Open a file of any kind …", size="sm", variant="secondary", elem_id="any-file")


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
