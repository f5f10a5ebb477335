"""How far a model's explanations may be trusted, measured on music, with 95 % intervals by artist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fluxbeat.analysis.track import Progress, Track, audible_windows, read_track
from fluxbeat.errors import ExplanationError, FluxBeatError
from fluxbeat.explanation.attribution import METHODS, Cam, attribute, chosen_cam, shown_probability
from fluxbeat.explanation.faithfulness import STEPS, curves, energy_map, random_map
from fluxbeat.explanation.layers import placed_layers
from fluxbeat.explanation.windows import cut_window
from fluxbeat.models.base import WindowModel
from fluxbeat.models.registry import LoadedModel
from fluxbeat.training.evaluation.intervals import mean_with_interval
from fluxbeat.training.evaluation.sanity import map_correlation, mass_inside, randomised, splice

PASSES_BELOW = 0.2
"""Rank correlation with the map of a model that knows nothing, below which a map depends on what was learned."""
NOTICED = 0.3
"""A splice is noticed where it lifts its genre's logit by at least this much."""
COMPARED_STEPS = 6
"""Of taking away and putting back, where many layers are compared."""
BESIDE = ("random", "energy")
"""What every map is measured beside."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One window of real music and the genre to explain.

    Attributes
    ----------
    recording, artist : str
        Windows of one artist are drawn together in the bootstrap.
    log_mel : Tensor, shape (mels, window_frames)
    label : int
        The one that the model finds most probable.
    """

    recording: str
    artist: str
    log_mel: Tensor
    label: int


def candidate_cams(network: WindowModel, layer: str | None, method: str | None) -> list[Cam]:
    """Every layer of a network with every method, or only one of them."""
    layers, methods = [layer] if layer else placed_layers(network), [method] if method else METHODS
    return [Cam(one, other) for one in layers for other in methods]


def explanation_report(
    model: LoadedModel,
    samples: Sequence[Sample],
    *,
    cam: Cam | None = None,
    seed: int = 0,
    progress: Progress = lambda share, doing: None,
) -> dict[str, Any]:
    """Deletion and insertion, cascading randomisation, localisation and class contrast of a model's explanations.

    Parameters
    ----------
    model : LoadedModel
    samples : sequence of Sample
    cam : Cam, optional
        What is measured; how the model is explained by default, where not given.
    seed : int
        Of the random maps, weights and splices.
    progress : callable, optional
        Called with the finished share and what is being done.

    Returns
    -------
    dict
        Ready for JSON. Of the `Cam`, by its name, under `layers`: `insertion_minus_deletion` of its map, a random one
        and the energy, `beats_random` and `beats_energy` (paired), `apart` (its interval lies above both others),
        `randomisation`, `splice_mass`, `class_contrast`.
    """
    network, cam = model.network, cam or chosen_cam(model.network)
    layers = _faithfulness(network, samples, [cam], seed, STEPS, lambda share, doing: progress(0.4 * share, doing))
    progress(0.4, f"random weights and splices, {cam}")
    spliced = _spliced(samples, seed)
    layers[str(cam)]["randomisation"] = _randomisation(network, samples, seed, cam)
    layers[str(cam)] |= _localisation(network, spliced, cam)
    return {**_about(model, samples, seed), "splices": len(spliced), "layers": layers}


def compare_cams(
    model: LoadedModel,
    samples: Sequence[Sample],
    cams: Sequence[Cam],
    *,
    seed: int = 0,
    progress: Progress = lambda share, doing: None,
) -> dict[str, Any]:
    """Insertion minus deletion alone, in fewer steps, of many layers and methods: what `CHOSEN` is chosen by.

    As `explanation_report`; the most faithful comes first and is named under `best`.
    """
    found = _faithfulness(model.network, samples, cams, seed, COMPARED_STEPS, progress)
    layers = dict(sorted(found.items(), key=lambda item: -item[1]["insertion_minus_deletion"]["map"]["value"]))
    return {**_about(model, samples, seed), "best": next(iter(layers)), "layers": layers}


def _about(model: LoadedModel, samples: Sequence[Sample], seed: int) -> dict[str, Any]:
    return {
        "model": asdict(model.info),
        "chosen": str(chosen_cam(model.network)),
        "files": len({sample.recording for sample in samples}),
        "artists": len({sample.artist for sample in samples}),
        "windows": len(samples),
        "seed": seed,
    }


def samples_of_files(
    model: LoadedModel, files: Sequence[Path], windows: int = 1, progress: Progress = lambda share, doing: None
) -> tuple[list[Sample], list[dict[str, str]]]:
    """Windows of music files; each file counts as an artist of its own.

    Parameters
    ----------
    model : LoadedModel
    files : sequence of Path
    windows : int
        Windows of each file, evenly apart; silent ones are left out.
    progress : callable, optional

    Returns
    -------
    samples : list of Sample
    unread : list of dict
        `file` and `error` of each that could not be read or holds nothing to explain.

    Raises
    ------
    ExplanationError
        If no file can be read, or none has a window of music.
    """
    network, samples, unread = model.network, [], []
    for number, path in enumerate(files):
        progress(number / len(files), path.name)
        try:
            track = read_track(path, network.config.features)
            for start_s in _starts_s(track, network.config.window_s, windows):
                samples.append(sample_of(network, cut_window(track, network, start_s).log_mel, str(path), str(path)))
        except FluxBeatError as error:
            unread.append({"file": path.name, "error": str(error)})
    if not samples:
        why = "; ".join(f"{one['file']}: {one['error']}" for one in unread[:3])
        raise ExplanationError(f"none of the {len(files)} files can be explained ({why})")
    return samples, unread


def _starts_s(track: Track, window_s: float, count: int) -> list[float]:
    """Where audible windows begin of `count` that are evenly apart."""
    last_s = track.duration_s - window_s
    if last_s < 0:
        raise ExplanationError(f"shorter than one window of {window_s:g} s")
    starts_s = (np.arange(count) + 0.5) / count * last_s
    starts_s = starts_s[audible_windows(track, starts_s, window_s)]
    if not len(starts_s):
        raise ExplanationError("silent where it was asked")
    return starts_s.tolist()


def sample_of(network: WindowModel, log_mel: Tensor, recording: str, artist: str) -> Sample:
    """A window, (mels, window_frames), to be explained for the label that the model finds most probable."""
    with torch.inference_mode():
        label = int(shown_probability(network, network(log_mel[None]).genre_logits)[0].argmax())
    return Sample(recording, artist, log_mel, label)


def _spliced(samples: Sequence[Sample], seed: int) -> list[tuple[Sample, Sample, Tensor, slice]]:
    """Each window with a quarter of another artist's and genre's: host, guest, window, frames of the guest."""
    rng, found = np.random.default_rng(seed), []
    for host in samples:
        others = [other for other in samples if other.label != host.label and other.artist != host.artist]
        if others:
            guest = others[int(rng.integers(len(others)))]
            found.append((host, guest, *splice(host.log_mel, guest.log_mel, rng)))
    return found


def _faithfulness(
    network: WindowModel, samples: Sequence[Sample], cams: Sequence[Cam], seed: int, steps: int, progress: Progress
) -> dict[str, dict[str, Any]]:
    """Insertion minus deletion of the windows by each map, beside that of random ones and of the energy."""
    gains: dict[str, list[float]] = {name: [] for name in (*map(str, cams), *BESIDE)}
    for number, sample in enumerate(samples):
        progress(number / len(samples), "taking away and putting back")
        maps = [attribute(network, sample.log_mel[None], sample.label, cam)[0] for cam in cams]
        maps += [random_map(tuple(sample.log_mel.shape), seed + number), energy_map(network, sample.log_mel)]
        judged = curves(network, sample.log_mel, sample.label, torch.stack(maps), steps)
        for values, one in zip(gains.values(), judged, strict=True):
            values.append(one.faithfulness)
    artists = [sample.artist for sample in samples]
    beside = {name: np.array(gains.pop(name)) for name in BESIDE}
    found = {}
    for cam, values in gains.items():
        ours = np.array(values)
        means = {name: mean_with_interval(each, artists) for name, each in {"map": ours, **beside}.items()}
        found[cam] = {
            "insertion_minus_deletion": means,
            **{f"beats_{name}": mean_with_interval(ours - other, artists) for name, other in beside.items()},
            "apart": means["map"]["interval_95"][0] > max(means[name]["interval_95"][1] for name in BESIDE),
        }
    return found


def _randomisation(network: WindowModel, samples: Sequence[Sample], seed: int, cam: Cam) -> dict[str, Any]:
    """Likeness of each map to that of the same network with random weights, from the answer down."""
    artists = [sample.artist for sample in samples]
    maps = [attribute(network, sample.log_mel[None], sample.label, cam)[0] for sample in samples]
    found = {}
    for part, broken in randomised(network, seed):
        forgotten = [attribute(broken, sample.log_mel[None], sample.label, cam)[0] for sample in samples]
        alike = [abs(map_correlation(one, other)) for one, other in zip(maps, forgotten, strict=True)]
        found[part] = mean_with_interval(alike, artists)
    return {"likeness": found, "passes": list(found.values())[-1]["value"] < PASSES_BELOW}


def _localisation(
    network: WindowModel, spliced: Sequence[tuple[Sample, Sample, Tensor, slice]], cam: Cam
) -> dict[str, Any]:
    """Whether a map finds what was put in, and differs from that of the music around it."""
    inside, noticed, alike = list[float](), list[float](), list[float]()
    for host, guest, window, place in spliced:
        with torch.inference_mode():
            before, after = network(torch.stack([host.log_mel, window])).genre_logits[:, guest.label].tolist()
        maps = [attribute(network, window[None], one.label, cam)[0] for one in (guest, host)]
        inside.append(mass_inside(maps[0], place))
        noticed.append(inside[-1] if after - before >= NOTICED else float("nan"))
        alike.append(map_correlation(*maps))
    measures = {"splice_mass": inside, "splice_mass_where_noticed": noticed, "class_contrast": alike}
    artists = [host.artist for host, *_ in spliced]
    return {name: mean_with_interval(values, artists) for name, values in measures.items()}
