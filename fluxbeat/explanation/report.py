"""How far a model's explanations may be trusted, measured on a folder of music."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fluxbeat.analysis import read_track
from fluxbeat.analysis.engine import audible_windows
from fluxbeat.errors import ExplanationError, FluxBeatError
from fluxbeat.explanation.attribution import LAYERS, attribute
from fluxbeat.explanation.faithfulness import Curves, curves, energy_map, random_map
from fluxbeat.explanation.sanity import contrast, likeness, mass_inside, randomised, splice
from fluxbeat.explanation.windows import cut_window
from fluxbeat.models import GenreTempoModel
from fluxbeat.zoo import ZooModel

PASSES_BELOW = 0.2
"""Rank correlation with the map of a model that knows nothing, below which a map depends on what was learned."""
NOTICED = 0.3
"""A splice is noticed where it lifts its genre's logit by at least this much."""
RESAMPLES = 2000

Report = Callable[[float, str], None]


@dataclass(frozen=True, eq=False)
class Sample:
    """One window of real music with the genre to explain."""

    file: str
    log_mel: Tensor
    label: int


@dataclass(eq=False)
class _AtLayer:
    """All that was measured at one layer."""

    curves: list[Curves] = field(default_factory=list)
    forgotten: dict[str, list[float]] = field(default_factory=dict)
    inside: list[float] = field(default_factory=list)
    inside_noticed: list[float] = field(default_factory=list)
    contrast: list[float] = field(default_factory=list)


@dataclass(eq=False)
class _Measured:
    """All that was measured."""

    layers: dict[str, _AtLayer]
    beside: dict[str, list[Curves]] = field(default_factory=lambda: {"random": [], "energy": []})
    files: set[str] = field(default_factory=set)
    windows: int = 0
    splices: int = 0


def explanation_report(
    model: ZooModel,
    files: Sequence[Path],
    *,
    layers: Sequence[str] = LAYERS,
    windows: int = 1,
    seed: int = 0,
    progress: Report | None = None,
) -> dict[str, Any]:
    """Deletion and insertion, cascading randomisation, localisation and class contrast, with 95 % intervals.

    Parameters
    ----------
    model : ZooModel
    files : sequence of Path
        Music. A file that lies in a folder named as one of the model's labels is explained for that label; any other
        for the label that the model gives it.
    layers : sequence of str
        Of `LAYERS`.
    windows : int
        Windows of each file, evenly apart; silent ones are left out.
    seed : int
        Of the random maps, weights and splices.
    progress : callable, optional
        Called with the finished share and what is being done.

    Raises
    ------
    ExplanationError
        If no file can be read, or none has a window of music.
    """
    report = pooled_report([(model, files)], layers=layers, windows=windows, seed=seed, progress=progress)
    named = {"name": model.info.name, "source": model.info.source, "revision": model.info.revision}
    return {"model": named, **report}


def pooled_report(
    judged: Sequence[tuple[ZooModel, Sequence[Path]]],
    *,
    layers: Sequence[str] = LAYERS,
    windows: int = 1,
    seed: int = 0,
    progress: Report | None = None,
) -> dict[str, Any]:
    """The same of several models of one kind, each with its own music, as one: for cross-validation."""
    found, unread = _Measured({layer: _AtLayer() for layer in layers}), []
    for number, (model, files) in enumerate(judged):

        def done(share: float, doing: str, number: int = number) -> None:
            if progress:
                progress((number + share) / len(judged), doing)

        samples, failed = _samples(model, files, windows, done)
        unread += failed
        _judge_windows(model.network, samples, seed, found, done)
        _judge_splices(model.network, samples, seed, found, done)
    return {
        "files": len(found.files),
        "windows": found.windows,
        "splices": found.splices,
        "seed": seed,
        "unread": unread,
        "layers": {layer: _summary(at, found.beside) for layer, at in found.layers.items()},
    }


def _samples(
    model: ZooModel, files: Sequence[Path], windows: int, done: Report
) -> tuple[list[Sample], list[dict[str, str]]]:
    network, samples, unread = model.network, [], []
    labels, window_s = network.config.labels, network.config.window_s
    for number, path in enumerate(files):
        done(0.2 * number / len(files), path.name)
        try:
            track = read_track(path, network.config.features)
        except FluxBeatError as error:
            unread.append({"file": path.name, "error": str(error)})
            continue
        last_s = track.duration_s - window_s
        if last_s < 0:
            unread.append({"file": path.name, "error": f"shorter than one window of {window_s:g} s"})
            continue
        starts_s = (np.arange(windows) + 0.5) / windows * last_s
        starts_s = starts_s[audible_windows(track, starts_s, window_s)]
        if not len(starts_s):
            unread.append({"file": path.name, "error": "silent where it was asked"})
        for start_s in starts_s.tolist():
            log_mel = cut_window(track, network, start_s).log_mel
            with torch.inference_mode():
                said = int(network(log_mel[None]).genre_logits[0].argmax())
            named = path.parent.name in labels
            samples.append(Sample(str(path), log_mel, labels.index(path.parent.name) if named else said))
    if not samples:
        why = "; ".join(f"{one['file']}: {one['error']}" for one in unread[:3])
        raise ExplanationError(f"none of the {len(files)} files can be explained ({why})")
    return samples, unread


def _pairs(samples: Sequence[Sample], rng: np.random.Generator) -> list[tuple[Sample, Sample]]:
    """Each window with one of another file and another genre."""
    pairs = []
    for sample in samples:
        others = [other for other in samples if other.label != sample.label and other.file != sample.file]
        if others:
            pairs.append((sample, others[int(rng.integers(len(others)))]))
    return pairs


def _judge_windows(
    network: GenreTempoModel, samples: Sequence[Sample], seed: int, found: _Measured, done: Report
) -> None:
    """Deletion, insertion and randomisation of each window, explained at each layer."""
    maps: dict[str, list[Tensor]] = {layer: [] for layer in found.layers}
    for number, sample in enumerate(samples):
        done(0.2 + 0.4 * number / len(samples), "taking away and putting back")
        for layer, kept in maps.items():
            kept.append(attribute(network, sample.log_mel[None], sample.label, layer).evidence[0])
        beside = [random_map(tuple(sample.log_mel.shape), seed + number), energy_map(network, sample.log_mel)]
        asked = torch.stack([*(kept[-1] for kept in maps.values()), *beside])
        *judged, random, energy = curves(network, sample.log_mel, sample.label, asked)
        for at, one in zip(found.layers.values(), judged, strict=True):
            at.curves.append(one)
        found.beside["random"].append(random)
        found.beside["energy"].append(energy)
    found.windows += len(samples)
    found.files |= {sample.file for sample in samples}
    for part, broken in randomised(network, seed):
        done(0.6, f"random weights from {part} up")
        for layer, at in found.layers.items():
            at.forgotten.setdefault(part, []).extend(
                likeness(evidence, attribute(broken, sample.log_mel[None], sample.label, layer).evidence[0])
                for evidence, sample in zip(maps[layer], samples, strict=True)
            )


def _judge_splices(
    network: GenreTempoModel, samples: Sequence[Sample], seed: int, found: _Measured, done: Report
) -> None:
    """Localisation and class contrast, where a quarter of each window is music of another genre."""
    rng = np.random.default_rng(seed)
    pairs = _pairs(samples, rng)
    found.splices += len(pairs)
    for number, (host, guest) in enumerate(pairs):
        done(0.75 + 0.25 * number / len(pairs), "finding what was put in")
        spliced, place = splice(host.log_mel, guest.log_mel, rng)
        with torch.inference_mode():
            before, after = network(torch.stack([host.log_mel, spliced])).genre_logits[:, guest.label].tolist()
        for layer, at in found.layers.items():
            share = mass_inside(attribute(network, spliced[None], guest.label, layer).evidence[0], place)
            at.inside.append(share)
            if after - before >= NOTICED:
                at.inside_noticed.append(share)
            at.contrast.append(contrast(network, spliced, guest.label, host.label, layer))


def _summary(found: _AtLayer, beside: dict[str, list[Curves]]) -> dict[str, Any]:
    gains = {
        name: np.array([one.faithfulness for one in judged]) for name, judged in {"map": found.curves, **beside}.items()
    }
    last = list(found.forgotten)[-1]
    forgotten = {part: mean_with_interval(np.abs(values)) for part, values in found.forgotten.items()}
    return {
        "insertion_minus_deletion": {name: mean_with_interval(values) for name, values in gains.items()},
        "deletion": mean_with_interval([one.deletion.mean() for one in found.curves]),
        "insertion": mean_with_interval([one.insertion.mean() for one in found.curves]),
        "beats_random": mean_with_interval(gains["map"] - gains["random"]),
        "beats_energy": mean_with_interval(gains["map"] - gains["energy"]),
        "randomisation": {"likeness": forgotten, "passes": forgotten[last]["value"] < PASSES_BELOW},
        "splice_mass": mean_with_interval(found.inside),
        "splice_mass_where_noticed": mean_with_interval(found.inside_noticed),
        "class_contrast": mean_with_interval(found.contrast),
    }


def mean_with_interval(values: Sequence[float] | np.ndarray) -> dict[str, Any]:
    """Mean, 95 % interval by bootstrap over windows, and how many; NaN counts as not measured."""
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return {"value": None, "interval_95": None, "n": 0}
    drawn = np.random.default_rng(0).integers(len(known), size=(RESAMPLES, len(known)))
    low, high = np.quantile(known[drawn].mean(axis=1), [0.025, 0.975])
    return {"value": float(known.mean()), "interval_95": [float(low), float(high)], "n": len(known)}
