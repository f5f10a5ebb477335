"""Which octave is named first in recordings whose tempo nobody annotated, judged by what other estimators agree on.

`python -m tools.octave_rule FOLDER CHECKPOINT --split dev` prints how often the octave is theirs, with and without the
weight of tapped tempi, and how every estimator fares where two of the others agree. With `--split train --choose`, how
other weights would fare. FOLDER has recordings.csv.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fluxbeat.analysis.engine import analyze
from fluxbeat.analysis.octave import freely_bpm_of, tapped_weight
from fluxbeat.audio.decoding import load_audio
from fluxbeat.models.registry import LoadedModel, load
from fluxbeat.training.evaluation.catalogue import read_catalogue
from tools.known_tempo import PEERS, RATE_HZ, Reader, tempo_accuracy
from tools.octaves import OctaveCase, Weight, agreed_bpm, measure_octaves

LEAST_S = 20.0
FREELY_FROM_BPM, FREELY_TO_BPM = (50.0, 58.0, 66.0, 74.0), (130.0, 140.0, 150.0, 165.0)
FALLS_BELOW, FALLS_ABOVE = (0.2, 0.3, 0.4), (0.2, 0.25, 0.3, 0.4)
BEST = 5
OURS = "fluxbeat"


@dataclass(frozen=True, eq=False)
class Estimates:
    """The tempi that FluxBeat and others give a recording, None where one finds none, and what the octaves rest on."""

    bpm: Mapping[str, float | None]
    octaves: OctaveCase


def estimate(samples: np.ndarray, model: LoadedModel, peers: Mapping[str, Reader]) -> Estimates:
    """Ask FluxBeat and the others about mono samples at 22,050 Hz."""
    analysis = analyze((samples, RATE_HZ), model)
    tempo, genres = analysis.tempo, analysis.genres
    freely_bpm = freely_bpm_of([one.label for one in genres], np.array([one.probability for one in genres]))
    unweighted = tempo.distribution / tapped_weight(tempo.grid_bpm, freely_bpm)
    theirs = {name: read(samples).bpm for name, read in peers.items()}
    found = tuple(bpm for bpm in theirs.values() if bpm)
    return Estimates({OURS: tempo.bpm, **theirs}, OctaveCase(tempo.grid_bpm, unweighted / unweighted.sum(), found))


def judged_by_the_others(estimates: Sequence[Estimates]) -> dict[str, dict[str, Any]]:
    """Accuracy 1 and 2 of each estimator on the recordings on which two of the others are within 4 %."""
    report = {}
    for name in estimates[0].bpm:
        pairs = []
        for one in estimates:
            agreed = agreed_bpm([bpm for other, bpm in one.bpm.items() if other != name and bpm])
            if agreed is not None:
                pairs.append((one.bpm[name], agreed))
        report[name] = tempo_accuracy(pairs)
    return report


def weights_to_choose_from() -> dict[str, Weight]:
    """By what they are: between which tempi people tap freely, and how fast that falls on either side."""
    every = itertools.product(
        itertools.product(FREELY_FROM_BPM, FREELY_TO_BPM), itertools.product(FALLS_BELOW, FALLS_ABOVE)
    )
    return {str(weight): weight for weight in every}


def main(words: Sequence[str] | None = None) -> None:
    """Print the measures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("checkpoint")
    parser.add_argument("--split", default="dev", choices=["train", "dev"])
    parser.add_argument("--count", type=int, default=100, help="recordings, at most one of an artist (default 100)")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--choose", action="store_true", help="try other weights")
    options = parser.parse_args(words)
    music = [one for one in read_catalogue(options.folder, options.split) if one.kind == "music"]
    by_artist = {one.artist: one for one in music if one.duration_s >= LEAST_S}
    chosen = [by_artist[artist] for artist in sorted(by_artist)]
    chosen = [chosen[index] for index in np.random.default_rng(0).permutation(len(chosen))[: options.count]]
    model, peers = load(options.checkpoint), {name: PEERS[name] for name in options.peers}
    sounds = (load_audio(options.folder / one.name, sample_rate_hz=RATE_HZ).samples for one in chosen)
    estimates = [estimate(samples, model, peers) for samples in sounds]
    cases = [one.octaves for one in estimates]
    report = {
        "split": options.split,
        "recordings": len(estimates),
        "right_octave": measure_octaves(cases),
        "judged_by_the_others": judged_by_the_others(estimates),
    }
    if options.choose:
        measured = measure_octaves(cases, weights_to_choose_from())
        report["best_weights"] = dict(sorted(measured.items(), key=lambda item: -item[1]["value"])[:BEST])
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
