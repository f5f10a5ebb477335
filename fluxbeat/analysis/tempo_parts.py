"""From classes of tempo to numbers: the parts of a track that keep one tempo, how fast each is, and its beats."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fluxbeat.analysis.beats import tempo_border, track_beats
from fluxbeat.analysis.onsets import OnsetStrength
from fluxbeat.analysis.result import Tempo, TempoCandidate
from fluxbeat.analysis.steady import exact_bpm
from fluxbeat.analysis.tempo import RELATIVES, TOLERANCE

LEAST_PART_S = 8.0
"""A tempo that holds for less has no number of its own."""
MACHINE = 0.0025
"""Where both halves of a part agree so closely, a machine keeps the time."""
MOVES = 0.06
"""A tempo this far from the track's is another one; classes are up to 3 % apart."""
LEAST_OTHER_SHARE = 0.1
"""Less of the track than this in another tempo is no change."""
BORDER_REACH_S = 6.0
"""How far from where the windows put it the border of two tempi may lie."""


@dataclass(frozen=True)
class _TempoPart:
    """Windows `first` to `end` (excluded) that keep one tempo, from `start_s` to `end_s`.

    `machine` tells a tempo that a machine keeps: `bpm` is then right within 0.1 % all along.
    """

    first: int
    end: int
    start_s: float
    end_s: float
    bpm: float
    machine: bool

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s


def settle_tempo(
    tempo: Tempo, curve: np.ndarray, centre_s: np.ndarray, duration_s: float, onsets: OnsetStrength
) -> tuple[Tempo, np.ndarray, list[float]]:
    """Numbers and beats for what the windows' classes say.

    Parameters
    ----------
    tempo : Tempo
        As `find_tempo` reads it off the classes.
    curve : float array, shape (windows,)
        Likewise, in BPM; NaN where there is no beat.
    centre_s : float array, shape (windows,)
        The moment each window stands for.
    duration_s : float
    onsets : OnsetStrength
        Of the track.

    Returns
    -------
    tempo : Tempo
        With its number from the onsets, whether it is stable, and its beats.
    curve : float array, shape (windows,)
        Level where a machine keeps the time.
    borders_s : list of float
        Where one tempo that lasts gives way to another at once, not as players slow down or hurry.
    """
    if tempo.bpm is None:
        return tempo, curve, []
    parts = _parts(curve, centre_s, duration_s, onsets)
    curve = curve.copy()
    for part in parts:
        if part.machine:
            curve[part.first : part.end] = part.bpm
    beats_s = track_beats(onsets, curve, centre_s)
    bpm = _headline(tempo.bpm, parts, onsets, beats_s)
    settled = replace(
        tempo,
        bpm=bpm,
        candidates=_moved(tempo.candidates, [bpm, *(part.bpm for part in parts)]),
        stable=not _changes(curve, bpm),
        beats_s=beats_s,
    )
    return settled, curve, _borders_s(parts, curve, onsets)


def with_number(tempo: Tempo, bpm: float) -> Tempo:
    """The tempo with its exact number, and its candidates at theirs where they are multiples of it."""
    return replace(tempo, bpm=bpm, candidates=_moved(tempo.candidates, [bpm]))


def _parts(curve: np.ndarray, centre_s: np.ndarray, duration_s: float, onsets: OnsetStrength) -> list[_TempoPart]:
    """The parts that keep one tempo for at least 8 s, in order."""
    edges_s = np.concatenate([[0.0], (centre_s[1:] + centre_s[:-1]) / 2, [duration_s]])
    found = []
    for first, end in _level_runs(curve):
        start_s, end_s = float(edges_s[first]), float(edges_s[end])
        if end_s - start_s >= LEAST_PART_S:
            bpm, machine = _number(onsets, float(np.median(curve[first:end])), start_s, end_s)
            found.append(_TempoPart(first, end, start_s, end_s, bpm, machine))
    return found


def _level_runs(curve: np.ndarray) -> list[tuple[int, int]]:
    """Runs of windows with a tempo that stays within 4 % of the run's first windows."""
    runs, first = [], 0
    for index in range(1, len(curve) + 1):
        about = np.median(curve[first : min(index, first + 8)])
        if index < len(curve) and abs(curve[index] / about - 1) <= TOLERANCE:
            continue
        if np.isfinite(curve[first]):
            runs.append((first, index))
        first = index
    return runs


def _number(onsets: OnsetStrength, about_bpm: float, start_s: float, end_s: float) -> tuple[float, bool]:
    """The tempo of a part, and whether both its halves have it."""
    bpm = exact_bpm(onsets, about_bpm, [(start_s, end_s)])
    middle_s = (start_s + end_s) / 2
    halves = [exact_bpm(onsets, bpm, [half]) for half in ((start_s, middle_s), (middle_s, end_s))]
    return bpm, all(abs(half / bpm - 1) <= MACHINE for half in halves)


def _headline(class_bpm: float, parts: Sequence[_TempoPart], onsets: OnsetStrength, beats_s: np.ndarray) -> float:
    """The number of the tempo that the classes name, or of the one that lasts longest where none lasts as named."""
    if not parts:
        return class_bpm

    def like(bpm: float) -> list[_TempoPart]:
        return [part for part in parts if abs(part.bpm / bpm - 1) <= TOLERANCE]

    named = like(class_bpm) or like(max(parts, key=lambda part: sum(one.length_s for one in like(part.bpm))).bpm)
    longest = max(named, key=lambda part: part.length_s)
    spans_s = [(part.start_s, part.end_s) for part in named]
    if longest.machine:
        return exact_bpm(onsets, longest.bpm, spans_s)
    return _played(beats_s, spans_s, longest.bpm)


def _played(beats_s: np.ndarray, spans_s: Sequence[tuple[float, float]], about_bpm: float) -> float:
    """The tempo that people keep, who hurry and drag: that of the median of four beats in a row."""
    inside = np.zeros(len(beats_s), bool)
    for start_s, end_s in spans_s:
        inside |= (beats_s >= start_s) & (beats_s < end_s)
    fours_s = (beats_s[4:] - beats_s[:-4])[inside[4:] & inside[:-4]]
    bpm = 240 / float(np.median(fours_s)) if len(fours_s) else about_bpm
    return bpm if abs(bpm / about_bpm - 1) <= MOVES else about_bpm


def _moved(candidates: tuple[TempoCandidate, ...], exact_bpms: Sequence[float]) -> tuple[TempoCandidate, ...]:
    """The candidates at the exact numbers or their multiples where they are near to one; the first number's first."""
    multiples = [bpm * factor for factor in RELATIVES for bpm in exact_bpms]

    def exact(about_bpm: float) -> float:
        near = [bpm for bpm in multiples if abs(about_bpm / bpm - 1) <= TOLERANCE]
        return near[0] if near else about_bpm

    moved = [TempoCandidate(exact(one.bpm), one.probability) for one in candidates]
    return tuple(sorted(moved, key=lambda one: one.bpm != exact_bpms[0]))


def _changes(curve: np.ndarray, bpm: float) -> bool:
    there = curve[np.isfinite(curve)]
    return bool(len(there)) and float(np.mean(np.abs(there / bpm - 1) > MOVES)) > LEAST_OTHER_SHARE


def _borders_s(parts: Sequence[_TempoPart], curve: np.ndarray, onsets: OnsetStrength) -> list[float]:
    borders_s = []
    for before, after in itertools.pairwise(parts):
        jump = abs(np.log(after.bpm / before.bpm))
        between = curve[(before.first + before.end) // 2 : (after.first + after.end) // 2 + 1]
        at_once = np.abs(np.diff(np.log(between[np.isfinite(between)]))).max(initial=0.0) > jump / 2
        if jump > np.log1p(TOLERANCE) and at_once and after.start_s - before.end_s < LEAST_PART_S:
            about_s = (before.end_s + after.start_s) / 2
            reach_s = min(BORDER_REACH_S, before.length_s / 2, after.length_s / 2)
            borders_s.append(tempo_border(onsets, before.bpm, after.bpm, about_s, reach_s))
    return borders_s


def bpm_between(curve: np.ndarray, centre_s: np.ndarray, start_s: float, end_s: float) -> float | None:
    """The tempo of a part of a track: the median of its windows, or of the nearest; None where most have no beat."""
    inside = (centre_s >= start_s) & (centre_s <= end_s)
    values = curve[inside] if inside.any() else curve[[np.abs(centre_s - (start_s + end_s) / 2).argmin()]]
    there = values[np.isfinite(values)]
    return float(np.median(there)) if len(there) * 2 >= len(values) and len(there) else None
