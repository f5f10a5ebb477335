"""From answers to numbers, each with its count and its 95 % interval."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fluxbeat.training.evaluation.answers import Answer, GenreScores
from fluxbeat.training.evaluation.measures import (
    average_precision,
    border_hits,
    border_measures,
    calibration_error,
    estimate,
    reliability,
    resamples,
    roc_auc,
    share,
    tempo_accuracy,
)

LEAST_POSITIVES = 10
"""Of a label, for it to count in a mean over labels: with two positive tracks an average precision is a lottery."""


def summarise(answers: list[Answer]) -> dict[str, Any]:
    """All that answers on single tracks tell.

    Returns
    -------
    dict
        `accuracy`, `top3`: share of tracks whose most probable label, or one of the first three, is right (among the
        labels that the track's source speaks about); `accuracy_all_labels`: of all labels of the model, where its
        source does not speak about some; `average_precision`, `macro_average_precision`, `roc_auc`,
        `macro_roc_auc`: see `ranking`; `calibration`: see `calibration`; `tempo`, and `NAME_tempo` of each peer:
        Accuracy1 and Accuracy2; `musicnn`: see `beside_musicnn`. What nothing is known of is left out.
    """
    report: dict[str, Any] = {"tracks": len(answers)}
    labelled = [answer for answer in answers if answer.case.labels]
    if labelled:
        scores = GenreScores.of(labelled)
        # a genre that the model does not have can be no answer of it
        rows = scores.truth.any(axis=1)
        report["accuracy"] = share((scores.truth & scores.first(1)).any(axis=1)[rows].tolist())
        if not scores.known[rows].all():
            report["accuracy_all_labels"] = share((scores.truth & scores.first_of_all)[rows].any(axis=1).tolist())
        report["top3"] = share((scores.truth & scores.first(3)).any(axis=1)[rows].tolist())
        report.update(ranking(scores))
        report["calibration"] = calibration(scores)
        lacking = {label for answer in labelled for label in answer.case.labels or ()} - set(scores.labels)
        if lacking:
            report["labels_the_model_lacks"] = sorted(lacking)
        heard = [answer for answer in labelled if answer.case.peer_genres]
        if heard:
            report["musicnn"] = beside_musicnn(heard)
    timed = [answer for answer in answers if answer.case.tempo_bpm]
    if timed:
        report["tempo"] = tempo_accuracy([(a.analysis.tempo.bpm, a.case.tempo_bpm or 0.0) for a in timed])
        for peer in dict.fromkeys(peer for answer in timed for peer in answer.case.peer_bpm):
            asked = [answer for answer in timed if peer in answer.case.peer_bpm]
            report[f"{peer}_tempo"] = tempo_accuracy([(a.case.peer_bpm[peer], a.case.tempo_bpm or 0.0) for a in asked])
    return report


def ranking(scores: GenreScores) -> dict[str, Any]:
    """Average precision (area under precision and recall) and ROC-AUC, per label and macro.

    Returns
    -------
    dict
        `average_precision` and `roc_auc`: per label value, tracks of which it is known (`n`), positive tracks, and
        interval; `macro_average_precision`, `macro_roc_auc`: means over the labels with at least `LEAST_POSITIVES`
        positive tracks (where no label has as many: with any), `n` being the number of those labels. A label without
        positive tracks has the value 0.
    """
    report: dict[str, Any] = {}
    weights = resamples(scores.artists)
    for name, measure in (("average_precision", average_precision), ("roc_auc", roc_auc)):
        per_label, rows = {}, []
        for column, label in enumerate(scores.labels):
            known = scores.known[:, column]
            truth = scores.truth[known, column]
            entry: dict[str, Any] = {"value": 0.0, "n": int(known.sum()), "interval_95": None}
            if truth.any():
                values = measure(scores.probability[known, column], truth, weights[:, known])
                entry = estimate(values, int(known.sum()))
                rows.append((int(truth.sum()), values))
            per_label[label] = {**entry, "positives": int(truth.sum())}
        report[name] = per_label
        report[f"macro_{name}"] = _macro(_of_enough(rows))
    return report


def calibration(scores: GenreScores) -> dict[str, Any]:
    """How true the probabilities are (Guo et al., ICML 2017), in 15 bins.

    Returns
    -------
    dict
        `ece`: over all labels of all tracks, each a yes-or-no answer; `first_label_ece`: of the most probable label
        alone; `reliability`: the table behind the former.
    """
    weights = resamples(scores.artists)
    arrays = scores.probability, scores.truth, scores.known
    tracks = len(scores.probability)
    return {
        "ece": estimate(calibration_error(*arrays, weights), tracks),
        "first_label_ece": estimate(calibration_error(*arrays[:2], scores.first(1), weights), tracks),
        "reliability": reliability(*arrays),
    }


def beside_musicnn(answers: list[Answer]) -> dict[str, Any]:
    """Average precision on the labels that MusiCNN (Pons & Serra 2019) also has, of both, on the same tracks.

    Returns
    -------
    dict
        `average_precision`: MusiCNN's per label; `macro`: MusiCNN's mean; `own_macro`: the model's over the same
        labels; `difference`: model minus MusiCNN, its interval from pairs (the same tracks in each bootstrap sample).
        The macros' `n` is the number of labels; as in `ranking` those with few positive tracks take no part.
    """
    scores = GenreScores.of(answers)
    weights = resamples(scores.artists)
    per_label, theirs, ours = {}, [], []
    for column, label in enumerate(scores.labels):
        rows = scores.known[:, column] & np.array([label in answer.case.peer_genres for answer in answers])
        truth = scores.truth[rows, column]
        if not truth.any():
            continue
        peer = np.array([answer.case.peer_genres.get(label, 0.0) for answer in answers])[rows]
        positives, theirs_now = int(truth.sum()), average_precision(peer, truth, weights[:, rows])
        theirs.append((positives, theirs_now))
        ours.append((positives, average_precision(scores.probability[rows, column], truth, weights[:, rows])))
        per_label[label] = {**estimate(theirs_now, int(rows.sum())), "positives": positives}
    peers, own = _of_enough(theirs), _of_enough(ours)
    return {
        "average_precision": per_label,
        "macro": _macro(peers),
        "own_macro": _macro(own),
        "difference": _macro([one - other for one, other in zip(own, peers, strict=True)]),
    }


def summarise_mixes(answers: list[Answer]) -> dict[str, Any]:
    """Share of mixes whose genres are all among the first three, and of those with at least one of them there.

    The intervals take the mixes for independent: make no more of them than a few per clip.
    """
    scores = GenreScores.of(answers)
    whole = scores.truth.sum(axis=1) == [len(set(answer.case.labels or ())) for answer in answers]
    found = scores.truth & scores.first(3)
    return {
        "both_in_top3": share((found == scores.truth).all(axis=1)[whole].tolist()),
        "one_in_top3": share(found.any(axis=1)[whole].tolist()),
    }


def summarise_borders(answers: list[Answer]) -> dict[str, Any]:
    """Precision, recall and F1 of the borders between segments, within 3 s; see `measures.border_measures`."""
    counts = []
    for answer in answers:
        said = [segment.end_s for segment in answer.analysis.segments[:-1]]
        true = answer.case.borders_s or ()
        counts.append((border_hits(said, true), len(said), len(true)))
    hits, said_count, true_count = np.array(counts).reshape(-1, 3).T
    return border_measures(hits, said_count, true_count, [""] * len(answers))


def paired_gap(first: list[Answer], second: list[Answer]) -> dict[str, Any]:
    """How much better genres are named in one form of the same clips than in another.

    Parameters
    ----------
    first, second : list of Answer
        Matched by name, without the ending where there is a file; what has no partner is left out.

    Returns
    -------
    dict
        `value`: accuracy on the second form minus that on the first, with the interval of a bootstrap over pairs;
        `only_first`, `only_second`: clips that were right in one form only, which is all that such a difference
        rests on (McNemar, Psychometrika 1947).
    """
    partners = {_clip(answer): answer for answer in second}
    matched = [
        (answer, partners[_clip(answer)]) for answer in first if answer.case.labels and _clip(answer) in partners
    ]
    if not matched:
        return {**estimate(np.full(2, np.nan), 0), "only_first": 0, "only_second": 0}
    right = []
    for form in zip(*matched, strict=True):
        scores = GenreScores.of(form)
        right.append((scores.truth & scores.first(1)).any(axis=1).astype(float))
    weights = resamples([answer.case.artist for answer, _ in matched])
    gap = (weights @ (right[1] - right[0])) / np.maximum(weights.sum(axis=1), 1e-12)
    return {
        **estimate(gap, len(matched)),
        "only_first": int((right[0] > right[1]).sum()),
        "only_second": int((right[1] > right[0]).sum()),
    }


def _clip(answer: Answer) -> str:
    """Name of a clip in whatever form; a dot in the name of one that is no file begins no ending."""
    name = answer.case.track.file
    return Path(name).stem if answer.case.sound is not None else name


def over_seeds(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The same numbers of several runs that differ in their seed: mean and spread in place of each value.

    Returns
    -------
    dict
        As a report; each value that all reports have becomes the mean, with `sd` (between seeds), `seeds` (their
        number) and `values` beside it. The interval, that of chance among the test tracks, has the mean borders.
    """
    first = reports[0]
    merged: dict[str, Any] = {}
    for key, entry in first.items():
        parts = [report.get(key) for report in reports]
        if not isinstance(entry, dict) or not all(isinstance(part, dict) for part in parts):
            continue
        if "value" in entry:
            merged[key] = _mean_of_seeds([part for part in parts if isinstance(part, dict)])
        else:
            merged[key] = over_seeds([part for part in parts if isinstance(part, dict)])
    if "tracks" in first:
        merged["tracks"] = first["tracks"]
    return merged


def _mean_of_seeds(entries: list[dict[str, Any]]) -> dict[str, Any]:
    values = [entry["value"] for entry in entries if entry["value"] is not None]
    if len(values) < len(entries):
        return {**entries[0], "value": None, "interval_95": None}
    borders = [entry["interval_95"] for entry in entries if entry["interval_95"]]
    return {
        **entries[0],
        "value": round(statistics.fmean(values), 4),
        "sd": round(statistics.stdev(values), 4) if len(values) > 1 else None,
        "seeds": len(values),
        "values": values,
        "interval_95": [round(float(border), 4) for border in np.mean(borders, axis=0)] if borders else None,
    }


def _of_enough(rows: list[tuple[int, np.ndarray]]) -> list[np.ndarray]:
    """What was measured of labels with enough positives, or of all where none has; rows of (positives, values)."""
    enough = [values for positives, values in rows if positives >= LEAST_POSITIVES]
    return enough or [values for _, values in rows]


def _macro(rows: list[np.ndarray]) -> dict[str, Any]:
    """Mean over labels in each draw, of the labels that have a value there."""
    if not rows:
        return estimate(np.full(2, np.nan), 0)
    stacked = np.stack(rows)
    there = np.isfinite(stacked)
    means = np.where(there, stacked, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    return estimate(np.where(there.any(axis=0), means, np.nan), len(rows))
