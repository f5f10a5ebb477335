"""How fast a whole track is analysed, beside the time that its decoding alone takes."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from fluxbeat.analysis import analyze, analyze_track, read_track
from fluxbeat.audio import AudioSource, load_audio, open_audio
from fluxbeat.benchmark.timing import timed
from fluxbeat.errors import FluxBeatError
from fluxbeat.features import FeatureConfig, LogMel
from fluxbeat.zoo import ZooModel

DRAWN_S, DRAWN_RATE_HZ = 240.0, 44_100
RUNS = 3


def drawn_mp3(duration_s: float = DRAWN_S) -> bytes:
    """A stereo MP3 at 44.1 kHz: beats and chords over noise, for machines without a song at hand."""
    rng = np.random.default_rng(0)
    time_s = np.arange(round(duration_s * DRAWN_RATE_HZ), dtype=np.float64) / DRAWN_RATE_HZ
    kick = np.sin(2 * np.pi * 60 * time_s) * np.exp(-((time_s * 2) % 1) * 12)
    chord = sum(np.sin(2 * np.pi * hz * time_s) for hz in (220.0, 277.2, 329.6)) / 3
    both = np.stack([0.4 * kick + 0.2 * chord, 0.4 * kick - 0.2 * chord], axis=1)
    both += 0.05 * rng.standard_normal(both.shape)
    out = io.BytesIO()
    soundfile.write(out, both.astype(np.float32), DRAWN_RATE_HZ, format="MP3", subtype="MPEG_LAYER_III")
    return out.getvalue()


def track_report(source: AudioSource, models: list[ZooModel], runs: int = RUNS) -> dict[str, Any]:
    """Where the time goes, in seconds, and each model's whole analysis as a ratio to decoding alone.

    Parameters
    ----------
    source : path or bytes
    models : list of ZooModel
    runs : int
        How often each step is timed.

    Raises
    ------
    AudioDecodeError
        If the file cannot be analysed.
    """
    features = models[0].network.config.features
    native_hz = _native_rate_hz(source)
    decoding = timed(lambda: load_audio(source, sample_rate_hz=native_hz), runs)
    resampled = timed(lambda: load_audio(source, sample_rate_hz=features.sample_rate_hz), runs)
    samples = load_audio(source, sample_rate_hz=features.sample_rate_hz)
    mel = timed(lambda: LogMel(features)(samples.samples), runs)
    report: dict[str, Any] = {
        "duration_s": round(len(samples.samples) / samples.sample_rate_hz, 2),
        "sample_rate_hz": native_hz,
        "decode": decoding.to_dict(),
        "decode_and_resample": resampled.to_dict(),
        "log_mel": mel.to_dict(),
        "models": {},
    }
    for model in models:
        track = read_track(source, model.network.config.features)
        answer, whole = timed(partial(analyze_track, track, model), runs), timed(partial(analyze, source, model), runs)
        report["models"][model.info.name] = {
            "model": answer.to_dict(),
            "whole": whole.to_dict(),
            "whole_per_decoding": round(whole.median_s / decoding.median_s, 2),
            "times_real_time": round(report["duration_s"] / whole.median_s, 1),
        }
    return report


def _native_rate_hz(source: AudioSource) -> int:
    """Rate of the file itself, where libsndfile knows it; else the rate of the models."""
    content = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        return int(soundfile.info(content).samplerate)
    except (soundfile.LibsndfileError, TypeError):
        return FeatureConfig().sample_rate_hz


def source_of(path: str | Path | None) -> AudioSource:
    """The file to time, or a drawn MP3 of four minutes.

    Raises
    ------
    FluxBeatError
        If the file cannot be read.
    """
    if path is None:
        return drawn_mp3()
    try:
        with open_audio(path):
            return Path(path)
    except OSError as error:
        raise FluxBeatError(f"{path} cannot be read: {error.strerror}") from error
