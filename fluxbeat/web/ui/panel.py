"""A piece of the page that the page's own script draws from JSON."""

from __future__ import annotations

import base64
import itertools
import json
import time
from collections.abc import Sequence
from typing import Any

import gradio as gr
import numpy as np

# The script may load later than Gradio draws: what comes first waits in a list.
_ON_LOAD = """
const panel = {kind: '%(kind)s', events: %(events)s, element, trigger, value: () => props.value};
if (window.FluxBeat) window.FluxBeat.adopt(panel);
else (window.fluxbeatWaiting ??= []).push(panel);
watch('value', () => panel.draw?.());
"""

HIDDEN: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "multiple"}
"""Of the events of the page's own script: no function for programs, and nothing laid over the panel."""
AT_ONCE: dict[str, Any] = {**HIDDEN, "queue": False}
IN_OUR_QUEUE: dict[str, Any] = {**HIDDEN, "concurrency_limit": None}
"""Of events that compute: who waits for whom is the business of our own queue, not of Gradio's."""

# goes on rising where the server is started anew under an open page
_answers = itertools.count(int(1000 * time.time()))


def panel(kind: str, value: Any = None, events: Sequence[str] = ()) -> gr.HTML:
    """A `gr.HTML` whose content is drawn by `static/<kind>.js`.

    Its template never changes, so Gradio never touches what the script has drawn, and no text of a file or a
    checkpoint is ever read as HTML. Its value is a JSON string made by `panel_value`.

    Parameters
    ----------
    kind : str
        Name by which the script knows what to draw.
    value : Any, optional
        Shown at first.
    events : sequence of str, optional
        What the script may trigger; each becomes a method of the component, as `click` is one.
    """
    return gr.HTML(
        panel_value(value),
        html_template=f'<div class="fb-panel fb-{kind}"></div>',
        js_on_load=_ON_LOAD % {"kind": kind, "events": json.dumps(list(events))},
        elem_id=kind,
        apply_default_css=False,
    )


def panel_value(value: Any) -> str:
    """What a panel is given: JSON, in which NaN is an error."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def panel_answer(view: dict[str, Any]) -> str:
    """As `panel_value`, for a panel that has asked: with a number by which later answers are told from earlier ones.

    Gradio keeps from the page what it holds already: without it an error that comes twice would leave the page
    waiting for the second one.
    """
    return panel_value({**view, "answer": next(_answers)})


def panel_bytes(values: np.ndarray) -> str:
    """Values in 0..1 as one byte each, row by row, in base64: how a panel is given an image."""
    return base64.b64encode(np.round(values.clip(0, 1) * 255).astype(np.uint8).tobytes()).decode("ascii")
