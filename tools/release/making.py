"""From finished runs to the checkpoints that are shipped: folded, calibrated and chosen on `dev`, with their cards.

Of the recordings only `train` (where the learned music lies) and `dev` are read; `test` is left to `fluxbeat evaluate`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from scipy.special import expit, logit

from fluxbeat.atomic_write import atomic_write
from fluxbeat.errors import FluxBeatError
from fluxbeat.models.base import GenreTempoModel
from fluxbeat.models.checkpoint import CONFIG_FILE, build_model, load_checkpoint, save_checkpoint
from fluxbeat.models.label_calibration import LabelledWindows, fit_labels, fit_thresholds
from fluxbeat.training.data.store import Excerpt, label_shares
from fluxbeat.training.evaluation.answers import WindowAnswers, ask
from fluxbeat.training.evaluation.catalogue import default_cache, read_catalogue, spectrograms, tracks
from fluxbeat.training.evaluation.intervals import resamples
from fluxbeat.training.evaluation.measures import average_precision
from fluxbeat.training.run import HEADS_FILE
from tools.release.choosing import crossed, fit_kind, naming_loss, of_recordings, roc_auc
from tools.release.familiarity import Known, fit_familiarity, fit_known, left_out_distances

GENRE_OUTPUT = "genre"
"""The teachers' output that speaks of the genres themselves."""
CONSENSUS, CONSENSUS_FAMILY = "all", "consensus"
BLENDS = tuple(step / 10 for step in range(11))
LEAST_POSITIVES = 4
"""Recordings of `dev` that a genre needs to be shown to work."""
EVEN = 0.5
PARTS = 6
"""A member of a consensus has one to four sixths of the say."""
PER_GENRE = 40
"""Recordings of `train` of each genre that say where the learned music lies."""
TRAIN_HOP_S = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What is made of what.

    Attributes
    ----------
    runs : dict from str to Path
        Finished runs by the name of the checkpoint that is made of each.
    recordings : Path
        With recordings.csv.
    output : Path
        Gets a folder for each run, and one for the consensus.
    cache : Path
        Where spectrograms are kept.
    tempo_thresholds : dict from str to float
        By name, where the run's own is not to be kept.
    """

    runs: Mapping[str, Path]
    recordings: Path
    output: Path
    cache: Path = field(default_factory=default_cache)
    tempo_thresholds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A finished run on its way to a checkpoint, with what it says of the windows of `dev`.

    Attributes
    ----------
    name : str
    network : GenreTempoModel
    answers : WindowAnswers
        Of `dev`.
    people, teachers : float64 array, shape (windows, labels)
        Logits of the head that people's labels taught, and of the one that the teachers' genres taught, each divided
        by its deviation; the same twice where no teachers taught.
    weights, biases : sequence of float64 array
        Of these two heads, divided likewise.
    music_scale, music_bias : float
        What calibrates the odds of music.
    music, familiar : float64 array, shape (windows,)
        How surely each window is music, and like what was learned, calibrated.
    known : Known or None
        Where the learned music lies.
    """

    name: str
    network: GenreTempoModel
    answers: WindowAnswers
    people: np.ndarray
    teachers: np.ndarray
    weights: tuple[np.ndarray, np.ndarray]
    biases: tuple[np.ndarray, np.ndarray]
    music_scale: float = 1.0
    music_bias: float = 0.0
    music: np.ndarray = field(default_factory=lambda: np.ones(1))
    familiar: np.ndarray = field(default_factory=lambda: np.ones(1))
    known: Known | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Those that it still answers for."""
        return self.answers.labels

    @property
    def share(self) -> np.ndarray:
        """What probabilities of genres are multiplied with, (windows,)."""
        return self.music * self.familiar

    def narrowed(self, kept: np.ndarray) -> Candidate:
        """Without the labels that are not kept, bool (labels,)."""
        labels = tuple(label for label, is_kept in zip(self.labels, kept, strict=True) if is_kept)
        return replace(
            self,
            answers=replace(self.answers, labels=labels),
            people=self.people[:, kept],
            teachers=self.teachers[:, kept],
            weights=(self.weights[0][kept], self.weights[1][kept]),
            biases=(self.biases[0][kept], self.biases[1][kept]),
        )

    def logits(self, blend: float) -> np.ndarray:
        """Both heads as one: `blend` is the teachers' part."""
        return (1 - blend) * self.people + blend * self.teachers


@dataclass(frozen=True)
class Chosen:
    """What was chosen for one checkpoint, for its card and for whoever wants to know.

    Attributes
    ----------
    blend : float or None
        The teachers' part of the genre head; None for the consensus.
    losses : dict from str to float
        The naming loss on `dev`, crossed over artists, by what was tried.
    weights : dict from str to float
        Members of a consensus; empty for a network.
    """

    blend: float | None
    losses: Mapping[str, float]
    weights: Mapping[str, float] = field(default_factory=dict)


def release(plan: Plan) -> dict[str, Any]:
    """Make a checkpoint of each run, and a consensus of them.

    Returns
    -------
    dict
        `labels`, `experimental`: what is shipped, and what had no proof; `chosen`: by name, what was chosen.

    Raises
    ------
    FluxBeatError
        If the runs do not agree on labels or features, or the recordings lack a split.
    """
    networks = {name: load_checkpoint(run)[0] for name, run in plan.runs.items()}
    first = next(iter(networks.values())).config
    for name, network in networks.items():
        if (network.config.labels, network.config.features) != (first.labels, first.features):
            raise FluxBeatError(f"{name} has other labels or features than the first run: they are released together")
    dev = read_catalogue(plan.recordings, "dev")
    answers = ask(networks, tracks(spectrograms(plan.recordings, dev, first.features, plan.cache)))
    learned = learned_music(read_catalogue(plan.recordings, "train"), first.labels)
    store = spectrograms(plan.recordings, learned, first.features, plan.cache, "-learned")
    known = ask(networks, tracks(store), TRAIN_HOP_S)
    candidates = {name: candidate(name, networks[name], plan.runs[name], answers[name]) for name in networks}
    kept = proven_labels(candidates, dev)
    candidates = {
        name: with_familiarity(with_kinds(one.narrowed(kept), dev), known[name], learned, dev)
        for name, one in candidates.items()
    }
    labels = next(iter(candidates.values())).labels
    blends = {name: choose_blend(one, dev) for name, one in candidates.items()}
    logits, finished = {}, {}
    for name, one in candidates.items():
        finished[name], logits[name] = folded(one, blends[name].blend or 0.0, dev)
        if name in plan.tempo_thresholds:
            threshold = plan.tempo_thresholds[name]
            finished[name].config = replace(finished[name].config, tempo_threshold=threshold)
        save_checkpoint(finished[name], plan.output / name)
    chosen = dict(blends)
    if len(candidates) > 1:
        chosen[CONSENSUS] = write_consensus(plan, candidates, logits, dev)
    return {
        "labels": list(labels),
        "experimental": [label for label in first.labels if label not in labels],
        "chosen": {
            name: {"blend": one.blend, "weights": dict(one.weights), "losses": dict(one.losses)}
            for name, one in chosen.items()
        },
    }


def learned_music(train: Sequence[Excerpt], labels: Sequence[str]) -> list[Excerpt]:
    """Some music of every genre, of as many artists as there are, in the catalogue's order."""
    found: dict[str, Excerpt] = {}
    for label in labels:
        having = [excerpt for excerpt in train if label in (excerpt.labels or ())]
        seen: dict[str, int] = {}
        turn = []
        for excerpt in having:
            seen[excerpt.artist] = seen.get(excerpt.artist, 0) + 1
            turn.append((seen[excerpt.artist], excerpt.name, excerpt))
        found |= {name: excerpt for _, name, excerpt in sorted(turn, key=lambda entry: entry[:2])[:PER_GENRE]}
    return [excerpt for excerpt in train if excerpt.name in found]


def truth_of(excerpts: Sequence[Excerpt], labels: Sequence[str]) -> np.ndarray:
    """Which labels each recording has: bool (recordings, labels)."""
    return np.array([[label in (excerpt.labels or ()) for label in labels] for excerpt in excerpts])


def candidate(name: str, network: GenreTempoModel, run: Path, answers: WindowAnswers) -> Candidate:
    """A run with the logits of its two genre heads on `dev`."""
    embedding = answers.embedding.astype(np.float64)
    heads = [_linear(network.genre_head)]
    path = run / HEADS_FILE
    taught = load_file(path) if path.is_file() else {}
    if f"heads.{GENRE_OUTPUT}.weight" in taught:
        scale, mean = (taught[f"{part}_{GENRE_OUTPUT}"].double().numpy() for part in ("scale", "mean"))
        weight, bias = (taught[f"heads.{GENRE_OUTPUT}.{part}"].double().numpy() for part in ("weight", "bias"))
        heads.append((weight * scale[:, None], bias * scale + mean))
    heads = [heads[0], heads[-1]]
    logits = [embedding @ weight.T + bias for weight, bias in heads]
    spread = [float(values.std()) for values in logits]
    return Candidate(
        name,
        network,
        answers,
        *(values / by for values, by in zip(logits, spread, strict=True)),
        weights=(heads[0][0] / spread[0], heads[1][0] / spread[1]),
        biases=(heads[0][1] / spread[0], heads[1][1] / spread[1]),
    )


def _linear(head: torch.nn.Linear) -> tuple[np.ndarray, np.ndarray]:
    return head.weight.detach().double().numpy(), head.bias.detach().double().numpy()


def with_kinds(one: Candidate, dev: Sequence[Excerpt]) -> Candidate:
    """The candidate with calibrated odds of music."""
    if not one.network.config.kind_taught:
        return replace(one, music=np.ones(len(one.answers.row)), familiar=np.ones(len(one.answers.row)))
    is_music = np.array([excerpt.kind == "music" for excerpt in dev])
    odds = logit(one.answers.kind[:, 0].astype(np.float64).clip(1e-6, 1 - 1e-6))
    audible = np.isin(np.arange(len(dev)), one.answers.row)
    fitted = fit_kind(one.answers.whole(odds)[audible], is_music[audible])
    return replace(
        one,
        music_scale=fitted.scale,
        music_bias=fitted.bias,
        music=expit(odds * fitted.scale + fitted.bias),
        familiar=np.ones(len(odds)),
    )


def with_familiarity(
    one: Candidate, known: WindowAnswers, learned: Sequence[Excerpt], dev: Sequence[Excerpt]
) -> Candidate:
    """The candidate with centres of the learned music in its network, and its distances calibrated."""
    shares, _ = label_shares(learned, one.labels)
    embedding, per_window = known.embedding.astype(np.float64), shares[known.row].astype(np.float64)
    found = fit_known(embedding, per_window)
    labelled = truth_of(dev, one.labels).any(axis=1)
    distance = found.distance(one.answers.embedding.astype(np.float64))
    left_out = left_out_distances(embedding, per_window)
    familiarity = fit_familiarity(one.answers.whole(distance)[labelled], known.whole(left_out)[shares.any(axis=1)])
    one.network.config = replace(one.network.config, familiarity=familiarity)
    return replace(one, known=found, familiar=expit((familiarity.middle - distance) / familiarity.width))


def choose_blend(one: Candidate, dev: Sequence[Excerpt]) -> Chosen:
    """The teachers' part of the genre head that names best on `dev`, crossed over artists."""
    losses = {blend: _loss(one.answers, one.logits(blend), one.share, dev) for blend in BLENDS}
    best = min(losses, key=lambda blend: losses[blend])
    return Chosen(best, {f"{blend:g}": round(loss, 4) for blend, loss in losses.items()})


def _loss(answers: WindowAnswers, logits: np.ndarray, share: np.ndarray, dev: Sequence[Excerpt]) -> float:
    """Naming loss over whole recordings of labelled music, crossed over artists; every data set counts alike."""
    truth = truth_of(dev, answers.labels)
    labelled = truth.any(axis=1)
    # one window for each recording, its mean: calibration is repeated often here
    whole = LabelledWindows(
        np.arange(int(labelled.sum())),
        answers.whole(logits)[labelled],
        answers.whole(share)[labelled],
        truth[labelled],
    )
    music = [excerpt for excerpt, kept in zip(dev, labelled, strict=True) if kept]
    sizes = {excerpt.dataset: sum(other.dataset == excerpt.dataset for other in music) for excerpt in music}
    weight = np.array([1 / sizes[excerpt.dataset] for excerpt in music])
    return naming_loss(crossed(whole, [excerpt.artist for excerpt in music]), whole.truth, weight)


def proven_labels(candidates: Mapping[str, Candidate], dev: Sequence[Excerpt]) -> np.ndarray:
    """Which genres are shown to work on `dev`: bool (labels,).

    A genre has at least `LEAST_POSITIVES` recordings there, and the mean of all candidates, both heads alike, finds
    them better than chance: average precision above the share of recordings that have it, and the lower end of the
    interval of ROC-AUC, by bootstrap over artists, above one half.
    """
    labels = next(iter(candidates.values())).labels
    truth = truth_of(dev, labels)
    labelled = truth.any(axis=1)
    mean = np.mean([one.answers.whole(one.logits(0.5))[labelled] for one in candidates.values()], axis=0)
    weights = resamples([excerpt.artist for excerpt, kept in zip(dev, labelled, strict=True) if kept])
    kept = np.zeros(len(labels), bool)
    for column, so in enumerate(truth[labelled].T):
        if so.sum() >= LEAST_POSITIVES:
            precision = average_precision(mean[:, column], so, weights[:1])[0]
            low = np.nanpercentile(roc_auc(mean[:, column], so, weights)[1:], 2.5)
            kept[column] = precision > so.mean() and low > EVEN
    if kept.sum() < 2:
        raise FluxBeatError("fewer than two genres can be told better than by chance on dev: train longer")
    return kept


def folded(one: Candidate, blend: float, dev: Sequence[Excerpt]) -> tuple[GenreTempoModel, np.ndarray]:
    """The network that is shipped: one calibrated genre head in place of both; and its logits on `dev`."""
    config, logits = one.network.config, one.logits(blend)
    windows = labelled_windows(one.answers.row, logits, one.share, truth_of(dev, one.labels), dev)
    calibration = fit_labels(windows)
    state = {name: value.clone() for name, value in one.network.state_dict().items()}
    weight = (1 - blend) * one.weights[0] + blend * one.weights[1]
    bias = (1 - blend) * one.biases[0] + blend * one.biases[1]
    state["genre_head.weight"] = torch.from_numpy(weight * calibration.scale[:, None]).float()
    state["genre_head.bias"] = torch.from_numpy(bias * calibration.scale + calibration.bias).float()
    if one.known is not None:
        state["known_centres"] = torch.from_numpy(one.known.centres)
        state["whitening"] = torch.from_numpy(one.known.whitening)
    # a softmax's odds of its first class move by what is added to that class, and by what all are multiplied with
    state["kind_head.weight"] *= one.music_scale
    state["kind_head.bias"] = state["kind_head.bias"] * one.music_scale + torch.tensor([one.music_bias, 0.0, 0.0])
    thresholds = fit_thresholds(windows.probability(calibration), windows.truth)
    network = build_model(
        replace(config, labels=one.labels, thresholds=thresholds, calibration=type(config.calibration)(), metrics=())
    )
    network.load_state_dict(state, strict=True)
    return network.eval(), logits * calibration.scale + calibration.bias


def labelled_windows(
    row: np.ndarray, logits: np.ndarray, share: np.ndarray, truth: np.ndarray, dev: Sequence[Excerpt]
) -> LabelledWindows:
    """Windows of the recordings of which the genre is known: labelled music, and what is no music and so has none."""
    known = truth.any(axis=1) | np.array([excerpt.kind != "music" for excerpt in dev])
    return of_recordings(LabelledWindows(row, logits, share, truth), known)


def write_consensus(
    plan: Plan,
    candidates: Mapping[str, Candidate],
    logits: Mapping[str, np.ndarray],
    dev: Sequence[Excerpt],
) -> Chosen:
    """Choose weights of the members on `dev`, calibrate their mean as one model, and write its config.json."""
    names = list(candidates)
    answers = candidates[names[0]].answers
    if any(not np.array_equal(one.answers.row, answers.row) for one in candidates.values()):
        raise FluxBeatError("the runs have other windows than each other: a consensus needs one window_s and one hop")
    losses = {}
    for weights in product(range(PARTS + 1), repeat=len(names)):
        if sum(weights) == PARTS and all(weights):
            mean, share = _mean(candidates, logits, dict(zip(names, weights, strict=True)))
            losses[weights] = _loss(answers, mean, share, dev)
    if not losses:
        losses[(1,) * len(names)] = float("nan")
    best = min(losses, key=lambda weights: losses[weights])
    chosen = {name: weight / sum(best) for name, weight in zip(names, best, strict=True)}
    mean, share = _mean(candidates, logits, chosen)
    windows = labelled_windows(answers.row, mean, share, truth_of(dev, answers.labels), dev)
    calibration = fit_labels(windows)
    alone = {name: _loss(answers, logits[name], candidates[name].share, dev) for name in names}
    config = {
        "schema": 2,
        "family": CONSENSUS_FAMILY,
        "members": chosen,
        "labels": list(answers.labels),
        "thresholds": list(fit_thresholds(windows.probability(calibration), windows.truth)),
        "tempo_threshold": max(
            plan.tempo_thresholds.get(name, one.network.config.tempo_threshold) for name, one in candidates.items()
        ),
        "calibration": {
            "scale": [round(float(value), 4) for value in calibration.scale],
            "bias": [round(float(value), 4) for value in calibration.bias],
        },
        "default": bool(np.nanmin(list(losses.values())) < min(alone.values())),
        "metrics": [],
    }
    folder = plan.output / CONSENSUS
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / CONFIG_FILE) as path:
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    tried = {" ".join(f"{name} {w / sum(weights):g}" for name, w in zip(names, weights, strict=True)): round(loss, 4)
             for weights, loss in losses.items()}  # fmt: skip
    return Chosen(None, tried | {f"{name} alone": round(loss, 4) for name, loss in alone.items()}, chosen)


def _mean(
    candidates: Mapping[str, Candidate], logits: Mapping[str, np.ndarray], weights: Mapping[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means of the members' logits and shares of familiar music."""
    total = sum(weights.values())

    def mean(values: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.asarray(sum(weights[name] / total * values[name] for name in candidates))

    music = mean({name: one.music for name, one in candidates.items()})
    return mean(logits), music * mean({name: one.familiar for name, one in candidates.items()})
