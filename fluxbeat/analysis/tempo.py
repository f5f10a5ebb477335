"""From the windows' tempo distributions to one tempo with its alternatives, and to a tempo curve."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from fluxbeat.analysis.octave import FREELY_BPM, as_tapped, tapped_weight
from fluxbeat.analysis.onsets import NO_ONSETS, OnsetStrength
from fluxbeat.analysis.result import Tempo, TempoCandidate
from fluxbeat.analysis.runs import runs
from fluxbeat.analysis.swing import as_two, is_three_in_two, reach
from fluxbeat.models.tempo import TempoGrid

TOLERANCE = 0.04
"""Tempi closer than this count as the same, as in the usual Accuracy1."""
RELATIVES = (1.0, 2.0, 1 / 2, 3.0, 1 / 3)
"""Tempi that a listener can take for each other."""
CANDIDATES = 4
LEAST_PROBABILITY = 0.03
SMOOTHING_S = 4.0
DRIFT = 0.02
"""By so much a tempo may change within a second as players slow down or hurry."""
INSISTENCE = 4.0
"""How many times as probable as going on another tempo must be, for the length of a window, to be believed."""
SLIPS = {2.0: 0.15, 1 / 2: 0.15, 3 / 2: 0.5, 2 / 3: 0.5}
"""What a tempo is taken for, by its factor, and from which share on of what speaks for one the other is as likely: the
other octave, and in triplets and swing every second note of three to a beat."""
WEAK_BEAT_SALIENCE = 0.25
"""So much `beat_salience` is enough in what is surely music, where no more is found: noise and speech reach more by
chance, but music has a beat more often than not. Of the 112 recordings for training whose tempo people annotated, the
default model so names 90 rightly, and 106 but for the octave, instead of 84 and 99; a lower value would name no
more."""
SURELY_MUSIC = 0.5
LEAST_EVIDENCE = 0.02
"""No single window rules a tempo out more than this."""


def softmax(logits: np.ndarray) -> np.ndarray:
    """Distribution over the last axis."""
    power = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return power / power.sum(axis=-1, keepdims=True)


def salience_needed(threshold: float, strongest: float, music: float) -> float:
    """The `beat_salience` that is enough for a beat: the model's threshold; in music, where that finds none, less.

    Parameters
    ----------
    threshold : float
        Of the model: stronger than in nearly all sound without a beat.
    strongest : float
        The `beat_salience` that was found.
    music : float
        Probability that the sound is music, 0..1.
    """
    return min(threshold, WEAK_BEAT_SALIENCE) if strongest < threshold and music >= SURELY_MUSIC else threshold


def find_tempo(
    tempo_logits: np.ndarray,
    audible: np.ndarray,
    grid: TempoGrid,
    threshold: float,
    overlap: float,
    freely_bpm: tuple[float, float] = FREELY_BPM,
    onsets: OnsetStrength = NO_ONSETS,
    hop_s: float = 1.0,
    music: float = 0.0,
) -> tuple[Tempo, np.ndarray]:
    """The tempo of a track and along it.

    Parameters
    ----------
    tempo_logits : float array, shape (windows, bins)
    audible : bool array, shape (windows,)
        Windows that hold music.
    grid : TempoGrid
    threshold : float
        `beat_salience` that a distribution needs, of the track or around a window, for its tempo to count; less is
        enough in music, as `salience_needed` says.
    overlap : float
        How many windows lie over a moment: as often is the same evidence counted.
    freely_bpm : (float, float)
        Between which tempi people tap freely in such music.
    onsets : OnsetStrength, optional
        Of the track: in swing they tell the beat from three in two.
    hop_s : float
        From one window to the next.
    music : float
        Probability that the track is music, 0..1.

    Returns
    -------
    tempo : Tempo
        `bpm` is None where no tempo stands out, neither of the track nor along it; where it changes, the one that
        is heard most.
    bpm : float array, shape (windows,)
        NaN where no tempo stands out or nothing sounds. It drifts freely and changes where the music insists on it: a
        hidden Markov model over the grid, as Klapuri, Eronen & Astola (IEEE TASLP 2006) track the period of the beat.
    """
    curve = np.full(len(tempo_logits), np.nan)
    if not audible.any():
        return Tempo(None, 0.0, (), grid.bpm, np.full(grid.bins, 1.0 / grid.bins)), curve
    windows = softmax(tempo_logits.astype(np.float64))
    whole = windows.mean(axis=0, where=audible[:, None])
    # neighbours share most of their music: read each window with its context
    windows[~audible] = 0.0
    context = gaussian_filter1d(windows, SMOOTHING_S / hop_s, axis=0, mode="nearest")[audible]
    whole, context, tapped, candidates = _without_three_in_two(whole, context, grid, freely_bpm, onsets)
    mass = _mass(context / context.sum(axis=1, keepdims=True), grid).astype(np.float32)
    weight = np.log(tapped_weight(grid.bpm, freely_bpm)).astype(np.float32)
    evidence, change_cost = np.log(np.maximum(mass, LEAST_EVIDENCE)) + weight, overlap * np.log(INSISTENCE)
    path = _steadiest_path(evidence, grid, change_cost, drift=(1 + DRIFT) ** hop_s - 1)
    along_path = float(_beat_saliences(mass, grid, path).mean())  # the tempo of a whole may change
    strongest = max(beat_salience(whole, grid), along_path)
    needed = salience_needed(threshold, strongest, music)
    first = candidates[0]
    if strongest < needed:
        return Tempo(None, first.probability, candidates, grid.bpm, tapped), curve
    along = _bpm_along(path, context, _beat_saliences(mass, grid) >= needed, grid)
    curve[audible] = _without_slips(along, mass, grid, first.bpm)
    return Tempo(first.bpm, first.probability, candidates, grid.bpm, tapped), curve


def _bpm_along(path: np.ndarray, context: np.ndarray, clear: np.ndarray, grid: TempoGrid) -> np.ndarray:
    """Tempo in BPM, (n,), at the peaks of distributions (n, bins) near a path of classes; NaN where none is clear."""
    along, smooth = np.full(len(path), np.nan), _smooth(context)
    for index in np.flatnonzero(clear):
        low = max(path[index] - reach(grid), 0)
        peak = low + int(smooth[index, low : path[index] + reach(grid) + 1].argmax())
        along[index] = _bpm_at(context[index], peak, grid)
    return along


def _without_slips(along: np.ndarray, mass: np.ndarray, grid: TempoGrid, headline_bpm: float) -> np.ndarray:
    """The curve, (n,), at the headline wherever it slips off it and the masses, (n, bins), leave that open.

    A band that plays half time for a verse still has the same beat, and so has a song whose hi-hat pauses.
    """
    settled = along.copy()
    for factor, open_share in SLIPS.items():
        for run in runs(np.abs(along * factor / headline_bpm - 1) <= TOLERANCE):
            here, there = (_mass_along(mass[run], along[run] * share, grid) for share in (1.0, factor))
            if there >= open_share * here:
                settled[run] *= factor
    return settled


def _mass_along(mass: np.ndarray, bpm: np.ndarray, grid: TempoGrid) -> float:
    """Mean of what speaks for each moment's tempo: masses (n, bins), tempi (n,)."""
    classes = np.round(grid.position(bpm)).astype(int).clip(0, grid.bins - 1)
    return float(mass[np.arange(len(mass)), classes].mean())


def _steadiest_path(evidence: np.ndarray, grid: TempoGrid, change_cost: float, drift: float) -> np.ndarray:
    """The best class of each moment (Viterbi); a change by more than the share `drift` costs. (n, bins) -> (n,)."""
    moments, bins = evidence.shape
    reach = max(1, round(np.log2(1 + drift) * grid.bins_per_octave))
    classes, came_from = np.arange(bins), np.empty((moments, bins), np.int16)
    padded = np.full(bins + 2 * reach, -np.inf)
    near, best = sliding_window_view(padded, 2 * reach + 1), padded[reach:-reach]  # views: they change with it
    best[:] = evidence[0]
    for moment in range(1, moments):
        step = near.argmax(axis=1)
        stayed, from_best = near[classes, step], int(best.argmax())
        changed = best[from_best] - change_cost
        came_from[moment] = np.where(stayed >= changed, classes + step - reach, from_best)
        best[:] = np.maximum(stayed, changed) + evidence[moment]
    path = np.empty(moments, np.int64)
    path[-1] = best.argmax()
    for moment in range(moments - 1, 0, -1):
        path[moment - 1] = came_from[moment, path[moment]]
    return path


def tempo_of(
    distribution: np.ndarray,
    grid: TempoGrid,
    threshold: float,
    freely_bpm: tuple[float, float] = FREELY_BPM,
    onsets: OnsetStrength = NO_ONSETS,
    music: float = 0.0,
) -> Tempo | None:
    """The tempo of one distribution, shape (bins,), as in `find_tempo`; None where its `beat_salience` is too low."""
    strength = beat_salience(distribution, grid)
    if strength < salience_needed(threshold, strength, music):
        return None
    _, _, tapped, candidates = _without_three_in_two(distribution, distribution[None], grid, freely_bpm, onsets)
    return Tempo(candidates[0].bpm, candidates[0].probability, candidates, grid.bpm, tapped)


def _without_three_in_two(
    whole: np.ndarray, context: np.ndarray, grid: TempoGrid, freely_bpm: tuple[float, float], onsets: OnsetStrength
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[TempoCandidate, ...]]:
    """What distributions say of the beat where in swing they mean three in two.

    Parameters
    ----------
    whole : float array, shape (bins,)
        Of the track.
    context : float array, shape (moments, bins)
        Along it.
    grid, freely_bpm, onsets
        As in `find_tempo`.

    Returns
    -------
    whole, context : float arrays
        With three in two exchanged for the beat where the onsets tell it, else as they were.
    tapped : float array, shape (bins,)
        The whole as people tap it.
    candidates : tuple of TempoCandidate
        Of it, most probable first.
    """
    tapped = as_tapped(whole, grid, freely_bpm)
    candidates = _candidates(tapped, grid)
    if is_three_in_two(context, grid, candidates[0].bpm, onsets):
        whole, context = (as_two(one, grid, candidates[0].bpm) for one in (whole, context))
        tapped = as_tapped(whole, grid, freely_bpm)
        candidates = _candidates(tapped, grid)
    return whole, context, tapped, candidates


def beat_salience(distribution: np.ndarray, grid: TempoGrid) -> float:
    """How much a distribution speaks for one beat: probability within 4 % of its best tempo and of that tempo's
    double, half, triple and third. Music that could be 86 or 172 BPM has a beat; hiss that could be anything has none.
    """
    return float(_beat_saliences(_mass(distribution[None], grid), grid)[0])


def _beat_saliences(mass: np.ndarray, grid: TempoGrid, at: np.ndarray | None = None) -> np.ndarray:
    """`beat_salience` of each row of masses, (n, bins) -> (n,); at these classes, or else at each row's best."""
    best = mass.argmax(axis=1) if at is None else at
    steps = sorted({float(np.log2(factor)) * grid.bins_per_octave for factor in RELATIVES})
    places = np.round(best[:, None] + steps).astype(int)
    within = (places >= 0) & (places < grid.bins)
    found = np.take_along_axis(mass, places.clip(0, grid.bins - 1), axis=1)
    return np.minimum(1.0, (found * within).sum(axis=1))


def _mass(distributions: np.ndarray, grid: TempoGrid) -> np.ndarray:
    """Probability within 4 % of each class; (n, bins)."""
    width = 2 * reach(grid) + 1
    return width * uniform_filter1d(distributions, width, axis=1, mode="constant")


def _smooth(distributions: np.ndarray) -> np.ndarray:
    """With the chance of single classes taken out, (..., bins)."""
    return gaussian_filter1d(distributions, 1.0, axis=-1, mode="constant")


def _bpm_at(distribution: np.ndarray, peak: int, grid: TempoGrid) -> float:
    """The tempo at a peak's centre of mass."""
    near = np.arange(max(peak - reach(grid), 0), min(peak + reach(grid) + 1, grid.bins))
    position = float((near * distribution[near]).sum() / max(distribution[near].sum(), 1e-12))
    return float(grid.min_bpm * 2 ** (position / grid.bins_per_octave))


def _candidates(distribution: np.ndarray, grid: TempoGrid) -> tuple[TempoCandidate, ...]:
    """Peaks of a distribution, most probable first: probability within 4 %, tempo at the peak's centre of mass."""
    from scipy.signal import find_peaks  # here, since it brings all of scipy.stats

    mass = _mass(distribution[None], grid)[0]
    peaks = find_peaks(np.pad(_smooth(distribution), 1), distance=reach(grid))[0] - 1
    found = [TempoCandidate(_bpm_at(distribution, peak, grid), float(min(mass[peak], 1.0))) for peak in peaks.tolist()]
    found.sort(key=lambda candidate: -candidate.probability)
    kept = [candidate for candidate in found if candidate.probability >= LEAST_PROBABILITY]
    return tuple((kept or found)[:CANDIDATES])
