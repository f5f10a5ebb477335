"""How fast FluxBeat is on this machine: one window, its explanation, and whole tracks beside their decoding."""

from __future__ import annotations

import io
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from fluxbeat import __version__
from fluxbeat.analysis.engine import analyze, analyze_track
from fluxbeat.analysis.track import read_track
from fluxbeat.audio.decoding import AudioSource, open_audio
from fluxbeat.explanation.attribution import attribute
from fluxbeat.features.log_mel import LogMel
from fluxbeat.models.base import GenreTempoModel
from fluxbeat.models.registry import LoadedModel
from fluxbeat.models.speed import REPEATS, WARM_UP, noise_window
from fluxbeat.training.evaluation.repeated_timing import answer_time, timed

DRAWN_RATE_HZ = 44_100
DRAWN_LOOP_S = 10.0


def machine_facts() -> dict[str, Any]:
    """Processor, cores, threads and versions."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "fluxbeat": __version__,
    }


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.is_file() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown")


def drawn_mp3(duration_s: float) -> bytes:
    """Beats and chords over noise, for machines without a song at hand: a stereo MP3 at 44.1 kHz."""
    rng, out = np.random.default_rng(0), io.BytesIO()
    time_s = np.arange(round(DRAWN_LOOP_S * DRAWN_RATE_HZ)) / DRAWN_RATE_HZ
    kick = np.sin(2 * np.pi * 60 * time_s) * np.exp(-((time_s * 2) % 1) * 12)
    chord = sum(np.sin(2 * np.pi * hz * time_s) for hz in (220.0, 277.2, 329.6)) / 3
    both = np.stack([0.4 * kick + 0.2 * chord, 0.4 * kick + 0.1 * chord], axis=1)
    loop = (both + 0.05 * rng.standard_normal(both.shape)).astype(np.float32)
    left = round(duration_s * DRAWN_RATE_HZ)
    with soundfile.SoundFile(out, "w", DRAWN_RATE_HZ, 2, "MPEG_LAYER_III", format="MP3") as file:
        while left > 0:
            file.write(loop[:left])
            left -= len(loop)
    return out.getvalue()


def window_report(model: GenreTempoModel, runs: int = REPEATS) -> dict[str, Any]:
    """One window alone with one thread and with all, and what its explanation costs beside that."""
    window = noise_window(model)
    with threads(1):
        alone = answer_time(model, runs)
    answer, explanation = answer_time(model, runs), timed(lambda: attribute(model, window, 0), runs, WARM_UP)
    return {
        "threads": torch.get_num_threads(),
        "answer_one_thread": alone.to_dict(),
        "answer": answer.to_dict(),
        "explanation": explanation.to_dict(),
        "explanation_per_answer": round(explanation.median_s / answer.median_s, 2),
    }


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch with that many threads, for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def track_report(source: AudioSource, models: list[LoadedModel], runs: int = 3) -> dict[str, Any]:
    """Where the time goes, in seconds, and each model's whole analysis as a ratio to decoding alone.

    Decoding, resampling and spectrogram go on at the same time where a track is read: `read` is all three.

    Parameters
    ----------
    source : path or bytes
    models : list of LoadedModel
    runs : int
        How often each step is timed.

    Raises
    ------
    AudioDecodeError
        If the file cannot be analysed.
    """
    features = models[0].network.config.features
    with open_audio(source) as stream:
        native_hz, rate_hz = stream.source_rate_hz, features.sample_rate_hz
    decoding = timed(lambda: _drained(source, native_hz), runs)
    resampled = timed(lambda: _drained(source, rate_hz), runs)
    read = timed(lambda: read_track(source, features), runs)
    with open_audio(source, sample_rate_hz=rate_hz) as stream:
        blocks = list(stream)
    duration_s = sum(map(len, blocks)) / rate_hz
    front_end = LogMel(features)
    mel = timed(lambda: front_end.normalise(front_end.from_blocks(blocks)), runs)
    report: dict[str, Any] = {
        "duration_s": round(duration_s, 2),
        "sample_rate_hz": native_hz,
        "decode": decoding.to_dict(),
        "resample_s": round(max(0.0, resampled.median_s - decoding.median_s), 6),
        "log_mel": mel.to_dict(),
        "read": read.to_dict(),
        "models": {},
    }
    for model in models:
        answer = timed(partial(analyze_track, read_track(source, model.network.config.features), model), runs)
        whole = timed(partial(_analysed, source, model), runs)
        report["models"][model.info.name] = {
            "model": answer.to_dict(),
            "whole": whole.to_dict(),
            "rest_s": round(max(0.0, whole.median_s - read.median_s - answer.median_s), 6),
            "whole_per_decoding": round(whole.median_s / decoding.median_s, 2),
            "times_real_time": round(duration_s / whole.median_s, 1),
        }
    return report


def _drained(source: AudioSource, rate_hz: int) -> None:
    with open_audio(source, sample_rate_hz=rate_hz) as stream:
        for _ in stream:
            pass


def _analysed(source: AudioSource, model: LoadedModel) -> str:
    return json.dumps(analyze(source, model).to_dict())
