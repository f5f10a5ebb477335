"""Which frequencies and moments carried each segment's genres, over a whole track, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from fluxbeat.analysis.json_fields import json_fields
from fluxbeat.analysis.result import Segment, TrackAnalysis
from fluxbeat.analysis.track import Track
from fluxbeat.analysis.windows import window_starts
from fluxbeat.errors import ExplanationError
from fluxbeat.explanation.attribution import Cam, attribute
from fluxbeat.explanation.explain import label_index
from fluxbeat.explanation.regions import MOST, Region, strongest_regions
from fluxbeat.explanation.windows import band_centres_hz, band_edges_hz
from fluxbeat.models.base import WindowModel
from fluxbeat.models.registry import LoadedModel

BATCH = 4
OVERLAP = 2
"""Windows lie over each moment this often."""
BLOCK_S = 60.0
"""Of the map that is held at a time."""
MOST_COLUMNS = 1200
"""Moments that the track's evidence is kept at: finer than any screen."""


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
            **json_fields(self.segment, start_s=2, end_s=2),
            "label": self.label,
            **json_fields(self, by_band=5),
            "regions": [region.to_dict() for region in self.regions],
        }


@dataclass(frozen=True, eq=False)
class TrackEvidence:
    """What speaks for the genres of a track, along the whole of it.

    Attributes
    ----------
    evidence : dict of str to float32 array, shape (mels, columns)
        By label, 0 or more: what speaks for it, in units of one window's logit per second; 0 outside the segments that
        it was explained in.
    segments : tuple of SegmentEvidence
        One for each label of each segment.
    band_hz : float array, shape (mels,)
    column_s : float
        Seconds from one column to the next.
    """

    evidence: dict[str, np.ndarray]
    segments: tuple[SegmentEvidence, ...]
    band_hz: np.ndarray
    column_s: float


def explain_whole_track(
    track: Track,
    model: LoadedModel,
    analysis: TrackAnalysis,
    *,
    cam: Cam | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> TrackEvidence:
    """Explain every label of every segment of music; where nothing is sure, the track's most probable label.

    Parameters
    ----------
    track : Track
        As the model's features need it.
    model : LoadedModel
    analysis : TrackAnalysis
        By the same model, of the same track.
    cam : Cam, optional
        As in `fluxbeat.explanation.explain`.
    progress : callable, optional
        Called with the finished share and the label that is explained.

    Raises
    ------
    ExplanationError
        If the track is shorter than a window, or holds no music.
    """
    network, rate_hz = model.network, track.features.frame_rate_hz
    first = analysis.genres[0].label
    music = [segment for segment in analysis.segments if segment.kind == "music"]
    wanted = [(segment, label) for segment in music for label in segment.labels or (first,)]
    if not wanted:
        raise ExplanationError(f"{track.file} holds no music: there is no genre that could be explained")
    log_mel, features = track.log_mel, track.features
    per_column = -(-log_mel.shape[1] // MOST_COLUMNS)
    column = np.arange(log_mel.shape[1]) // per_column  # of each frame
    totals = {label: np.zeros((len(log_mel), column[-1] + 1), np.float32) for _, label in wanted}
    found, done_s, all_s = [], 0.0, sum(segment.end_s - segment.start_s for segment, _ in wanted)
    for segment, label in wanted:
        by_band, frames, regions = np.zeros(len(log_mel)), 0, list[Region]()
        for block in _blocks(track, segment):
            evidence = _map(track, network, block, label_index(network, label), cam)
            np.add.at(totals[label].T, column[block], evidence.T)
            by_band += evidence.sum(axis=1)
            frames += block.stop - block.start
            places = strongest_regions(evidence, block.start / rate_hz, rate_hz, band_edges_hz(features))
            regions += [replace(place, share=place.share * float(evidence.sum())) for place in places]
            regions = sorted(regions, key=lambda region: -region.share)[:MOST]
            done_s += (block.stop - block.start) / rate_hz
            if progress:
                progress(min(1.0, done_s / all_s), label)
        mass = by_band.sum() or 1.0
        shares = tuple(replace(region, share=region.share / mass) for region in regions)
        found.append(SegmentEvidence(segment, label, by_band / frames * rate_hz, shares))
    by_label = {label: (total / np.bincount(column) * rate_hz).astype(np.float32) for label, total in totals.items()}
    return TrackEvidence(by_label, tuple(found), band_centres_hz(features), per_column / rate_hz)


def label_evidence(track: Track, model: LoadedModel, label: str, start_s: float, end_s: float) -> np.ndarray:
    """What speaks for a label in a passage, whatever is present there: float32 (mels, frames), 0 or more.

    In units of one window's logit per second. A passage takes memory by its length: ask for a minute at most.

    Raises
    ------
    ExplanationError
        If the model does not know the label or cannot be explained, or the track is shorter than a window.
    """
    network, rate_hz = model.network, track.features.frame_rate_hz
    first, end = (min(round(at_s * rate_hz), track.log_mel.shape[1]) for at_s in (start_s, end_s))
    if end <= first:
        return np.zeros((len(track.log_mel), 0), np.float32)
    found = _map(track, network, slice(first, end), label_index(network, label), None) * rate_hz
    return found.astype(np.float32)


def _blocks(track: Track, segment: Segment) -> Iterator[slice]:
    """The frames of a segment, in blocks."""
    frames, rate_hz = track.log_mel.shape[1], track.features.frame_rate_hz
    first, end = (min(round(at_s * rate_hz), frames) for at_s in (segment.start_s, segment.end_s))
    size = round(BLOCK_S * rate_hz)
    for begin in range(first, end, size):
        yield slice(begin, min(begin + size, end))


def _map(track: Track, network: WindowModel, block: slice, label: int, cam: Cam | None) -> np.ndarray:
    """What speaks for a label in the frames of a block, 0 or more: mean over the windows over each moment."""
    window, log_mel = network.config.window_frames, torch.from_numpy(track.log_mel)
    if log_mel.shape[1] < window:
        raise ExplanationError(
            f"{track.file} is {track.duration_s:.1f} s long: what is explained along a track needs at least one window "
            f"of {network.config.window_s:g} s"
        )
    starts = window_starts(log_mel.shape[1], window, max(1, window // OVERLAP))
    over = starts[(starts < block.stop) & (starts + window > block.start)].tolist()
    origin = over[0]
    total = np.zeros((len(log_mel), over[-1] + window - origin), np.float32)
    count = np.zeros(total.shape[1], np.float32)
    for begin in range(0, len(over), BATCH):
        batch = over[begin : begin + BATCH]
        windows = torch.stack([log_mel[:, start : start + window] for start in batch])
        for start, found in zip(batch, attribute(network, windows, label, cam).numpy(), strict=True):
            total[:, start - origin : start - origin + window] += found
            count[start - origin : start - origin + window] += 1
    inside = slice(block.start - origin, block.stop - origin)
    mean: np.ndarray = total[:, inside] / count[inside]
    return mean.clip(min=0)
