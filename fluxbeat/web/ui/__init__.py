"""The web app: one page that shows how genre and tempo flow through a track."""

import os

from fluxbeat.web.settings import port_of_environment

# Gradio reads these when it is first imported: no outside calls, and nothing kept about what was run.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_RUN_HISTORY", "False")
port_of_environment()
