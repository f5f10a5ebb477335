"""Whether two recordings are the same: by their spectrum, or by how it moves.

The idea is that of audio fingerprinting (Haitsma & Kalker, "A highly robust audio fingerprinting system", ISMIR 2002)
in its plainest form: band energies over time, correlated at every shift of a few seconds. It finds a recording in
another format, at another level, or with up to 5 s cut off at its start; it does not find another performance, an
excerpt from the middle, or another speed. Two recordings made of the same loop may look the same to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fluxbeat.features.log_mel import FeatureConfig, normalise

BEGINNING_S, ANCHOR_S = 25.0, 20.0
BANDS = 20
STEP_S, SMOOTH_S = 0.24, 1.0
FLAT = 1e-3
BLOCK = 512
"""Fingerprints that are compared with as many others at once."""
SAME = 0.85
"""Likeness from which two recordings are the same. Measured on 17 clips of GTZAN: 0.93 and more between a clip and
its copy (MP3 at 64 or 128 kbit/s, Opus at 32; 9 dB softer, 0.37 or 3.1 s cut off), 0.49 and less between two clips."""


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """The beginning of a recording.

    Attributes
    ----------
    digest : str
        Hash of its mel power; empty for silence, which is nobody's.
    curve : float32 array, shape (bands, steps)
        How the bands, averaged over about a second, move about their mean, in steps of 0.24 s; 0 after the end.
    """

    digest: str
    curve: np.ndarray


def fingerprint(log_mel_db: np.ndarray, features: FeatureConfig) -> Fingerprint:
    """Of the first 25 s of a recording's mel power in dB, (mels, frames), as `LogMel.from_blocks` gives it."""
    rate_hz = features.frame_rate_hz
    beginning = np.ascontiguousarray(log_mel_db[:, : round(BEGINNING_S * rate_hz)], dtype=np.float32)
    curve = np.zeros((min(BANDS, len(beginning)), round(BEGINNING_S / STEP_S)), np.float32)
    if beginning.max(initial=features.floor_db) <= features.floor_db:
        return Fingerprint("", curve)
    log_mel = normalise(torch.from_numpy(beginning)[None].clone(), features)[0].numpy()
    if beginning.shape[1] > 2 * round(SMOOTH_S * rate_hz):
        found = band_courses(log_mel, rate_hz, BANDS, SMOOTH_S, STEP_S)
        curve[:, : found.shape[1]] = found - found.mean(axis=1, keepdims=True)
    return Fingerprint(hashlib.sha256(beginning.tobytes()).hexdigest(), curve)


def band_courses(log_mel: np.ndarray, rate_hz: float, bands: int, smooth_s: float, step_s: float) -> np.ndarray:
    """How bands, averaged over some time, move: (mels, frames) to float (bands, steps), without steps where too short.

    Only where the window is full: all files look the same where they begin and end.
    """
    courses = np.stack([part.mean(axis=0) for part in np.array_split(log_mel, min(bands, len(log_mel)))])
    window = np.hanning(round(smooth_s * rate_hz) + 2)[1:-1]
    if courses.shape[1] < len(window):
        return np.zeros((len(courses), 0), np.float32)
    smooth = np.stack([np.convolve(course, window / window.sum(), mode="valid") for course in courses])
    at = np.round(np.arange(0, smooth.shape[1] / rate_hz, step_s) * rate_hz).astype(int)
    return smooth[:, at[at < smooth.shape[1]]]


def likeness(first: Sequence[Fingerprint], second: Sequence[Fingerprint]) -> np.ndarray:
    """Greatest correlation over all shifts of up to 5 s, float32 (first, second), 1 for equal sound."""
    found = np.maximum(_anchored(first, second), _anchored(second, first).T)
    _, numbers = np.unique([one.digest for one in (*first, *second)], return_inverse=True)
    equal = numbers[: len(first), None] == numbers[None, len(first) :]
    equal &= np.array([bool(one.digest) for one in first])[:, None]
    return np.where(equal, np.float32(1.0), found)


def same_recordings(first: Sequence[Fingerprint], second: Sequence[Fingerprint]) -> list[tuple[int, int]]:
    """Places in `first` and in `second` that hold the same recording, in order.

    Of fingerprints with themselves (`second` is `first`) each pair once, the lower place first. Memory grows with the
    number of fingerprints, not with its square.
    """
    pairs: list[tuple[int, int]] = []
    for row in range(0, len(first), BLOCK):
        for column in range(row if first is second else 0, len(second), BLOCK):
            alike = likeness(first[row : row + BLOCK], second[column : column + BLOCK]) >= SAME
            pairs += [(row + a, column + b) for a, b in np.argwhere(alike).tolist()]
    return sorted(pair for pair in pairs if first is not second or pair[0] < pair[1])


def originals(prints: Sequence[Fingerprint]) -> list[int]:
    """Of each the place of the first that holds the same recording, its own where none before it does.

    What is like a copy is a copy too, even where it is not like the first: each may lack more seconds of its start.
    """
    first = list(range(len(prints)))
    for earlier, later in same_recordings(prints, prints):
        if first[later] == later:
            first[later] = first[earlier]
    return first


def _anchored(first: Sequence[Fingerprint], second: Sequence[Fingerprint]) -> np.ndarray:
    """Correlation of the beginnings of `first` with parts of `second` that begin up to 5 s later."""
    steps = first[0].curve.shape[1]
    anchor_steps = round(steps * ANCHOR_S / BEGINNING_S)
    anchors = unit_rows(np.stack([one.curve[:, :anchor_steps] for one in first]))
    curves = np.stack([one.curve for one in second])
    best = np.zeros((len(first), len(second)), np.float32)
    for shift in range(steps - anchor_steps + 1):
        np.maximum(best, anchors @ unit_rows(curves[:, :, shift : shift + anchor_steps]).T, out=best)
    return best


def unit_rows(curves: np.ndarray) -> np.ndarray:
    """(n, bands, steps) -> float32 (n, bands * steps) of length 1, or 0 where nothing moves."""
    flat = curves.reshape(len(curves), -1)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.where(length > FLAT, flat / np.maximum(length, FLAT), 0.0).astype(np.float32)
