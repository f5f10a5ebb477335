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
from fluxbeat.errors import FluxBeatError
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
class _Measured:
    """All that was measured at one layer."""

    curves: dict[str, list[Curves]] = field(default_factory=lambda: {"map": [], "random": [], "energy": []})
    forgotten: dict[str, list[float]] = field(default_factory=dict)
    inside: list[float] = field(default_factory=list)
    inside_noticed: list[float] = field(default_factory=list)
    contrast: list[float] = field(default_factory=list)


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
        Windows of each file, evenly apart.
    seed : int
        Of the random maps, weights and splices.
    progress : callable, optional
        Called with the finished share and what is being done.

    Raises
    ------
    FluxBeatError
        If no file can be read, or none is as long as a window.
    """
    samples, unread = _samples(model, files, windows, progress)
    network, rng = model.network, np.random.default_rng(seed)
    pairs = _pairs(samples, rng)
    report: dict[str, Any] = {
        "model": {"name": model.info.name, "source": model.info.source, "revision": model.info.revision},
        "files": len({sample.file for sample in samples}),
        "windows": len(samples),
        "splices": len(pairs),
        "seed": seed,
        "unread": unread,
        "layers": {},
    }
    for number, layer in enumerate(layers):
        found = _Measured()

        def done(share: float, doing: str, number: int = number, layer: str = layer) -> None:
            if progress:
                progress(0.2 + 0.8 * (number + share) / len(layers), f"{layer}: {doing}")

        _judge_windows(network, samples, layer, seed, found, done)
        _judge_splices(network, pairs, layer, np.random.default_rng(seed), found, done)
        report["layers"][layer] = _summary(found)
    return report


def _samples(
    model: ZooModel, files: Sequence[Path], windows: int, progress: Report | None
) -> tuple[list[Sample], list[dict[str, str]]]:
    network, samples, unread = model.network, [], []
    labels, window_s = network.config.labels, network.config.window_s
    for number, path in enumerate(files):
        if progress:
            progress(0.2 * number / len(files), path.name)
        try:
            track = read_track(path, network.config.features)
        except FluxBeatError as error:
            unread.append({"file": path.name, "error": str(error)})
            continue
        last_s = track.duration_s - window_s
        if last_s < 0:
            unread.append({"file": path.name, "error": f"shorter than one window of {window_s:g} s"})
            continue
        for share in (np.arange(windows) + 0.5) / windows:
            log_mel = cut_window(track, network, share * last_s).log_mel
            with torch.inference_mode():
                said = int(network(log_mel[None]).genre_logits[0].argmax())
            named = path.parent.name in labels
            samples.append(Sample(str(path), log_mel, labels.index(path.parent.name) if named else said))
    if not samples:
        why = "; ".join(f"{one['file']}: {one['error']}" for one in unread[:3])
        raise FluxBeatError(f"none of the {len(files)} files can be explained ({why})")
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
    network: GenreTempoModel, samples: Sequence[Sample], layer: str, seed: int, found: _Measured, done: Report
) -> None:
    maps = []
    for number, sample in enumerate(samples):
        done(0.5 * number / len(samples), "taking away and putting back")
        evidence = attribute(network, sample.log_mel[None], sample.label, layer).evidence[0]
        beside = [random_map(tuple(sample.log_mel.shape), seed + number), energy_map(network, sample.log_mel)]
        judged = curves(network, sample.log_mel, sample.label, torch.stack([evidence, *beside]))
        for name, one in zip(found.curves, judged, strict=True):
            found.curves[name].append(one)
        maps.append(evidence)
    for part, broken in randomised(network, seed):
        done(0.5, f"random weights from {part} up")
        found.forgotten[part] = [
            likeness(evidence, attribute(broken, sample.log_mel[None], sample.label, layer).evidence[0])
            for evidence, sample in zip(maps, samples, strict=True)
        ]


def _judge_splices(
    network: GenreTempoModel,
    pairs: Sequence[tuple[Sample, Sample]],
    layer: str,
    rng: np.random.Generator,
    found: _Measured,
    done: Report,
) -> None:
    for number, (host, guest) in enumerate(pairs):
        done(0.7 + 0.3 * number / len(pairs), "finding what was put in")
        spliced, place = splice(host.log_mel, guest.log_mel, rng)
        with torch.inference_mode():
            before, after = network(torch.stack([host.log_mel, spliced])).genre_logits[:, guest.label].tolist()
        share = mass_inside(attribute(network, spliced[None], guest.label, layer).evidence[0], place)
        found.inside.append(share)
        if after - before >= NOTICED:
            found.inside_noticed.append(share)
        found.contrast.append(contrast(network, spliced, guest.label, host.label, layer))


def _summary(found: _Measured) -> dict[str, Any]:
    gains = {name: np.array([one.faithfulness for one in judged]) for name, judged in found.curves.items()}
    last = list(found.forgotten)[-1]
    forgotten = {part: mean_with_interval(np.abs(values)) for part, values in found.forgotten.items()}
    return {
        "insertion_minus_deletion": {name: mean_with_interval(values) for name, values in gains.items()},
        "deletion": mean_with_interval([one.deletion.mean() for one in found.curves["map"]]),
        "insertion": mean_with_interval([one.insertion.mean() for one in found.curves["map"]]),
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
