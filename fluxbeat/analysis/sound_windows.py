"""A classifier that takes sound answers for each window while the recording is decoded, which is never kept whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from fluxbeat.analysis.windows import KnownWindows, WindowPredictions, hop_frames, sound_logits, window_starts
from fluxbeat.models.classifier import HubClassifier

AT_ONCE = 4
"""Windows that are answered together, and after which whoever waits is told."""


class SoundWindows:
    """Windows of sound through a classifier, as the sound comes; `finish` gives what `slide` gives of other models.

    Of the sound no more is held than one window, one hop and what came last. The windows begin where those of
    FluxBeat's networks with windows of the same length do, so that answers can be laid side by side.

    Parameters
    ----------
    model : HubClassifier
    hop_s : float
        Distance of windows in seconds; the nearest number of frames is done.

    Attributes
    ----------
    elapsed_s : float
        How long the model took so far.

    Raises
    ------
    FluxBeatError
        If `hop_s` is not above 0.
    """

    def __init__(self, model: HubClassifier, hop_s: float) -> None:
        self.model = model
        self.elapsed_s = 0.0
        self._rate_hz = model.config.features.frame_rate_hz
        self._hop = hop_frames(hop_s, model)
        self._logits: dict[int, np.ndarray] = {}
        self._sound, self._begin = np.zeros(0, np.float32), 0

    def push(self, samples: np.ndarray, report: Callable[[], None]) -> None:
        """Take the next mono samples, shape (samples,), at the model's rate; `report` is called between answers."""
        self._sound = np.concatenate([self._sound, samples])
        received = self._begin + len(self._sound)
        ready, start = list[int](), len(self._logits) * self._hop
        while self._sample(start) + self.model.window_samples <= received:
            ready.append(start)
            start += self._hop
        for first in range(0, len(ready), AT_ONCE):
            self._answer(ready[first : first + AT_ONCE])
            report()
        # the last window ends with the recording, and so begins after the one before `start`
        unneeded = max(0, self._sample(start - self._hop) - self._begin)
        self._sound, self._begin = self._sound[unneeded:], self._begin + unneeded

    def finish(self, n_frames: int) -> KnownWindows:
        """What was found in the whole recording, of `n_frames` frames of the log-mel, as `slide` takes it."""
        config = self.model.config
        padded = n_frames < config.window_frames
        if padded:
            self._sound = np.resize(self._sound, self.model.window_samples)
            n_frames = config.window_frames
        starts = window_starts(n_frames, config.window_frames, self._hop)
        missing = [start for start in starts.tolist() if start not in self._logits]
        if missing:
            self._answer(missing)
        logits = np.stack([self._logits[start] for start in starts.tolist()])
        found = WindowPredictions(
            start_s=starts / self._rate_hz,
            hop_s=self._hop / self._rate_hz,
            genre_logits=logits,
            tempo_logits=np.zeros((len(starts), config.tempo_grid.bins), np.float32),
            embedding=np.zeros((len(starts), 0), np.float32),
            kind=np.tile(np.array([1, 0, 0], np.float32), (len(starts), 1)),
            unfamiliarity=np.zeros(len(starts), np.float32),
            probability=self.model.probabilities(torch.from_numpy(logits)).double().numpy(),
            padded=padded,
        )
        return {(id(self.model), self._hop): found}

    def _sample(self, frame: int) -> int:
        """Where a frame of the log-mel begins in the classifier's samples."""
        return round(frame / self._rate_hz * self.model.rate_hz)

    def _answer(self, starts: Sequence[int]) -> None:
        began, length = time.perf_counter(), self.model.window_samples
        windows = np.zeros((len(starts), length), np.float32)
        for row, start in zip(windows, starts, strict=True):
            # resampled, the recording may be shorter than its frames by a sample
            sound = self._sound[max(0, self._sample(start) - self._begin) :][:length]
            row[: len(sound)] = sound
        logits = sound_logits(self.model, torch.from_numpy(windows)).numpy()
        self._logits |= dict(zip(starts, logits, strict=True))
        self.elapsed_s += time.perf_counter() - began
