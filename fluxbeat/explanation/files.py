"""Explanations as files: a picture, all arrays, and the sound."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import soundfile

from fluxbeat.audio import AudioSource, Samples, open_audio
from fluxbeat.errors import ExportError
from fluxbeat.explanation.listening import HeardParts, listen_to
from fluxbeat.explanation.picture import draw_png
from fluxbeat.explanation.result import Explanation

SOUND_RATE_HZ = 44_100


def write_png(explanation: Explanation, path: Path) -> None:
    """The picture of an explanation.

    Raises
    ------
    ExportError
        If the file cannot be written.
    """
    try:
        path.write_bytes(draw_png(explanation))
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror}") from error


def npz_bytes(explanation: Explanation) -> bytes:
    """All arrays as NPZ, with the JSON as `about`."""
    out = io.BytesIO()
    np.savez_compressed(
        out,
        evidence=explanation.evidence,
        log_mel=explanation.log_mel,
        band_hz=explanation.band_hz,
        time_s=explanation.time_s,
        about=np.array(json.dumps(explanation.to_dict())),
    )
    return out.getvalue()


def write_npz(explanation: Explanation, path: Path) -> None:
    """`npz_bytes` in a file; errors as in `write_png`."""
    try:
        path.write_bytes(npz_bytes(explanation))
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror}") from error


def heard_parts(explanation: Explanation, source: AudioSource) -> HeardParts:
    """The sound of the explained window, taken apart, at 44.1 kHz."""
    return listen_to(explanation, _window(source, explanation.start_s, explanation.window_s), SOUND_RATE_HZ)


def _window(source: AudioSource, start_s: float, window_s: float) -> Samples:
    """Samples of one window at 44.1 kHz; reading ends with it, and no more than a block is held beside it."""
    first = round(start_s * SOUND_RATE_HZ)
    end = first + round(window_s * SOUND_RATE_HZ)
    kept, at = [np.empty(0, np.float32)], 0
    with open_audio(source, sample_rate_hz=SOUND_RATE_HZ) as stream:
        for block in stream:
            kept.append(block[max(0, first - at) : max(0, end - at)].copy())  # a view would hold the whole block
            at += len(block)
            if at >= end:
                break
    return np.concatenate(kept)


def write_sound(explanation: Explanation, source: AudioSource, folder: Path, prefix: str = "") -> None:
    """`attended.wav` and `rest.wav` of the explained window; errors as in `write_png`."""
    parts = heard_parts(explanation, source)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, samples in (("attended", parts.attended), ("rest", parts.rest)):
            soundfile.write(folder / f"{prefix}{name}.wav", samples, parts.sample_rate_hz, subtype="PCM_16")
    except OSError as error:
        raise ExportError(f"{folder} cannot be written: {error.strerror}") from error
