"""The exact number of a steady tempo: a class says about where it lies, the onset strength says where."""

from __future__ import annotations

import numpy as np

from fluxbeat.analysis.onsets import OnsetStrength

CHUNK_S = 60.0
"""Coherent for so long: songs are cut and joined, so that the beat after a break need not continue that before."""
HARMONICS = (1, 2, 3, 4, 6, 8)
HIGHEST_HZ = 25.0
SEARCHED = 0.04
"""How far from the class's tempo it may lie."""


def exact_bpm(onsets: OnsetStrength, near_bpm: float, spans_s: list[tuple[float, float]]) -> float:
    """The tempo near `near_bpm` at which the onsets of these spans repeat most.

    The power of the onset strength at a tempo's frequency and at its harmonics, summed (harmonic summation: Nielsen et
    al., "Fast fundamental frequency estimation", Signal Processing 2017), over chunks of at most a minute. High
    harmonics make it exact: 15 s hold 100 sixteenths at 100 BPM.

    Parameters
    ----------
    onsets : OnsetStrength
    near_bpm : float
        Within 4 % of the tempo.
    spans_s : list of (float, float)
        Begin and end in seconds of the music that has this tempo.

    Returns
    -------
    float
        BPM; `near_bpm` where the spans hold no onsets.
    """
    chunks = [chunk for span in spans_s for chunk in _chunks(onsets, *span)]
    if not chunks:
        return near_bpm
    longest_s = max(len(chunk) for chunk in chunks) / onsets.rate_hz
    step = 60 / (longest_s * near_bpm * max(HARMONICS) * 4)  # relative to the tempo: a quarter of the finest detail
    factors = np.arange(1 - SEARCHED, 1 + SEARCHED + step, step)
    score = np.zeros(len(factors))
    for chunk in chunks:
        score += _harmonic_power(chunk, onsets.rate_hz, near_bpm / 60 * factors)
    best = int(score.argmax())
    if not 0 < best < len(score) - 1:
        return near_bpm * float(factors[best]) if score[best] > 0 else near_bpm
    return near_bpm * float(factors[best] + peak_offset(*score[best - 1 : best + 2]) * step)


def peak_offset(before: np.ndarray, at: np.ndarray, after: np.ndarray) -> np.ndarray:
    """How far from the middle one of three values the parabola through them peaks, in steps; 0 where that is none."""
    bend = before - 2 * at + after
    peaked = (at >= before) & (at >= after) & (bend < 0)
    return np.where(peaked, 0.5 * (before - after) / np.where(peaked, bend, -1.0), 0.0)


def _chunks(onsets: OnsetStrength, start_s: float, end_s: float) -> list[np.ndarray]:
    """Equal parts of a span that overlap by half, each without its mean and faded at both ends."""
    first, end = round(start_s * onsets.rate_hz), min(round(end_s * onsets.rate_hz), len(onsets.strength))
    length, most = end - first, round(CHUNK_S * onsets.rate_hz)
    if length < onsets.rate_hz:
        return []
    count = 1 if length <= most else 2 * -(-length // most) - 1
    size = length if count == 1 else 2 * length // (count + 1)
    begins = np.linspace(first, end - size, count).round().astype(int)
    fade = np.hanning(size)
    roots = [np.sqrt(onsets.strength[begin : begin + size]) for begin in begins]
    return [fade * (root - root.mean()) for root in roots]


def _harmonic_power(chunk: np.ndarray, rate_hz: float, beat_hz: np.ndarray) -> np.ndarray:
    size = 1 << (4 * len(chunk) - 1).bit_length()
    power = np.abs(np.fft.rfft(chunk, size)) ** 2
    score = np.zeros(len(beat_hz))
    for harmonic in HARMONICS:
        place = beat_hz * harmonic / rate_hz * size
        if beat_hz[-1] * harmonic < HIGHEST_HZ:
            score += np.interp(place, np.arange(len(power)), power)
    return score
