"""What others say of the same recordings: MusiCNN, mn04, their mean, and what people's labels make of such teachers.

Their answers are kept, for they take longer than ours; where they lie beside the recordings, nobody is asked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fluxbeat.atomic_write import atomic_write
from fluxbeat.audio.decoding import load_audio
from fluxbeat.training.data.store import Excerpt
from fluxbeat.training.evaluation.answers import RecordingAnswers
from fluxbeat.training.evaluation.catalogue import read_catalogue, split_cache
from fluxbeat.training.evaluation.composed import Composed

MUSICNN, MN04, FCN = "MusiCNN", "mn04", "FCN"
BOTH, TEACHERS, ON_TEACHERS = "MusiCNN and mn04", "mn04 and FCN", "labels on teachers"
KNOWN_FILE, CACHE_FILE = "teachers.npz", "{}.npz"
MOST_S = 30.0
SAVED_EVERY = 20
Sound = Callable[[int], np.ndarray]
"""Mono float32 (samples,) at a rate in Hz."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Peers:
    """Others' answers about recordings of one folder.

    Attributes
    ----------
    folder : Path
        Where teachers.npz (files, classes, tags, audioset, msd, embedding) may lie: mn04's and FCN's answers.
    cache : Path
        Where new answers are kept.
    weights : Path or None
        Folder of their weights; None: those are left out of which nothing is known.
    labels : tuple of str
        Genres that their classes and tags are mapped to.
    """

    folder: Path
    cache: Path
    weights: Path | None
    labels: tuple[str, ...]

    def of_recordings(self, excerpts: Sequence[Excerpt]) -> list[RecordingAnswers]:
        """Answers about labelled recordings of one split; other rows hold 0."""
        split = excerpts[0].split
        asked = [excerpt.name for excerpt in excerpts if excerpt.labels]
        outputs = self._known(asked)
        sounds = {name: _first_seconds(self.folder / name) for name in asked}
        outputs |= self._asked(sounds, split_cache(self.cache, self.folder, split), "peers", set(outputs))
        rows = {name: row for row, name in enumerate(asked)}
        place = np.array([rows.get(excerpt.name, -1) for excerpt in excerpts])
        return [
            RecordingAnswers(name, self.labels, np.where(place[:, None] >= 0, shares[place], 0.0))
            for name, shares in self._shares(outputs, excerpts, place).items()
        ]

    def of_sound(self, made: Sequence[Composed], rate_hz: int, name: str, split: str) -> list[RecordingAnswers]:
        """MusiCNN's, mn04's and their mean's answers about composed sound at `rate_hz`, kept under `name`."""
        if self.weights is None:
            return []
        sounds = {one.name: _resampled(one.samples, rate_hz) for one in made}
        outputs = self._asked(sounds, split_cache(self.cache, self.folder, split), name, {FCN})
        return [RecordingAnswers(peer, self.labels, shares) for peer, shares in self._mapped(outputs).items()]

    def _known(self, names: Sequence[str]) -> dict[str, Mapping[str, np.ndarray]]:
        """mn04's and FCN's outputs from the file beside the recordings; empty where it lacks one."""
        path = self.folder / KNOWN_FILE
        if not path.is_file():
            return {}
        with np.load(path) as arrays:
            row = {str(name): number for number, name in enumerate(arrays["files"])}
            if any(name not in row for name in names):
                return {}
            rows = [row[name] for name in names]
            return {
                MN04: {"names": arrays["classes"], "probability": arrays["audioset"][rows].astype(np.float32).mean(1)},
                FCN: {"names": arrays["tags"], "probability": arrays["msd"][rows].astype(np.float32)},
            }

    def _asked(
        self, sounds: Mapping[str, Sound], place: Path, name: str, known: set[str]
    ) -> dict[str, Mapping[str, np.ndarray]]:
        """Outputs of the peers that are not known yet, from the cache where they lie there."""
        found: dict[str, Mapping[str, np.ndarray]] = {}
        for peer, build in ((MUSICNN, _musicnn), (MN04, _mn04)):
            path = place / CACHE_FILE.format(f"{name}-{peer}")
            kept = _read(path)
            waiting = [sound for sound in sounds if sound not in kept]
            if peer in known or (self.weights is None and (waiting or not kept)):
                continue
            answer = build(self.weights) if waiting and self.weights is not None else None
            for number, sound in enumerate(waiting if answer else (), 1):
                kept[sound] = answer(sounds[sound])  # type: ignore[misc]
                if number % SAVED_EVERY == 0 or number == len(waiting):
                    _write(path, kept)
                    _log.info("%s: %d of %d recordings asked", peer, number, len(waiting))
            found[peer] = {
                "names": _class_names(peer, self.weights),
                "probability": np.stack([kept[sound] for sound in sounds]),
            }
        return found

    def _mapped(self, outputs: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Shares of genres, (rows, labels), of each peer and of the means."""
        if not outputs:
            return {}
        from tools.teachers.genres import genre_shares, read_genre_map

        genres = read_genre_map()
        found = {
            peer: genre_shares(
                output["probability"],
                output["names"].tolist(),
                self.labels,
                genres["audioset" if peer == MN04 else "msd"],
            )
            for peer, output in outputs.items()
        }
        for name, (one, other) in {BOTH: (MUSICNN, MN04), TEACHERS: (MN04, FCN)}.items():
            if one in found and other in found:
                found[name] = (found[one] + found[other]) / 2
        return found

    def _shares(
        self, outputs: Mapping[str, Mapping[str, np.ndarray]], excerpts: Sequence[Excerpt], place: np.ndarray
    ) -> dict[str, np.ndarray]:
        found = self._mapped(outputs)
        on_teachers = self._labels_on_teachers([one for one, row in zip(excerpts, place, strict=True) if row >= 0])
        if on_teachers is not None:
            found[ON_TEACHERS] = on_teachers
        return found

    def _labels_on_teachers(self, asked: Sequence[Excerpt]) -> np.ndarray | None:
        """What logistic regression on the teachers' outputs, fitted on `train`, says of the asked recordings."""
        path = self.folder / KNOWN_FILE
        if not path.is_file():
            return None
        from tools.teachers.genres import LabelsOnTeachers

        train = read_catalogue(self.folder, "train")
        with np.load(path) as arrays:
            row = {str(name): number for number, name in enumerate(arrays["files"])}
            if any(excerpt.name not in row for excerpt in [*train, *asked]):
                return None
            names = ("audioset", "msd", "embedding")
            learned, judged = (
                {name: arrays[name][[row[excerpt.name] for excerpt in part]] for name in names}
                for part in (train, asked)
            )
        return LabelsOnTeachers(learned, train, self.labels)(judged, [excerpt.artist for excerpt in asked])


def _musicnn(weights: Path) -> Callable[[Sound], np.ndarray]:
    """MusiCNN's tags of a sound, (50,): the mean over its patches of 3 s."""
    from tools.teachers.musicnn import Musicnn, patches

    model = Musicnn(weights)
    least = round(model.window_s * model.sample_rate_hz) + 512
    return lambda sound: np.asarray(model(patches(_repeated(sound(model.sample_rate_hz), least)))[0].mean(0).numpy())


def _mn04(weights: Path) -> Callable[[Sound], np.ndarray]:
    """mn04's classes of a sound, (527,): the mean over windows of 10 s."""
    import torch

    from tools.teachers.efficientat import EfficientAT

    model = EfficientAT(weights)
    length = round(model.window_s * model.sample_rate_hz)

    def classes(sound: Sound) -> np.ndarray:
        samples = _repeated(sound(model.sample_rate_hz), length)
        windows = samples[: len(samples) // length * length].reshape(-1, length)
        return np.asarray(model(torch.from_numpy(np.ascontiguousarray(windows)))[0].mean(0).numpy())

    return classes


def _class_names(peer: str, weights: Path | None) -> np.ndarray:
    if peer == MUSICNN:
        from tools.teachers.musicnn import TAGS

        return np.array(TAGS["MSD"])
    from tools.teachers.efficientat import EfficientAT

    return np.array(EfficientAT(weights or ".").names)


def _first_seconds(path: Path) -> Sound:
    def sound(rate_hz: int) -> np.ndarray:
        return load_audio(path, sample_rate_hz=rate_hz).samples[: round(MOST_S * rate_hz)]

    return sound


def _resampled(samples: np.ndarray, rate_hz: int) -> Sound:
    def sound(wanted_hz: int) -> np.ndarray:
        import soxr

        return np.asarray(soxr.resample(samples, rate_hz, wanted_hz), np.float32)

    return sound


def _repeated(samples: np.ndarray, least: int) -> np.ndarray:
    """Repeated until it is long enough to be looked at."""
    return samples if len(samples) >= least else np.resize(samples, least)


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        return {}
    with np.load(path) as arrays:
        return dict(zip(arrays["files"].tolist(), arrays["probability"], strict=True))


def _write(path: Path, kept: Mapping[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial, partial.open("wb") as handle:
        np.savez(handle, files=np.array(list(kept)), probability=np.stack(list(kept.values())).astype(np.float32))
