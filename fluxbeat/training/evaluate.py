"""How good a checkpoint is on music with known genre and tempo, as numbers with their counts and intervals."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fluxbeat.analysis import Envelope, Track, TrackAnalysis, analyze_track, read_track
from fluxbeat.audio import load_audio
from fluxbeat.features import FeatureConfig
from fluxbeat.training.items import Item
from fluxbeat.training.pictures import archive_recordings, read_archive
from fluxbeat.training.recordings import Recording, read_table
from fluxbeat.zoo import ZooModel

TEMPO_TOLERANCE = 0.04
TEMPO_FACTORS = (1.0, 2.0, 3.0, 1 / 2, 1 / 3)


@dataclass(frozen=True, eq=False)
class Case:
    """One track with what is known of it; `path` is its audio, where there is audio."""

    track: Track
    labels: tuple[str, ...] | None
    tempo_bpm: float | None
    path: Path | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """What the model said of a case, and what librosa's tempo estimator said (None where not asked)."""

    case: Case
    analysis: TrackAnalysis
    librosa_bpm: float | None


def picture_cases(stem: str | Path, features: FeatureConfig, fold: int = 0) -> Iterator[Case]:
    """The clips of a picture archive; of one fold only where `fold` is given."""
    for item in read_archive(stem, features):
        if not fold or item.fold == fold:
            yield Case(track_of(item, features), item.labels, item.tempo_bpm)


def recording_cases(recordings: Iterable[Recording], features: FeatureConfig) -> Iterator[Case]:
    """Recordings, decoded as the app decodes them."""
    for recording in recordings:
        track = read_track(recording.path, features)
        yield Case(track, recording.labels, recording.tempo_bpm, recording.path)


def table_cases(path: str | Path, features: FeatureConfig) -> Iterator[Case]:
    """The recordings of a CSV (path, labels, optional bpm)."""
    return recording_cases(read_table(path), features)


def archive_recording_cases(
    stem: str | Path, folder: str | Path, features: FeatureConfig, fold: int = 0
) -> Iterator[Case]:
    """Those clips of an archive whose audio lies in `folder`, as recordings."""
    chosen = [recording for recording in archive_recordings(stem, folder) if not fold or recording.fold == fold]
    return recording_cases(chosen, features)


def track_of(item: Item, features: FeatureConfig) -> Track:
    """An item, of which there is only a spectrogram, as the engine takes a recording."""
    frames = item.log_mel.shape[1]
    duration_s = frames / features.frame_rate_hz
    nothing = Envelope(np.zeros(1, np.float32), duration_s)
    return Track(item.item_id, duration_s, features, item.log_mel, np.ones(frames, bool), nothing, ())


def ask(model: ZooModel, cases: Iterable[Case], librosa_too: bool = False) -> list[Answer]:
    """The model's answer to every case, and librosa's tempo for those with audio where `librosa_too`."""
    answers = []
    for case in cases:
        peer_bpm = None
        if librosa_too and case.path is not None and case.tempo_bpm:
            import librosa

            audio = load_audio(case.path)
            peer_bpm = float(librosa.feature.tempo(y=audio.samples, sr=audio.sample_rate_hz)[0])
        answers.append(Answer(case, analyze_track(case.track, model), peer_bpm))
    return answers


def interval(hits: int, count: int) -> tuple[float, float]:
    """95 % Wilson interval of a share (Wilson, JASA 1927); (0, 1) where nothing was counted."""
    if count == 0:
        return 0.0, 1.0
    z2 = 1.96**2
    centre = (hits + z2 / 2) / (count + z2)
    half = 1.96 / (count + z2) * np.sqrt(hits * (count - hits) / count + z2 / 4)
    return max(0.0, centre - half), min(1.0, centre + half)


def tempo_hit(estimate_bpm: float | None, truth_bpm: float, factors: Iterable[float] = (1.0,)) -> bool:
    """Whether an estimate is within 4 % of the truth times one of `factors`.

    Accuracy1 allows the factor 1, Accuracy2 also 2, 3, 1/2 and 1/3 (Gouyon et al., IEEE TASLP 2006).
    """
    if estimate_bpm is None:
        return False
    return any(abs(estimate_bpm / (truth_bpm * factor) - 1) <= TEMPO_TOLERANCE for factor in factors)


def share(hits: Iterable[bool]) -> dict[str, float | int | list[float]]:
    """Value, count and 95 % interval of a share."""
    values = list(hits)
    low, high = interval(sum(values), len(values))
    return {
        "value": round(float(np.mean(values)), 4) if values else 0.0,
        "n": len(values),
        "interval_95": [round(low, 4), round(high, 4)],
    }


def summarise(answers: list[Answer]) -> dict[str, Any]:
    """Accuracy, top-3, average precision per label and tempo accuracy, each with its count.

    Returns
    -------
    dict
        `accuracy`, `top3`: share of tracks whose most probable label, or one of the first three, is right;
        `average_precision`: per label, with the number of positive tracks; `macro_average_precision`;
        `tempo`: accuracy1 and accuracy2, and the same for librosa where it was asked.
    """
    report: dict[str, Any] = {"tracks": len(answers)}
    labelled = [answer for answer in answers if answer.case.labels]
    if labelled:
        ranked = [[genre.label for genre in answer.analysis.genres] for answer in labelled]
        truth = [set(answer.case.labels or ()) for answer in labelled]
        report["accuracy"] = share(order[0] in right for order, right in zip(ranked, truth, strict=True))
        report["top3"] = share(bool(right & set(order[:3])) for order, right in zip(ranked, truth, strict=True))
        report["average_precision"] = _average_precision(labelled, truth)
        known = [entry["value"] for entry in report["average_precision"].values() if entry["positives"]]
        report["macro_average_precision"] = round(float(np.mean(known)), 4) if known else None
    timed = [answer for answer in answers if answer.case.tempo_bpm]
    if timed:
        report["tempo"] = _tempo_accuracy([(a.analysis.tempo.bpm, a.case.tempo_bpm or 0.0) for a in timed])
        peer = [(a.librosa_bpm, a.case.tempo_bpm or 0.0) for a in timed if a.librosa_bpm is not None]
        if peer:
            report["librosa_tempo"] = _tempo_accuracy(peer)
    return report


def _average_precision(labelled: list[Answer], truth: list[set[str]]) -> dict[str, dict[str, float | int]]:
    from sklearn.metrics import average_precision_score

    found: dict[str, dict[str, float | int]] = {}
    for label in labelled[0].analysis.timeline.labels:
        is_true = np.array([label in right for right in truth])
        scores = [
            next(genre.probability for genre in answer.analysis.genres if genre.label == label) for answer in labelled
        ]
        value = float(average_precision_score(is_true, scores)) if is_true.any() else 0.0
        found[label] = {"value": round(value, 4), "positives": int(is_true.sum())}
    return found


def _tempo_accuracy(pairs: Sequence[tuple[float | None, float]]) -> dict[str, Any]:
    return {
        "accuracy1": share(tempo_hit(said, truth) for said, truth in pairs),
        "accuracy2": share(tempo_hit(said, truth, TEMPO_FACTORS) for said, truth in pairs),
    }


def write_answers(answers: list[Answer], path: str | Path) -> None:
    """One line per track: name, truth, answer; for a person who wants to see the misses."""
    with open(path, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["file", "labels", "first", "second", "third", "bpm", "said_bpm", "librosa_bpm"])
        for answer in answers:
            best = [genre.label for genre in answer.analysis.genres[:3]]
            best += [""] * (3 - len(best))
            case = answer.case
            writer.writerow(
                [case.track.file, ";".join(case.labels or ()), *best, case.tempo_bpm, answer.analysis.tempo.bpm,
                 answer.librosa_bpm]
            )  # fmt: skip
