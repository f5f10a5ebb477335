"""Files that the page's own script sends to the server (`static/sending.js`), as inputs of events.

Gradio's own upload is not used: it breaks off where an answer comes to the page meanwhile, tells nothing of a file that
is too large where the listener looks, and cannot be ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from fluxbeat.audio.readers import safe_name
from fluxbeat.audio.sound_files import SoundFile


class GivenFiles:
    """What was given for one purpose: files in a component that is not shown, by which Gradio checks their paths.

    Parameters
    ----------
    purpose : str
        By which the script knows them.

    Attributes
    ----------
    inputs : list of gradio components
        The first two inputs of the event: a list of paths, and JSON: `names` as the listener knows them, and whatever
        else the script tells of these files.
    js : str
        For the event's `js`.
    """

    def __init__(self, purpose: str) -> None:
        files = gr.File(file_count="multiple", visible=False)
        self.inputs: list[gr.components.Component] = [files, gr.Textbox(visible=False)]
        self.js = f"(_, __, ...others) => [...window.FluxBeat.takeGiven('{purpose}'), ...others]"


def sound_files(paths: Sequence[str], names: Sequence[str]) -> list[SoundFile]:
    """The files at these paths, named with their folders as the listener knows them, fit to be shown."""
    return [SoundFile(Path(path), _shown_name(path, name)) for path, name in zip(paths, names, strict=True)]


def _shown_name(path: str, name: str) -> str:
    parts = [safe_name(part) for part in name.split("/") if part not in ("", ".", "..")]
    return "/".join(parts) or Path(path).name
