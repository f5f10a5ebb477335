"""The web app: one page that shows how genre and tempo flow through a track."""

import os

from fluxbeat.errors import FluxBeatError

# Gradio reads these when it is first imported: no outside calls, and nothing kept about what was run.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_RUN_HISTORY", "False")

_port = os.environ.get("GRADIO_SERVER_PORT", "")
if _port and not _port.isdecimal():  # Gradio would stop with a traceback
    raise FluxBeatError(f"GRADIO_SERVER_PORT must be a number, got {_port!r}")
