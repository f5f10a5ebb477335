"""Whether the program that asked one of the page's functions still waits for the answer."""

from __future__ import annotations

from gradio.context import LocalContext

from fluxbeat.errors import AnalysisCancelled


def check_still_wanted(share: float, doing: str) -> None:
    """Progress of an analysis that nobody is shown: ends it once its asker has gone.

    Raises
    ------
    AnalysisCancelled
        If Gradio's queue, which notices when a client hangs up, has given the call up.
    """
    page, call = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    if page is None or call is None:
        return
    running = [event for batch in page._queue.active_jobs for event in batch or ()]
    if any(event._id == call and not event.alive for event in running):
        raise AnalysisCancelled("nobody waits for the answer any more")
