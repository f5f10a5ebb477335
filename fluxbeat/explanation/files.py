"""Explanations as files: all arrays, and the sound of the window."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import soundfile

from fluxbeat.audio.decoding import AudioSource
from fluxbeat.explanation.result import Explanation
from fluxbeat.explanation.sound_parts import SoundParts, split_sound
from fluxbeat.explanation.windows import window_sound

SOUND_RATE_HZ = 44_100


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


def window_parts(explanation: Explanation, source: AudioSource) -> SoundParts:
    """The sound of the explained window, taken apart, at 44.1 kHz."""
    samples = window_sound(source, explanation.start_s, explanation.window_s, SOUND_RATE_HZ)
    return split_sound(explanation, samples, SOUND_RATE_HZ)


def write_sound(explanation: Explanation, source: AudioSource, folder: Path, prefix: str = "") -> None:
    """`attended.wav` and `rest.wav` of the explained window.

    Raises
    ------
    OSError
        If one cannot be written.
    """
    parts = window_parts(explanation, source)
    folder.mkdir(parents=True, exist_ok=True)
    for name, samples in (("attended", parts.attended), ("rest", parts.rest)):
        with open(folder / f"{prefix}{name}.wav", "wb") as file:
            soundfile.write(file, samples, parts.sample_rate_hz, format="WAV", subtype="PCM_16")
