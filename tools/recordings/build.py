"""Stores of features and teachers' outputs from a folder of recordings."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soxr

from fluxbeat.audio.decoding import load_audio
from fluxbeat.errors import FluxBeatError
from fluxbeat.features.log_mel import FeatureConfig, LogMel
from fluxbeat.training.data.store import EXCERPT_S, INDEX_FILE, SPLITS, Excerpt, FeatureStore, StoreWriter
from tools.recordings.augment import SoundAugment, coloured, draw_speed, faster, filled, mixed
from tools.recordings.drawn import drawn_sound
from tools.teachers.genres import LabelsOnTeachers, genre_shares, read_genre_map
from tools.teachers.panel import TeacherPanel

TABLE, ANSWERS = "recordings.csv", "teachers.npz"
RATE_HZ, LENGTH = TeacherPanel.sample_rate_hz, round(EXCERPT_S * TeacherPanel.sample_rate_hz)
SOFTER_DB = -6.0
"""Unlabelled music mixed in at more than this level leaves the genres of the whole unknown."""
GENRE_OUTPUT = "genre"

Made = tuple[Excerpt, np.ndarray]
"""A row, and its sound of `LENGTH` samples at `RATE_HZ`."""


@dataclass(frozen=True, eq=False)
class Folder:
    """The recordings of a folder: `excerpts` and, in the same order, their `files`."""

    path: Path
    excerpts: list[Excerpt]
    files: list[str]

    @classmethod
    def read(cls, path: Path, labels: Sequence[str]) -> Folder:
        """Read the table; labels that are not among `labels` are left out.

        Raises
        ------
        FluxBeatError
            If the table is missing or a split is unknown.
        """
        table = path / TABLE
        if not table.is_file():
            raise FluxBeatError(f"{path} holds no recordings: it has no {TABLE}")
        with open(table, newline="", encoding="utf-8") as handle:
            rows = [row for row in csv.DictReader(handle) if row["split"] in SPLITS]
        return cls(path, [_excerpt(row, labels) for row in rows], [row["file"] for row in rows])

    def samples(self, row: int) -> np.ndarray:
        """The recording's sound at `RATE_HZ`, mono float32."""
        return load_audio(self.path / self.files[row], sample_rate_hz=RATE_HZ).samples


def _excerpt(row: Mapping[str, str], labels: Sequence[str]) -> Excerpt:
    named = [label.strip() for label in row["labels"].split(";") if label.strip()]
    kind = "speech" if "speech" in named else "neither" if "noise" in named or row["dataset"] == "noise" else "music"
    return Excerpt(
        name=row["file"],
        artist=row["artist"] or row["file"],
        split=row["split"],
        labels={label: 1.0 for label in named if label in labels} if kind == "music" else {},
        kind=kind,
        dataset=row["dataset"],
        duration_s=min(float(row["seconds"]), EXCERPT_S),
        tempo_bpm=float(row["bpm"]) if row.get("bpm") else None,
    )


class Builder:
    """Builds the stores of one folder.

    Parameters
    ----------
    folder : Folder
    teachers : Path
        With the teachers' weights.
    output : Path
    features : FeatureConfig
    labels : sequence of str
        Genres, in the order of the output 'genre'.
    seed : int
    """

    def __init__(
        self, folder: Folder, teachers: Path, output: Path, features: FeatureConfig, labels: Sequence[str], seed: int
    ):
        self.folder, self.output, self.features, self.labels, self.seed = folder, output, features, labels, seed
        self.panel, self.front_end = TeacherPanel(teachers), LogMel(features)
        self._fitted: LabelsOnTeachers | None = None

    def recordings(self) -> FeatureStore:
        """The store of every row as it is."""

        def make(row: int) -> Made:
            return self.folder.excerpts[row], np.resize(self.folder.samples(row), LENGTH)

        return self._store("recordings", len(self.folder.excerpts), make, self._known_answers())

    def copy(self, number: int) -> FeatureStore:
        """The rows of `train`, augmented anew."""
        train = [row for row, excerpt in enumerate(self.folder.excerpts) if excerpt.split == "train"]

        def make(place: int) -> Made:
            return self._augmented(train[place], train, np.random.default_rng((self.seed, number, train[place])))

        return self._store(f"copy{number}", len(train), make)

    def drawn(self, count: int) -> FeatureStore:
        """Drawn rhythms at exact tempi, and sounds without a beat."""

        def make(number: int) -> Made:
            sound = drawn_sound(number, EXCERPT_S, RATE_HZ, self.seed)
            bpm, beatless = sound.tempo_bpm, sound.tempo_bpm is None
            excerpt = Excerpt(sound.name, sound.name, "train", {}, "neither", "drawn", EXCERPT_S, bpm, beatless)
            return excerpt, np.resize(sound.samples * 0.7, LENGTH)

        return self._store("drawn", count, make)

    def _augmented(self, row: int, train: Sequence[int], rng: np.random.Generator) -> Made:
        config, excerpt = SoundAugment(), self.folder.excerpts[row]
        speed = draw_speed(config, rng)
        samples = faster(filled(self.folder.samples(row), LENGTH, rng), RATE_HZ, speed)
        bpm = excerpt.tempo_bpm and excerpt.tempo_bpm * speed
        excerpt = replace(excerpt, tempo_bpm=bpm, duration_s=EXCERPT_S)
        if rng.random() < config.mix_probability:
            partner = int(rng.choice([one for one in train if self.folder.excerpts[one].kind == excerpt.kind]))
            other = faster(filled(self.folder.samples(partner), LENGTH, rng), RATE_HZ, draw_speed(config, rng))
            gain_db = float(rng.uniform(-config.mix_range_db, 0.0))
            samples = mixed(samples, other, gain_db)
            excerpt = blended(excerpt, self.folder.excerpts[partner], gain_db)
        return excerpt, coloured(samples, RATE_HZ, config, rng)

    def _store(
        self,
        name: str,
        count: int,
        make: Callable[[int], Made],
        known: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    ) -> FeatureStore:
        folder, begun_s = self.output / name, time.monotonic()
        if not (folder / INDEX_FILE).is_file():
            writer = StoreWriter(folder, self.features, count)
            for number in range(len(writer.done), count):
                excerpt, samples = make(number)
                outputs = (known or {}).get(excerpt.name) or self.panel(samples)
                at_rate = soxr.resample(samples, RATE_HZ, self.features.sample_rate_hz).astype(np.float32)
                writer.add(excerpt, self.front_end.from_blocks([at_rate]), outputs)
                writer.commit(str(number))
                if number % 100 == 99:
                    print(f"{name}: {number + 1} of {count}, {time.monotonic() - begun_s:.0f} s", flush=True)
            writer.close()
        store = FeatureStore(folder)
        if GENRE_OUTPUT not in store.outputs:
            np.save(folder / f"{GENRE_OUTPUT}.npy", self._genres(store).astype(np.float16))
        return FeatureStore(folder)

    def _genres(self, store: FeatureStore) -> np.ndarray:
        """Genres by the teachers' classes and by labels fitted on their outputs, half and half: (rows, labels)."""
        if self._fitted is None:
            whole = store if store.folder.name == "recordings" else self.recordings()
            self._fitted = LabelsOnTeachers(whole.outputs, whole.excerpts, self.labels)
        by_labels = self._fitted(store.outputs, [excerpt.artist for excerpt in store.excerpts])
        genres, audioset = read_genre_map(), store.outputs["audioset"].astype(np.float32).mean(axis=1)
        by_classes = genre_shares(audioset, self.panel.names["audioset"], self.labels, genres["audioset"])
        tags = store.outputs["msd"].astype(np.float32)
        by_classes = by_classes + genre_shares(tags, self.panel.names["msd"], self.labels, genres["msd"])
        found: np.ndarray = by_labels / 2 + by_classes / 4
        return found

    def _known_answers(self) -> dict[str, dict[str, np.ndarray]]:
        """What teachers.npz holds, by file; nothing where it is missing."""
        path = self.folder.path / ANSWERS
        if not path.is_file():
            return {}
        with np.load(path) as arrays:
            files, found = arrays["files"].tolist(), {name: arrays[name] for name in ("audioset", "embedding", "msd")}
            if arrays["classes"].tolist() != self.panel.names["audioset"]:
                raise FluxBeatError(f"{path} names other classes than the teachers here: delete it to ask them anew")
        return {file: {name: values[row] for name, values in found.items()} for row, file in enumerate(files)}


def blended(excerpt: Excerpt, other: Excerpt, gain_db: float) -> Excerpt:
    """What is known of two pieces that sound together, the other `gain_db` softer: genres by their amplitudes."""
    if not excerpt.labels:
        return excerpt
    if not other.labels:
        return replace(excerpt, labels={}) if other.kind == "music" and gain_db > SOFTER_DB else excerpt
    labels = {label: share / len(excerpt.labels) for label, share in excerpt.labels.items()}
    for label, share in other.labels.items():
        labels[label] = labels.get(label, 0.0) + 10 ** (gain_db / 20) * share / len(other.labels)
    return replace(excerpt, labels=labels)
