"""What leans on the insides of Gradio, all of it; of the same kind in JavaScript is `static/gradio_page.js`.

requirements.txt holds Gradio to one minor version, and tests/web/test_gradio_internals.py has a test for each.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import gradio as gr
import httpx
from gradio import processing_utils
from gradio.context import LocalContext

from fluxbeat.web.temporary_folder import FILE_ADDRESS


def guard_paths(page: gr.Blocks) -> None:
    """Have a mounted page refuse paths that nobody uploaded, as Gradio does only for pages that it launched itself."""
    page.has_launched = True


class _Refusing(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise gr.Error("this server fetches no address: upload the file itself", print_exception=False)


def fetch_nothing() -> None:
    """Have Gradio refuse addresses in place of files, which it would ask name services for, and then fetch."""
    processing_utils.async_transport = _Refusing()  # type: ignore[assignment]  # made for tests of theirs


def allow_events_at_once(page: gr.Blocks, count: int) -> None:
    """Let so many events of a page wait or compute at the same time, beside those that Gradio lets in anyway."""
    page._queue.max_thread_count += count


def asks_whether_wanted() -> Callable[[], bool]:
    """Called in an event of the page: a function that says whether its caller still waits.

    Gradio's queue notices when a client hangs up and gives its events up. Where an event is not in the queue, as in a
    direct call, it is wanted.
    """
    page, call = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    if page is None or call is None:
        return lambda: True

    def wanted() -> bool:
        events = [event for batch in page._queue.active_jobs for event in batch or ()]
        return not any(event._id == call and not event.alive for event in events)

    return wanted


def folder_to_serve(component: gr.HTML, prefix: str) -> Path:
    """A new folder in the component's cache, which is served and emptied by age, to write a file into."""
    cache = Path(component.GRADIO_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=cache))


def served_url(component: gr.HTML, written: Path) -> str:
    """Where the browser finds a file that was written there, relative to the page."""
    return file_url(str(component.move_resource_to_block_cache(written)))


def file_url(path: str) -> str:
    """Where the browser finds a file that Gradio serves where it lies, such as an upload, relative to the page."""
    return f"{FILE_ADDRESS.removeprefix('/')}{quote(path)}"
