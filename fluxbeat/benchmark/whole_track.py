"""How fast a whole track is analysed, file to JSON, beside the time that its decoding alone takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fluxbeat.analysis import analyze, analyze_track, read_track
from fluxbeat.audio import AudioSource, load_audio, open_audio
from fluxbeat.benchmark.timing import timed
from fluxbeat.decoding_in_turns import decoding_threads
from fluxbeat.errors import FluxBeatError
from fluxbeat.features import LogMel
from fluxbeat.zoo import ZooModel

RUNS = 3


def track_report(
    source: AudioSource,
    models: list[ZooModel],
    runs: int = RUNS,
    peers: Mapping[str, Callable[[AudioSource], object]] | None = None,
) -> dict[str, Any]:
    """Where the time goes, in seconds, and each model's whole analysis as a ratio to decoding alone by one thread.

    Decoding, resampling and spectrogram go on at the same time where a track is read: `read` is all three.

    Parameters
    ----------
    source : path or bytes
    models : list of ZooModel
    runs : int
        How often each step is timed.
    peers : mapping of str to callable, optional
        Other programs' names and what they do with `source`, to be timed in the same run.

    Raises
    ------
    AudioDecodeError
        If the file cannot be analysed.
    """
    features = models[0].network.config.features
    native_hz, rate_hz = _native_rate_hz(source), features.sample_rate_hz
    decoding = timed(lambda: _drained(source, native_hz, threads=1), runs)
    shared = timed(lambda: _drained(source, native_hz), runs)
    resampled = timed(lambda: _drained(source, rate_hz), runs)
    read = timed(lambda: read_track(source, features), runs)
    loaded = load_audio(source, sample_rate_hz=rate_hz)
    samples, duration_s = loaded.samples, loaded.duration_s
    blocks = np.split(samples, range(10 * rate_hz, len(samples), 10 * rate_hz))  # as they come when a file is read
    front_end = LogMel(features)
    mel = timed(lambda: front_end.normalise(front_end.from_blocks(blocks)), runs)
    report: dict[str, Any] = {
        "duration_s": round(duration_s, 2),
        "sample_rate_hz": native_hz,
        "decode": decoding.to_dict(),
        "decoding_threads": decoding_threads(),
        "decode_shared": shared.to_dict(),
        "resample_s": round(max(0.0, resampled.median_s - shared.median_s), 6),
        "log_mel": mel.to_dict(),
        "read": read.to_dict(),
        "models": {},
        "peers": {},
    }
    for model in models:
        track = read_track(source, model.network.config.features)
        answer = timed(lambda track=track, model=model: analyze_track(track, model), runs)  # type: ignore[misc]
        del track
        whole = timed(lambda model=model: json.dumps(analyze(source, model).to_dict()), runs)  # type: ignore[misc]
        report["models"][model.info.name] = {
            "model": answer.to_dict(),
            "whole": whole.to_dict(),
            "rest_s": round(max(0.0, whole.median_s - read.median_s - answer.median_s), 6),
            "whole_per_decoding": round(whole.median_s / decoding.median_s, 2),
            "times_real_time": round(duration_s / whole.median_s, 1),
        }
    for name, ask in (peers or {}).items():
        taken = timed(lambda ask=ask: ask(source), runs)  # type: ignore[misc]
        report["peers"][name] = {
            "whole": taken.to_dict(),
            "times_real_time": round(duration_s / taken.median_s, 1),
            "times_as_long": {
                ours: round(taken.median_s / found["whole"]["median_s"], 1) for ours, found in report["models"].items()
            },
        }
    return report


def _drained(source: AudioSource, rate_hz: int, threads: int | None = None) -> None:
    with open_audio(source, sample_rate_hz=rate_hz, threads=threads) as stream:
        for _ in stream:
            pass


def _native_rate_hz(source: AudioSource) -> int:
    """Rate of the file itself."""
    with open_audio(source) as stream:
        return stream.source_rate_hz


def source_of(path: str | Path) -> AudioSource:
    """The file to time.

    Raises
    ------
    FluxBeatError
        If the file cannot be read.
    """
    try:
        with open_audio(path):
            return Path(path)
    except OSError as error:
        raise FluxBeatError(f"{path} cannot be read: {error.strerror}") from error
