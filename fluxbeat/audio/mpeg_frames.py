"""Frames of MP3: their headers, and the first frame that tells how long the recording is (Xing, Info, VBRI)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

LENGTH_MARK = re.compile(rb"(?:Xing|Info)\0\0\0[\0-\x0f]|VBRI\0\x01")
_RATES_HZ = (44_100, 48_000, 32_000)
_KBITS = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SEARCHED = 2**16  # bytes in which a recording must begin


@dataclass(frozen=True)
class Frame:
    """The header of one frame of MPEG 1, 2 or 2.5, layer III."""

    rate_hz: int
    samples: int
    size: int
    length_at: int
    """Where in the frame a Xing or Info header stands."""


def is_mp3_frame(head: bytes) -> bool:
    """Whether these bytes begin as a frame of layer III does."""
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2


def is_aac_frame(head: bytes) -> bool:
    """Whether these bytes begin as a frame of AAC in ADTS does."""
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0


def frame_at(data: bytes, at: int) -> Frame | None:
    """The frame whose four bytes of header stand at a place; None where there is none (free format included)."""
    if at < 0 or at + 4 > len(data) or not is_mp3_frame(data[at : at + 2]):
        return None
    version = data[at + 1] >> 3 & 3  # 0: MPEG 2.5, 2: MPEG 2, 3: MPEG 1
    rate_index, bits, mode = data[at + 2] >> 2 & 3, data[at + 2] >> 4, data[at + 3] >> 6
    if version == 1 or rate_index == 3 or bits in (0, 15):
        return None
    rate_hz = _RATES_HZ[rate_index] >> {3: 0, 2: 1, 0: 2}[version]
    samples = 1152 if version == 3 else 576
    size = samples // 8 * 1000 * _KBITS[1 if version == 3 else 2][bits] // rate_hz + (data[at + 2] >> 1 & 1)
    side = (17, 32)[mode != 3] if version == 3 else (9, 17)[mode != 3]
    return Frame(rate_hz, samples, size, 4 + side)


def first_frame(file: BinaryIO, begin: int) -> tuple[int, Frame] | None:
    """The first frame at or behind a place that another one follows, and where it stands."""
    file.seek(begin)
    data = file.read(_SEARCHED)
    at = data.find(b"\xff")
    while at >= 0:
        frame = frame_at(data, at)
        if frame and frame_at(data, at + frame.size):
            return begin + at, frame
        at = data.find(b"\xff", at + 1)
    return None


def promised_length(file: BinaryIO, begin: int) -> tuple[float | None, int | None]:
    """What the frame at a place promises: duration in seconds, and size in bytes from there on; None if not told."""
    file.seek(begin)
    data = file.read(256)
    frame = frame_at(data, 0)
    if frame is None:
        return None, None
    frames = size = None
    if data[36:40] == b"VBRI":
        size, frames = struct.unpack_from(">II", data, 46)
    elif data[frame.length_at : frame.length_at + 4] in (b"Xing", b"Info"):
        at = frame.length_at + 8
        flags = data[at - 1]
        if flags & 1:
            (frames,) = struct.unpack_from(">I", data, at)
        if flags & 2:
            (size,) = struct.unpack_from(">I", data, at + 4 * (flags & 1))
    return frames * frame.samples / frame.rate_hz if frames else None, size or None


def begins_recording(file: BinaryIO, mark_at: int) -> int | None:
    """Where the frame begins whose Xing, Info or VBRI header stands at a place; None if it is no such frame."""
    first = max(mark_at - 36, 0)
    file.seek(first)
    data = file.read(40)
    for back in (36, 21, 13):
        at = mark_at - first - back
        frame = frame_at(data, at)
        if frame and (frame.length_at == back or data[mark_at - first :][:4] == b"VBRI"):
            return first + at
    return None
