"""How well tempo and beats are found where they are known: in drawn rhythms, accompaniments, annotated recordings.

`python -m tools.known_tempo CHECKPOINT` prints the table of what was drawn and rendered, beside librosa and Essentia;
with `--recordings FOLDER --split dev` that of the recordings whose tempo people annotated. FOLDER has recordings.csv.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fluxbeat.analysis.engine import analyze
from fluxbeat.audio.decoding import load_audio
from fluxbeat.errors import FluxBeatError
from fluxbeat.models.label_calibration import wilson
from fluxbeat.models.registry import LoadedModel, load
from fluxbeat.training.data.store import SPLITS
from fluxbeat.training.evaluation.catalogue import CATALOGUE_FILE
from fluxbeat.training.evaluation.intervals import mean_with_interval
from fluxbeat.training.evaluation.measures import TEMPO_FACTORS, tempo_hit
from tools.corpus.accompaniment import check_programs, find_soundfonts, read_styles
from tools.corpus.grooves import one_that_sounds
from tools.recordings.drawn import PATTERNS, beats_of_rhythm, rhythm

RATE_HZ = 22_050
PIECE_S = 30.0
EXACT = 1e-3
TRIMMED_S = 5.0
"""As usual in the field, the first seconds of beats do not count: nobody taps along at once."""
ANNOTATED = "gtzan"
"""The data set of which people annotated the tempo."""
TEMPI_FILE = Path(__file__).parent / "recordings" / "gtzan_tempi.csv"
"""Of its clips that last at least 10 s here, in whole beats per minute: the corrected annotations of Percival &
Tzanetakis ("Streamlined tempo estimation based on autocorrelation and cross-correlation with pulses", IEEE/ACM TASLP
2014), from annotations/references/gtzan/percival2014/genres_tempos.mf of github.com/tempoeval/tempo_eval at 8335368."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Music with a tempo that is known: mono samples at 22,050 Hz, and its beats where these are known as well."""

    name: str
    samples: np.ndarray
    tempo_bpm: float
    beats_s: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Reading:
    """What somebody says of a piece."""

    bpm: float | None
    beats_s: np.ndarray = field(default_factory=lambda: np.zeros(0))


Reader = Callable[[np.ndarray], Reading]
"""Called with the samples of a piece."""


def drawn_pieces(count: int, seed: int = 0) -> Iterator[Piece]:
    """Rhythms of `tools.recordings.drawn` at 60 to 200 BPM, each pattern in turn."""
    patterns = list(PATTERNS)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        pattern = patterns[number % len(patterns)]
        slowest, fastest = max(60.0, PATTERNS[pattern][3]), min(200.0, PATTERNS[pattern][4])
        tempo_bpm = float(rng.uniform(slowest, fastest))
        beats_s = beats_of_rhythm(tempo_bpm, PIECE_S, copy.deepcopy(rng))
        yield Piece(pattern, rhythm(tempo_bpm, pattern, PIECE_S, rng, RATE_HZ), tempo_bpm, beats_s)


def groove_pieces(count: int, seed: int = 0) -> Iterator[Piece]:
    """Accompaniments by MMA and FluidSynth, whose beats begin with the sound.

    Raises
    ------
    FluxBeatError
        If mma, fluidsynth or a soundfont is missing.
    """
    check_programs()
    styles, soundfonts = read_styles(), find_soundfonts()
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        groove, samples, tempo_bpm = one_that_sounds(styles, soundfonts, rng, RATE_HZ)
        beats_s = np.arange(0.0, len(samples) / RATE_HZ, 60 / tempo_bpm)
        yield Piece(f"{groove.style.name}:{groove.name}", samples, tempo_bpm, beats_s)


def recorded_pieces(folder: Path, split: str) -> Iterator[Piece]:
    """Clips of GTZAN in a folder of recordings, with the tempo that people annotated; their beats are not known.

    Parameters
    ----------
    folder : Path
        With recordings.csv: file, split, dataset, source, whose last part names the clip (`blues.00000.au`).
    split : str
        'train', 'dev' or 'test'.

    Raises
    ------
    FluxBeatError
        If none of the split is annotated.
    """
    tempi_bpm = {row["track"]: float(row["tempo_bpm"]) for row in _rows(TEMPI_FILE)}
    found = 0
    for row in _rows(folder / CATALOGUE_FILE):
        clip = Path(row["source"]).stem
        if row["split"] == split and row["dataset"] == ANNOTATED and clip in tempi_bpm:
            found += 1
            yield Piece(clip, load_audio(folder / row["file"], sample_rate_hz=RATE_HZ).samples, tempi_bpm[clip])
    if not found:
        raise FluxBeatError(
            f"{folder / CATALOGUE_FILE} has no recording of {ANNOTATED}, split {split!r}, in {TEMPI_FILE}"
        )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def fluxbeat_reader(model: LoadedModel) -> Reader:
    """What FluxBeat says with this model."""

    def read(samples: np.ndarray) -> Reading:
        tempo = analyze((samples, RATE_HZ), model).tempo
        return Reading(tempo.bpm, tempo.beats_s)

    return read


def librosa_reader(samples: np.ndarray) -> Reading:
    """`librosa.beat.beat_track` with its own settings."""
    import librosa

    bpm, beats_s = librosa.beat.beat_track(y=samples, sr=RATE_HZ, units="time")
    return Reading(float(np.atleast_1d(bpm)[0]), beats_s)


def essentia_reader(samples: np.ndarray) -> Reading:
    """Essentia's RhythmExtractor2013, multifeature (Zapata, Davies & Gómez, IEEE TASLP 2014)."""
    import soxr
    from essentia.standard import RhythmExtractor2013

    bpm, beats_s, *_ = RhythmExtractor2013(method="multifeature")(soxr.resample(samples, RATE_HZ, 44_100))
    return Reading(float(bpm), np.asarray(beats_s))


def percival_reader(samples: np.ndarray) -> Reading:
    """Essentia's PercivalBpmEstimator (Percival & Tzanetakis, IEEE/ACM TASLP 2014), which finds no beats."""
    import soxr
    from essentia.standard import PercivalBpmEstimator

    return Reading(float(PercivalBpmEstimator()(soxr.resample(samples, RATE_HZ, 44_100))))


PEERS: dict[str, Reader] = {
    "librosa": librosa_reader,
    "essentia": essentia_reader,
    "essentia-percival": percival_reader,
}


def measure_known_tempo(
    readers: dict[str, Reader], pieces: Sequence[Piece], exact: bool = True
) -> dict[str, dict[str, Any]]:
    """How well each reader finds tempo and beats.

    Parameters
    ----------
    readers : dict from str to Reader
        By name.
    pieces : sequence of Piece
    exact : bool
        Whether their tempi are known to more than a whole beat per minute.

    Returns
    -------
    dict
        By reader: `accuracy1` and `accuracy2` (no answer is a wrong one), where tempi are exact `exact` (within 0.1 %
        of the tempo or of 2, 3, 1/2, 1/3 times it), and where beats are known `beats_f` (F-measure with 70 ms: Davies,
        Degara & Plumbley, QMUL C4DM-TR-09-06, 2009).

    Raises
    ------
    ModuleNotFoundError
        If a reader or mir_eval is not installed.
    """
    report: dict[str, dict[str, Any]] = {}
    for name, read in readers.items():
        readings = [read(piece.samples) for piece in pieces]
        pairs = [(reading.bpm, piece.tempo_bpm) for reading, piece in zip(readings, pieces, strict=True)]
        report[name] = tempo_accuracy(pairs)
        if exact:
            report[name]["exact"] = share(_is_exact(*pair) for pair in pairs)
        scores = [
            _f_measure(piece.beats_s, reading.beats_s)
            for reading, piece in zip(readings, pieces, strict=True)
            if piece.beats_s is not None and name != "essentia-percival"
        ]
        if scores:
            report[name]["beats_f"] = mean_with_interval(scores, [""] * len(scores))
    return report


def share(hits: Iterable[bool]) -> dict[str, Any]:
    """Value, count and 95 % Wilson interval of a share."""
    values = list(hits)
    between = wilson(sum(values), len(values))
    return {
        "value": round(float(np.mean(values)), 4) if values else 0.0,
        "n": len(values),
        "interval_95": list(between),
    }


def tempo_accuracy(pairs: Sequence[tuple[float | None, float]]) -> dict[str, Any]:
    """Accuracy1 and Accuracy2 of pairs (estimate or None, truth), in BPM."""
    return {
        "accuracy1": share(tempo_hit(predicted, truth) for predicted, truth in pairs),
        "accuracy2": share(tempo_hit(predicted, truth, TEMPO_FACTORS) for predicted, truth in pairs),
    }


def _is_exact(found_bpm: float | None, tempo_bpm: float) -> bool:
    return found_bpm is not None and any(abs(found_bpm / (tempo_bpm * factor) - 1) <= EXACT for factor in TEMPO_FACTORS)


def _f_measure(known_s: np.ndarray, found_s: np.ndarray) -> float:
    import mir_eval.beat

    known, found = (mir_eval.beat.trim_beats(beats_s, TRIMMED_S) for beats_s in (known_s, found_s))
    return float(mir_eval.beat.f_measure(known, found)) if len(found) else 0.0


def main(words: Sequence[str] | None = None) -> None:
    """Print what `measure_known_tempo` finds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", nargs="+")
    parser.add_argument("--count", type=int, default=60, help="pieces of each kind (default 60)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), help="default: librosa; all beside recordings")
    parser.add_argument("--recordings", type=Path, metavar="FOLDER", help="measure on annotated recordings instead")
    parser.add_argument("--split", default="dev", choices=SPLITS, help="of the recordings (default dev)")
    options = parser.parse_args(words)
    readers = {name: fluxbeat_reader(load(name)) for name in options.checkpoint}
    peers = (list(PEERS) if options.recordings else ["librosa"]) if options.peers is None else options.peers
    readers |= {name: PEERS[name] for name in peers}
    if options.recordings:
        pieces = list(recorded_pieces(options.recordings, options.split))
        about = {"music": ANNOTATED, "tempo": "annotated", "split": options.split, "pieces": len(pieces)}
        print(json.dumps(about | measure_known_tempo(readers, pieces, exact=False), indent=1))
        return
    for kind, drawn in (("drawn", drawn_pieces), ("grooves", groove_pieces)):
        about = {"music": kind, "tempo": "exact", "split": "test", "pieces": options.count, "seed": options.seed}
        report = measure_known_tempo(readers, list(drawn(options.count, options.seed)))
        print(json.dumps(about | report, indent=1))


if __name__ == "__main__":
    main()
