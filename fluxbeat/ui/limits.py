"""How much the page takes, from its visitors and from the programs that use its functions."""

from __future__ import annotations

from dataclasses import dataclass

from fluxbeat.audio import MAX_DURATION_S


@dataclass(frozen=True)
class PageLimits:
    """What whoever runs the page decides.

    Attributes
    ----------
    max_upload_bytes : int
        Largest file.
    max_duration_s : float
        Longest recording in seconds.
    analyses_at_once : int
        How many analyses run at the same time, and how many explanations.
    waiting_at_most : int
        How many more requests of any kind may wait for their turn.
    """

    max_upload_bytes: int = 500_000_000
    max_duration_s: float = MAX_DURATION_S
    analyses_at_once: int = 2
    waiting_at_most: int = 64

    @property
    def places(self) -> int:
        """Length of Gradio's queue, through which those pass too who need not wait."""
        return self.analyses_at_once + self.waiting_at_most
