"""Tracks that a page may ask for again after a reload, each under a name that nobody can guess."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

from fluxbeat.web.ui.track_results import TrackResults


class KeptTracks:
    """Results by their token, the newest last; the file's features are not kept, they are read again when needed.

    Parameters
    ----------
    kept_s : float
        How long a track is known after it was last shown; forgotten, at the latest, when the next one is kept.
    at_most : int
        How many are known; the one that was not shown for longest goes first.
    """

    def __init__(self, kept_s: float, at_most: int = 256) -> None:
        self._kept_s, self._at_most = kept_s, at_most
        self._tracks: dict[str, tuple[float, TrackResults]] = {}
        self._lock = threading.Lock()

    def keep(self, track: TrackResults) -> None:
        """Know a track, as it is now, by its token."""
        with self._lock:
            self._tracks.pop(track.token, None)
            now_s = time.monotonic()
            self._tracks[track.token] = now_s, replace(track, tracks={})
            newest = list(self._tracks.items())[-self._at_most :]
            self._tracks = {token: kept for token, kept in newest if now_s - kept[0] <= self._kept_s}

    def find(self, token: str) -> TrackResults | None:
        """The track of this token, if it is still known and its file is still there."""
        kept_s, track = self._tracks.get(token, (0.0, None))
        if track is None or time.monotonic() - kept_s > self._kept_s or not Path(track.path).is_file():
            return None
        return track
