"""Files that the page's own script sends to the server (`static/sending.js`), as inputs of events.

Gradio's own upload is not used: it breaks off where an answer comes to the page meanwhile, tells nothing of a file that
is too large where the listener looks, and cannot be ended.
"""

from __future__ import annotations

import gradio as gr


class GivenFiles:
    """What was given for one purpose: files in a component that is not shown, by which Gradio checks their paths.

    Parameters
    ----------
    purpose : str
        By which the script knows them.
    several : bool
        Whether the event takes a list of paths, or else one path.

    Attributes
    ----------
    inputs : list of gradio components
        The first two inputs of the event: path or paths, and JSON: `names` as the listener knows them, and whatever
        else the script tells of these files.
    js : str
        For the event's `js`.
    """

    def __init__(self, purpose: str, several: bool) -> None:
        files = gr.File(file_count="multiple" if several else "single", visible=False)
        self.inputs: list[gr.components.Component] = [files, gr.Textbox(visible=False)]
        self.js = (
            f"(_, __, ...others) => [...window.FluxBeat.takeGiven('{purpose}', {str(several).lower()}), ...others]"
        )
