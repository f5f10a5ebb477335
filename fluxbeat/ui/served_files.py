"""Files that the page makes for a browser to fetch: in Gradio's cache, which is served and emptied by age."""

from __future__ import annotations

import tempfile
from pathlib import Path
from urllib.parse import quote

import gradio as gr


def folder_to_serve(component: gr.HTML, prefix: str) -> Path:
    """A new folder in the component's cache, to write a file into."""
    cache = Path(component.GRADIO_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=cache))


def served_url(component: gr.HTML, written: Path) -> str:
    """Where the browser finds a file that was written there, relative to the page."""
    return f"gradio_api/file={quote(str(component.move_resource_to_block_cache(written)))}"
