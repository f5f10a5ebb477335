"""Where the beats lie: the onsets that follow each other at the tempo, by dynamic programming."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from fluxbeat.analysis.onsets import OnsetStrength
from fluxbeat.analysis.runs import runs
from fluxbeat.analysis.steady import peak_offset

TIGHTNESS = 300.0
"""How much an interval that is not the tempo's costs, per squared natural logarithm of their ratio; onsets have
a standard deviation of 1."""
SHORTEST, LONGEST = 0.8, 1.25
"""Intervals that are tried, in beats."""
LOW_SHARE = 0.5
"""What the bass drum's bands weigh beside all bands: beats are there rather than between."""
LEVELLED_S = 8.0
WIDTH = 1 / 32
"""Onsets this near to a beat, in beats, speak for it (standard deviation)."""


def track_beats(onsets: OnsetStrength, bpm: np.ndarray, at_s: np.ndarray) -> np.ndarray:
    """Times of the beats at a tempo that may change.

    The sequence of moments is found that lie on strong onsets and whose intervals fit the tempo (Ellis, "Beat
    tracking by dynamic programming", JNMR 2007), here with a tempo of its own at each moment.

    Parameters
    ----------
    onsets : OnsetStrength
    bpm : float array, shape (moments,)
        Tempo along the track; NaN where there is none, and so no beats.
    at_s : float array, shape (moments,)
        The moments in seconds, rising.

    Returns
    -------
    float64 array, shape (beats,)
        Seconds, rising.
    """
    wanted = _frames_with_tempo(len(onsets.strength), onsets.rate_hz, bpm, at_s)
    found = [np.zeros(0)]
    for run in runs(np.isfinite(wanted)):
        period = 60 * onsets.rate_hz / wanted[run]
        evidence = _evidence(onsets, run, float(np.median(period)))
        found.append((run.start + _best_sequence(evidence, period)) / onsets.rate_hz)
    return np.concatenate(found)


def tempo_border(onsets: OnsetStrength, before_bpm: float, after_bpm: float, about_s: float, reach_s: float) -> float:
    """The moment near `about_s` where beats at one tempo stop fitting and those at another begin to.

    Parameters
    ----------
    onsets : OnsetStrength
    before_bpm, after_bpm : float
    about_s, reach_s : float
        It is looked for this far to either side, seconds.

    Returns
    -------
    float
        Seconds.
    """
    first = max(0, round((about_s - 2 * reach_s) * onsets.rate_hz))
    part = slice(first, min(len(onsets.strength), round((about_s + 2 * reach_s) * onsets.rate_hz)))
    fit = []
    for bpm in (before_bpm, after_bpm):
        period = 60 * onsets.rate_hz / bpm
        evidence = _evidence(onsets, part, period)
        beats = np.round(_best_sequence(evidence, np.full(len(evidence), period))).astype(int)
        along = np.zeros(len(evidence))
        np.add.at(along, beats, evidence[beats] * np.sqrt(period))  # faster beats find more onsets by chance
        fit.append(np.cumsum(along))
    gain = fit[0] - fit[1]
    low, high = (round((about_s + side * reach_s) * onsets.rate_hz) - first for side in (-1, 1))
    low, high = max(low, 0), min(high, len(gain) - 1)
    return (first + low + int(gain[low : high + 1].argmax())) / onsets.rate_hz if high > low else about_s


def _frames_with_tempo(frames: int, rate_hz: float, bpm: np.ndarray, at_s: np.ndarray) -> np.ndarray:
    """The tempo at each frame: that of the nearest moment; (frames,), NaN where there is none."""
    middle = (at_s[1:] + at_s[:-1]) / 2
    edges = np.concatenate([[0], np.round(middle * rate_hz).astype(int).clip(0, frames), [frames]])
    return np.repeat(bpm.astype(np.float32), np.diff(edges))


def _evidence(onsets: OnsetStrength, part: slice, period: float) -> np.ndarray:
    """What speaks for a beat at each frame; its standard deviation is about 1 wherever music plays."""
    mixed = onsets.strength[part] + np.float32(LOW_SHARE) * onsets.low[part]  # float32: hours of it
    smooth = gaussian_filter1d(mixed, period * WIDTH, mode="constant")
    around = min(round(LEVELLED_S * onsets.rate_hz), len(smooth))
    square = uniform_filter1d(smooth**2, around, mode="reflect") - uniform_filter1d(smooth, around, mode="reflect") ** 2
    overall = float(smooth.std())
    return smooth / np.maximum(np.sqrt(np.maximum(square, 0)), max(0.1 * overall, 1e-9))


def _best_sequence(evidence: np.ndarray, period: np.ndarray) -> np.ndarray:
    """Frames of the beats, float64, from the evidence and the period in frames at each; both (frames,)."""
    frames = len(evidence)
    shortest = max(1, int(SHORTEST * period.min()))
    longest = int(np.ceil(LONGEST * period.max()))
    score = np.full(frames + longest, -np.inf, np.float32)  # what lies before the first frame is no beat
    from_lag = np.zeros(frames, np.int16)
    lags = np.arange(longest, shortest - 1, -1)
    scores_before = sliding_window_view(score, len(lags))  # at every frame those of its lags; it changes with them
    # beats are at least `shortest` apart: so many frames are decided at once
    for first in range(0, frames, shortest):
        end = min(first + shortest, frames)
        cost = (TIGHTNESS * np.log(lags / period[(first + end) // 2]) ** 2).astype(np.float32)
        through = scores_before[first:end] - cost
        best = through.argmax(axis=1)
        value = through[np.arange(end - first), best]
        begins = value <= 0  # nothing before is worth the way: the sequence may begin here
        from_lag[first:end] = np.where(begins, 0, lags[best])
        score[longest + first : longest + end] = evidence[first:end] + np.where(begins, 0.0, value)
    last = max(0, frames - int(np.ceil(period[-1])))
    beats = [last + int(score[longest + last :].argmax())]
    while from_lag[beats[-1]]:
        beats.append(beats[-1] - int(from_lag[beats[-1]]))
    return _refined(evidence, np.array(beats[::-1]))


def _refined(evidence: np.ndarray, beats: np.ndarray) -> np.ndarray:
    """Between the frames, where the evidence has its peak there."""
    inside = (beats > 0) & (beats < len(evidence) - 1)
    at = beats[inside]
    moved = beats.astype(np.float64)
    moved[inside] += peak_offset(evidence[at - 1], evidence[at], evidence[at + 1])
    return moved
