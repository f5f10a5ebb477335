"""Which frequencies and moments carried each segment's genres, over a whole track."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fluxbeat.analysis import Segment, Track, TrackAnalysis
from fluxbeat.errors import ExplanationError
from fluxbeat.explanation.attribution import LAYERS, attribute
from fluxbeat.explanation.explain import label_index
from fluxbeat.explanation.regions import Region, strongest_regions
from fluxbeat.explanation.windows import band_centres_hz, band_edges_hz
from fluxbeat.models import GenreTempoModel
from fluxbeat.zoo import ZooModel

BATCH = 8
OVERLAP = 2
"""Windows lie over each moment this often."""


@dataclass(frozen=True, eq=False)
class SegmentEvidence:
    """What carried one label of one segment.

    Attributes
    ----------
    segment : Segment
    label : str
    by_band : float array, shape (mels,)
        Evidence for the label in each mel band, mean over the segment, in units of the logit per second.
    regions : tuple of Region
        The strongest places, strongest first.
    """

    segment: Segment
    label: str
    by_band: np.ndarray
    regions: tuple[Region, ...]

    def to_dict(self) -> dict[str, Any]:
        """Part of the whole track's JSON."""
        return {
            "start_s": round(self.segment.start_s, 2),
            "end_s": round(self.segment.end_s, 2),
            "label": self.label,
            "by_band": [round(float(value), 5) for value in self.by_band],
            "regions": [region.to_dict() for region in self.regions],
        }


@dataclass(frozen=True, eq=False)
class TrackEvidence:
    """What speaks for the genres of a track, along the whole of it.

    Attributes
    ----------
    evidence : dict of str to float32 array, shape (mels, frames)
        By label, mean over the windows that lie over each moment; in units of the logit of one window.
    segments : tuple of SegmentEvidence
        One for each label of each segment.
    band_hz : float array, shape (mels,)
    frame_rate_hz : float
    """

    evidence: dict[str, np.ndarray]
    segments: tuple[SegmentEvidence, ...]
    band_hz: np.ndarray
    frame_rate_hz: float


def explain_whole_track(
    track: Track,
    model: ZooModel,
    analysis: TrackAnalysis,
    *,
    layer: str = LAYERS[0],
    progress: Callable[[float, str], None] | None = None,
) -> TrackEvidence:
    """Explain every label of every segment; where nothing is sure, the track's most probable label.

    Parameters
    ----------
    track : Track
        As the model's features need it.
    model : ZooModel
    analysis : TrackAnalysis
        By the same model, of the same track.
    layer : str
    progress : callable, optional
        Called with the finished share and the label that is explained.

    Raises
    ------
    ExplanationError
        If the track is shorter than a window.
    """
    first = analysis.genres[0].label
    wanted = [(segment, label) for segment in analysis.segments for label in segment.labels or (first,)]
    labels = list(dict.fromkeys(label for _, label in wanted))
    evidence = {}
    for number, label in enumerate(labels):

        def report(share: float, number: int = number, label: str = label) -> None:
            if progress:
                progress((number + share) / len(labels), label)

        evidence[label] = _along(track, model.network, label_index(model.network, label), layer, report)
    found = tuple(_of_segment(segment, label, evidence[label], track) for segment, label in wanted)
    return TrackEvidence(evidence, found, band_centres_hz(track.features), track.features.frame_rate_hz)


def _along(
    track: Track, network: GenreTempoModel, label: int, layer: str, report: Callable[[float], None]
) -> np.ndarray:
    frames, log_mel = network.config.window_frames, torch.from_numpy(track.log_mel)
    if log_mel.shape[1] < frames:
        raise ExplanationError(
            f"{track.file} is {track.duration_s:.1f} s long: a whole track needs at least one window of "
            f"{network.config.window_s:g} s"
        )
    last = log_mel.shape[1] - frames
    starts = np.unique(np.append(np.arange(0, last + 1, frames // OVERLAP), last)).tolist()
    total, count = np.zeros(track.log_mel.shape, np.float32), np.zeros(log_mel.shape[1], np.float32)
    for begin in range(0, len(starts), BATCH):
        batch = starts[begin : begin + BATCH]
        windows = torch.stack([log_mel[:, start : start + frames] for start in batch])
        for start, found in zip(batch, attribute(network, windows, label, layer).evidence.numpy(), strict=True):
            total[:, start : start + frames] += found
            count[start : start + frames] += 1
        report((begin + len(batch)) / len(starts))
    return total / count


def _of_segment(segment: Segment, label: str, evidence: np.ndarray, track: Track) -> SegmentEvidence:
    rate_hz = track.features.frame_rate_hz
    first, end = round(segment.start_s * rate_hz), round(segment.end_s * rate_hz)
    positive = evidence[:, first : max(end, first + 1)].clip(min=0)
    regions = strongest_regions(positive, first / rate_hz, rate_hz, band_edges_hz(track.features))
    return SegmentEvidence(segment, label, positive.mean(axis=1) * rate_hz, regions)


def in_words(found: Sequence[SegmentEvidence]) -> list[str]:
    """One line per segment and label, for people."""
    return [
        f"{one.segment.start_s:.0f}–{one.segment.end_s:.0f} s {one.label}: "
        + ("; ".join(region.words() for region in one.regions[:3]) or "nothing speaks for it clearly")
        for one in found
    ]
