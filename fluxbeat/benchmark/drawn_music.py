"""Music drawn for machines without a song at hand: beats and chords over noise."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import soundfile

DRAWN_S, DRAWN_RATE_HZ = 240.0, 44_100
_LOOP_S = 60.0
_BITRATES_KBPS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)


def drawn_mp3(duration_s: float = DRAWN_S) -> bytes:
    """A stereo MP3 at 44.1 kHz. What is longer than a minute repeats whole minutes, since encoding takes longest."""
    repeats = max(1, round(duration_s / _LOOP_S))
    out = io.BytesIO()
    soundfile.write(out, _drawn(duration_s / repeats), DRAWN_RATE_HZ, format="MP3", subtype="MPEG_LAYER_III")
    return _repeated(out.getvalue(), repeats)


def write_drawn_flac(path: Path, duration_s: float) -> None:
    """A mono FLAC at 22.05 kHz, of any length in little memory."""
    block = _drawn(10.0)[::2, 0]
    with soundfile.SoundFile(path, "w", DRAWN_RATE_HZ // 2, 1, "PCM_16") as file:
        for _ in range(round(duration_s / 10.0)):
            file.write(block)


def _drawn(duration_s: float) -> np.ndarray:
    """float32 (samples, 2) at 44.1 kHz."""
    rng = np.random.default_rng(0)
    time_s = np.arange(round(duration_s * DRAWN_RATE_HZ), dtype=np.float64) / DRAWN_RATE_HZ
    kick = np.sin(2 * np.pi * 60 * time_s) * np.exp(-((time_s * 2) % 1) * 12)
    chord = sum(np.sin(2 * np.pi * hz * time_s) for hz in (220.0, 277.2, 329.6)) / 3
    both = np.stack([0.4 * kick + 0.2 * chord, 0.4 * kick - 0.2 * chord], axis=1)
    both += 0.05 * rng.standard_normal(both.shape)
    return both.astype(np.float32)


def _repeated(mp3: bytes, times: int) -> bytes:
    """The frames of an MP3 several times; its first frame, a table of its length, is told of them all."""
    tag = max(mp3.find(b"Info"), mp3.find(b"Xing"))
    begin = tag - 36  # behind the frame's header and the side information of stereo
    header = mp3[begin : begin + 4]
    padding = header[2] >> 1 & 1
    length = 144 * 1000 * _BITRATES_KBPS[header[2] >> 4] // DRAWN_RATE_HZ + padding
    table, frames = bytearray(mp3[begin : begin + length]), mp3[begin + length :]
    count, size = struct.unpack(">II", table[44:52])
    table[44:52] = struct.pack(">II", count * times, size + (times - 1) * len(frames))
    return bytes(table) + frames * times
