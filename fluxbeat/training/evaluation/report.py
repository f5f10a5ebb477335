"""Everything that is measured of models on one split of a folder of recordings."""

from __future__ import annotations

import csv
import itertools
import logging
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from fluxbeat.analysis.engine import analyze_track, compare
from fluxbeat.analysis.track import read_track
from fluxbeat.features.fingerprint import fingerprint
from fluxbeat.features.log_mel import FeatureConfig
from fluxbeat.models.base import GenreTempoModel, WindowModel
from fluxbeat.models.fingerprint_file import learned_from
from fluxbeat.models.registry import LoadedModel, checkpoint_folder
from fluxbeat.training.data.store import Excerpt, FeatureStore
from fluxbeat.training.evaluation.answers import RecordingAnswers, WindowAnswers, ask
from fluxbeat.training.evaluation.catalogue import (
    CATALOGUE_FILE,
    default_cache,
    read_catalogue,
    read_own,
    spectrograms,
    tracks,
)
from fluxbeat.training.evaluation.composed import MIXES, SPLICES, Composed, mixes, splices, usable
from fluxbeat.training.evaluation.explained_windows import explanation_measures
from fluxbeat.training.evaluation.measures import TEMPO_FACTORS, border_hits, tempo_hit
from fluxbeat.training.evaluation.rankings import (
    Measure,
    all_among_first,
    among_first,
    border_measures,
    correlation,
    expected_calibration_error,
    label_average_precision,
    macro_average_precision,
    share_of,
)

LEAST_POSITIVES = 4
"""Of a label, for it to count in a mean over labels."""
LONG_S = 10.0
CLOSED = ("gtzan",)
"""Data sets whose recordings are judged among that data set's own labels: it was sorted into these alone."""
JOINED = ("popular", "public")
"""Data sets that are also judged together."""
_log = logging.getLogger(__name__)


class Peers(typing.Protocol):
    """Others than our models, asked about the same recordings."""

    def of_recordings(self, excerpts: Sequence[Excerpt]) -> list[RecordingAnswers]:
        """Answers about the excerpts of one split; rows of those without labels hold 0."""

    def of_sound(self, made: Sequence[Composed], rate_hz: int, name: str, split: str) -> list[RecordingAnswers]:
        """Answers about composed sound at `rate_hz`, which are kept under `name`."""


@dataclass(frozen=True)
class Protocol:
    """What is measured, and on what.

    Attributes
    ----------
    folder : Path
        Recordings with recordings.csv; or a person's own, as `fluxbeat.training.data.datasets` reads them.
    split : str
    cache : Path
        Where spectrograms and peers' answers are kept.
    peers : callable or None
        Makes of the models' labels whoever is measured beside them.
    mixes, splices : int
        How many are made of the split's recordings.
    seed : int
        Of mixes, splices and explanations.
    answers : Path or None
        Where every single answer of the first model is written.
    explained : int
        Of how many windows explanations are measured; it takes long.
    """

    folder: Path
    split: str = "dev"
    cache: Path = field(default_factory=default_cache)
    peers: Callable[[tuple[str, ...]], Peers] | None = None
    mixes: int = MIXES
    splices: int = SPLICES
    seed: int = 0
    answers: Path | None = None
    explained: int = 0


@dataclass(frozen=True, eq=False)
class Material:
    """The recordings of a split, as models and measures take them.

    Attributes
    ----------
    protocol : Protocol
    excerpts : sequence of Excerpt
    stores : dict from FeatureConfig to FeatureStore
        Their spectrograms.
    """

    protocol: Protocol
    excerpts: Sequence[Excerpt]
    stores: Mapping[FeatureConfig, FeatureStore]

    @property
    def split(self) -> str:
        """Name of the split."""
        return self.protocol.split

    @property
    def labelled(self) -> np.ndarray:
        """Which recordings are music of which somebody named a genre: bool (recordings,)."""
        return np.array([bool(excerpt.labels) for excerpt in self.excerpts])

    def truth(self, labels: Sequence[str]) -> np.ndarray:
        """Which of these labels each recording has: bool (recordings, labels)."""
        return np.array([[label in (excerpt.labels or ()) for label in labels] for excerpt in self.excerpts])

    def artists(self, rows: np.ndarray) -> list[str]:
        """Artists of some recordings, bool (recordings,)."""
        return [excerpt.artist for excerpt, kept in zip(self.excerpts, rows, strict=True) if kept]


def evaluate(models: Sequence[LoadedModel], protocol: Protocol) -> list[Measure]:
    """All measures of the models, and of the peers beside them.

    Raises
    ------
    FluxBeatError
        If the folder has no such split, or a recording cannot be read.
    """
    listed = (protocol.folder / CATALOGUE_FILE).is_file()
    excerpts = (read_catalogue if listed else read_own)(protocol.folder, protocol.split)
    needed = dict.fromkeys(model.network.config.features for model in models)
    stores = {features: spectrograms(protocol.folder, excerpts, features, protocol.cache) for features in needed}
    material = Material(protocol, next(iter(stores.values())).excerpts, stores)
    warn_of_learned(models, material)
    windows = answers_of(models, material)
    labels = tuple(dict.fromkeys(label for answer in windows.values() for label in answer.labels))
    peers = protocol.peers(labels) if protocol.peers else None
    thresholds = {model.info.name: model.network.thresholds for model in models}
    answers = [of_windows.answer(name) for name, of_windows in windows.items()]
    if protocol.answers:
        write_answers(answers[0], material.excerpts, protocol.answers)
    peer_answers = peers.of_recordings(material.excerpts) if peers else []
    measures = list(genre_measures(answers + peer_answers, material, thresholds))
    measures += kind_measures(windows, material)
    measures += tempo_measures(models, material)
    measures += network_measures(windows, models, material)
    if protocol.mixes:
        measures += mix_measures(models, peers, material)
    if protocol.splices:
        measures += splice_measures(models, material)
    if protocol.explained:
        measures += explanation_measures(models, material.stores, material.split, protocol.explained, protocol.seed)
    return measures


def warn_of_learned(models: Sequence[LoadedModel], material: Material) -> None:
    """Name the recordings that a model learned from, as far as its checkpoint says: they measure nothing."""
    for model in models:
        if not isinstance(model.network, GenreTempoModel):
            continue
        store = material.stores[model.network.config.features]
        prints = [fingerprint(store.sound(row), store.features) for row in range(len(store))]
        learned = learned_from(checkpoint_folder(model), prints)
        if learned:
            named = ", ".join(Path(material.excerpts[row].name).name for row in learned[:3])
            more = " and others" if len(learned) > 3 else ""
            _log.warning(
                "%s learned from %d of these %d recordings (%s%s): what it says of them says nothing of other music",
                model.info.name, len(learned), len(prints), named, more,
            )  # fmt: skip


def shown(answer: RecordingAnswers, thresholds: Mapping[str, np.ndarray]) -> np.ndarray:
    """The order in which an analysis names genres: log odds above each label's threshold; a peer's as they are."""
    if answer.name not in thresholds:
        return answer.probability
    sure = answer.probability.clip(1e-6, 1 - 1e-6)
    least = thresholds[answer.name]
    return np.asarray(np.log(sure / (1 - sure)) - np.log(least / (1 - least)))


def sets_of(material: Material) -> Iterator[tuple[str, np.ndarray, bool]]:
    """Sets of labelled recordings: name, which, and whether they are judged among their own labels only."""
    labelled = material.labelled
    dataset = np.array([excerpt.dataset for excerpt in material.excerpts])
    long = np.array([excerpt.duration_s >= LONG_S - 0.1 for excerpt in material.excerpts])
    for name in dict.fromkeys(dataset[labelled].tolist()):
        rows = labelled & (dataset == name)
        yield name, rows, name in CLOSED
        if name in CLOSED and 0 < (rows & long).sum() < rows.sum():
            yield f"{name} of {LONG_S:g} s and more", rows & long, True
    together = labelled & np.isin(dataset, JOINED)
    if len(set(dataset[together])) > 1:
        yield " and ".join(JOINED), together, False


def genre_measures(
    answers: Sequence[RecordingAnswers], material: Material, thresholds: Mapping[str, np.ndarray]
) -> Iterator[Measure]:
    """First and among three on every set of recordings; average precision and calibration over all of them."""
    for answer in answers:
        truth, scores = material.truth(answer.labels), shown(answer, thresholds)
        for name, rows, own_labels in sets_of(material):
            columns = truth[rows].any(axis=0) if own_labels else np.ones(len(answer.labels), bool)
            artists = material.artists(rows)
            for measure, count in (("accuracy", 1), ("top3", 3)):
                hits = among_first(scores[rows][:, columns], truth[rows][:, columns], count)
                yield share_of(measure, answer.name, f"{name}, {material.split}", hits, artists)
        rows, split = material.labelled, f"all, {material.split}"
        artists = material.artists(rows)
        probability, true = answer.probability[rows], truth[rows]
        yield macro_average_precision(answer.name, split, probability, true, artists, LEAST_POSITIVES)
        if answer.name in thresholds:
            yield expected_calibration_error(answer.name, split, probability, true, artists)
            for column, label in enumerate(answer.labels):
                name = f"{label}, {material.split}"
                if true[:, column].any():
                    yield label_average_precision(answer.name, name, probability[:, column], true[:, column], artists)


def kind_measures(windows: Mapping[str, WindowAnswers], material: Material) -> Iterator[Measure]:
    """Speech and noise called music, and music called none."""
    music = np.array([excerpt.kind == "music" for excerpt in material.excerpts])
    for subject, found in windows.items():
        called = found.whole(found.kind)[:, 0] >= 0.5
        for name, rows, wrong in (("no_music_called_music", ~music, called), ("music_called_none", music, ~called)):
            if rows.any():
                yield share_of(name, subject, f"all, {material.split}", wrong[rows], material.artists(rows))


def tempo_measures(models: Sequence[LoadedModel], material: Material) -> Iterator[Measure]:
    """Tempo within 4 % (Accuracy1), or of a half, third, double or triple of it (Accuracy2), where it is known."""
    tempi_bpm = {row: excerpt.tempo_bpm for row, excerpt in enumerate(material.excerpts) if excerpt.tempo_bpm}
    artists = [material.excerpts[row].artist for row in tempi_bpm]
    for model in models if tempi_bpm else ():
        timed = tracks(material.stores[model.network.config.features], tempi_bpm)
        found = [analyze_track(track, model).tempo.bpm for track in timed]
        for name, factors in (("tempo_accuracy1", (1.0,)), ("tempo_accuracy2", TEMPO_FACTORS)):
            hits = [tempo_hit(bpm, truth, factors) for bpm, truth in zip(found, tempi_bpm.values(), strict=True)]
            yield share_of(name, model.info.name, f"stated tempi, {material.split}", np.array(hits), artists)


def answers_of(models: Sequence[LoadedModel], material: Material) -> dict[str, WindowAnswers]:
    """What each model says of the windows of all recordings, by its name."""
    windows: dict[str, WindowAnswers] = {}
    for features, store in material.stores.items():
        windows |= ask(_networks(models, features), tracks(store))
    return windows


def _networks(models: Sequence[LoadedModel], features: FeatureConfig) -> dict[str, WindowModel]:
    """The networks that take these features, by their names."""
    return {model.info.name: model.network for model in models if model.network.config.features == features}


def write_answers(answer: RecordingAnswers, excerpts: Sequence[Excerpt], path: Path) -> None:
    """One line per recording: its genres, and the three most probable with their probabilities; to see the misses."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["file", "labels", "first", "second", "third", "probabilities"])
        for excerpt, probability in zip(excerpts, answer.probability, strict=True):
            best = np.argsort(-probability, kind="stable")[:3]
            named = [answer.labels[label] for label in best]
            values = " ".join(f"{probability[label]:.2f}" for label in best)
            writer.writerow([excerpt.name, ";".join(excerpt.labels or ()), *named, *[""] * (3 - len(best)), values])


def network_measures(
    windows: Mapping[str, WindowAnswers], models: Sequence[LoadedModel], material: Material
) -> Iterator[Measure]:
    """How alike two networks' genre logits are, and how often the first genre hangs on the network at all."""
    rows = material.labelled
    split, artists = f"all, {material.split}", material.artists(rows)
    # a consensus is no network of its own
    heads = {one.info.name: one.network.genre_head for one in models if isinstance(one.network, GenreTempoModel)}
    for one, other in itertools.combinations(heads, 2):
        first, second = windows[one], windows[other]
        if first.labels == second.labels:
            logits = [found.whole(found.genre_logits.astype(np.float64))[rows] for found in (first, second)]
            yield correlation(f"{one} and {other}", split, logits[0], logits[1], artists)
    for name, head in heads.items():
        found = windows[name]
        kept = rows[found.row]
        with torch.no_grad():
            first_of_mean = int(head(torch.from_numpy(found.embedding[kept].mean(axis=0))).argmax())
        changed = found.genre_logits[kept].argmax(axis=1) != first_of_mean
        owners = [material.excerpts[row].artist for row in found.row[kept]]
        yield share_of("first_changes_without_network", name, f"windows, {material.split}", changed, owners)


def mix_measures(models: Sequence[LoadedModel], peers: Peers | None, material: Material) -> list[Measure]:
    """Both genres of equal mixes among the first three."""
    protocol, config = material.protocol, models[0].network.config
    excerpts, rate_hz = usable(material.excerpts, config.labels), config.features.sample_rate_hz
    made = list(mixes(protocol.folder, excerpts, rate_hz, protocol.mixes, protocol.seed))
    artists = [" and ".join(sorted(one.artists)) for one in made]
    answers, thresholds = [], {model.info.name: model.network.thresholds for model in models}
    for features in material.stores:
        read = (read_track((one.samples, rate_hz), features, one.name) for one in made)
        answers += [windows.answer(name) for name, windows in ask(_networks(models, features), read).items()]
    answers += peers.of_sound(made, rate_hz, f"mixes{protocol.seed}", protocol.split) if peers else []
    found = []
    for answer in answers:
        truth = np.array([[label in one.labels for label in answer.labels] for one in made])
        hits = all_among_first(shown(answer, thresholds), truth, 3)
        found.append(share_of("both_in_top3", answer.name, f"mixes, {material.split}", hits, artists))
    return found


def splice_measures(models: Sequence[LoadedModel], material: Material) -> list[Measure]:
    """Borders within 3 s on splices: F1, precision, recall."""
    protocol, config = material.protocol, models[0].network.config
    excerpts, rate_hz = usable(material.excerpts, config.labels), config.features.sample_rate_hz
    counts: dict[str, list[tuple[int, int, int]]] = {model.info.name: [] for model in models}
    for one in splices(protocol.folder, excerpts, rate_hz, protocol.splices, protocol.seed):
        for analysis in compare((one.samples, rate_hz), models, name=one.name):
            borders_s = [segment.end_s for segment in analysis.segments[:-1]]
            hits = border_hits(borders_s, one.borders_s)
            counts[analysis.model.name].append((hits, len(borders_s), len(one.borders_s)))
    found = []
    for name, rows in counts.items():
        found += border_measures(name, f"splices, {material.split}", *np.array(rows).T)
    return found
