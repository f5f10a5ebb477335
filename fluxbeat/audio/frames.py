"""Frames of which streams without a container consist: MP3, layer II of MPEG, AAC in ADTS, and AC-3 with E-AC-3.

The first frame of an MP3 may tell how long the recording is (Xing, Info, VBRI).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from fluxbeat.audio.source import after_id3

_HEADER_BYTES = 7
_CHAIN = 5
"""So many frames in a row, each where the one before ends, stand nowhere by chance."""
_RATES_HZ = (44_100, 48_000, 32_000)
_KBITS_OF_MPEG_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_KBITS_OF_LAYER = {
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_AC3_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_SEARCHED = 2**16  # bytes in which a recording must begin


@dataclass(frozen=True)
class Frame:
    """The header of one frame of MPEG 1, 2 or 2.5, layer II or III."""

    rate_hz: int
    samples: int
    size: int
    length_at: int
    """Where in the frame a Xing or Info header stands."""


LIKE_FLAC = "AAC of MPEG 2"
"""Its frames begin with the two bytes with which those of FLAC begin."""
AAC = ("AAC", LIKE_FLAC)


def any_byte(fits: Callable[[int], object]) -> bytes:
    """The pattern of one byte, any that fits."""
    return b"[%s]" % b"".join(re.escape(bytes([byte])) for byte in range(256) if fits(byte))


_MPEG_THIRD_BYTE = any_byte(lambda byte: byte >> 4 not in (0, 15) and byte >> 2 & 3 != 3)
_AAC_THIRD_BYTE = any_byte(lambda byte: byte >> 2 & 15 < 13)
THIRD_BYTE = dict.fromkeys(("MP3", "layer II"), _MPEG_THIRD_BYTE) | dict.fromkeys(AAC, _AAC_THIRD_BYTE) | {"AC-3": b""}
"""Patterns of what stands behind the two bytes with which frames of each kind begin."""


def frame_kind(head: bytes) -> str:
    """Of which stream these bytes may begin a frame: MP3, layer II, AAC, AAC of MPEG 2 or AC-3; empty where of none."""
    if head[:2] == b"\x0b\x77":
        return "AC-3"
    if len(head) < 2 or head[0] != 0xFF:
        return ""
    if head[1] & 0xE6 == 0xE2:
        return "MP3"
    if head[1] & 0xF6 == 0xF4:
        return "layer II"
    return {0xF0: "AAC", 0xF8: LIKE_FLAC}.get(head[1] & 0xFE, "")


def begins_frames(file: BinaryIO, at: int, end: int) -> bool:
    """Whether frames of one kind follow one another from a place on: five, or fewer up to the end."""
    kind = ""
    for number in range(_CHAIN):
        if at == end and number > 1:
            return True
        file.seek(at)
        header = file.read(_HEADER_BYTES)
        kind = kind or frame_kind(header)
        size = _frame_bytes(header) if frame_kind(header) == kind else None
        if size is None or at + size > end:
            return False
        at += size
    return True


def _frame_bytes(header: bytes) -> int | None:
    """How long the frame is that begins with these 7 bytes; None where they begin none."""
    kind = frame_kind(header)
    if not kind or len(header) < _HEADER_BYTES:
        return None
    if kind in AAC:
        size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
        return size if (header[2] >> 2 & 15) < 13 and size > _HEADER_BYTES else None
    if kind == "AC-3":
        return _ac3_bytes(header)
    frame = _mpeg_frame(header)
    return frame.size if frame else None


def _ac3_bytes(header: bytes) -> int | None:
    if header[5] >> 3 > 10:  # E-AC-3
        return 2 * ((header[2] & 7) << 8 | header[3]) + 2 if header[5] >> 3 <= 16 else None
    rate, code = header[4] >> 6, header[4] & 63
    if rate == 3 or code >= 2 * len(_AC3_KBITS):
        return None
    kbits = _AC3_KBITS[code // 2]
    return (4 * kbits, 2 * (kbits * 320 // 147 + code % 2), 6 * kbits)[rate]


def _mpeg_frame(header: bytes) -> Frame | None:
    """The frame of layer II or III that begins with these 4 bytes; None where there is none (free format included)."""
    version = header[1] >> 3 & 3  # 0: MPEG 2.5, 2: MPEG 2, 3: MPEG 1
    layer = 4 - (header[1] >> 1 & 3)
    rate_index, bits, mode = header[2] >> 2 & 3, header[2] >> 4, header[3] >> 6
    if version == 1 or rate_index == 3 or bits in (0, 15):
        return None
    rate_hz = _RATES_HZ[rate_index] >> {3: 0, 2: 1, 0: 2}[version]
    samples = 1152 if version == 3 or layer == 2 else 576
    kbits = (_KBITS_OF_LAYER[layer] if version == 3 else _KBITS_OF_MPEG_2)[bits]
    size = samples // 8 * 1000 * kbits // rate_hz + (header[2] >> 1 & 1)
    side = (17, 32)[mode != 3] if version == 3 else (9, 17)[mode != 3]
    return Frame(rate_hz, samples, size, 4 + side)


def _mp3_frame_at(data: bytes, at: int) -> Frame | None:
    header = data[at : at + 4]
    return _mpeg_frame(header) if len(header) == 4 and frame_kind(header) == "MP3" else None


def first_frame(file: BinaryIO, begin: int, within: int = _SEARCHED) -> tuple[int, Frame] | None:
    """The first frame of MP3 that another one follows, within so many bytes behind a place, and where it stands."""
    file.seek(begin)
    data = file.read(_SEARCHED)
    at = data.find(b"\xff")
    while 0 <= at < within:
        frame = _mp3_frame_at(data, at)
        if frame and _mp3_frame_at(data, at + frame.size):
            return begin + at, frame
        at = data.find(b"\xff", at + 1)
    return None


def promised_length(file: BinaryIO, begin: int, end: int) -> tuple[float | None, int]:
    """What the first frame of an MP3 promises: seconds, None where it does not tell, and how many bytes are missing."""
    found = first_frame(file, after_id3(file, begin))
    if found is None:
        return None, 0
    first, frame = found
    file.seek(first)
    data = file.read(256)
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
    return frames * frame.samples / frame.rate_hz if frames else None, size - (end - first) if size else 0


def begins_recording(file: BinaryIO, mark_at: int) -> int | None:
    """Where the frame begins whose Xing, Info or VBRI header stands at a place; None if it is no such frame."""
    for back in (36, 21, 13):
        if mark_at < back:
            continue
        file.seek(mark_at - back)
        data = file.read(back + 4)
        frame = _mp3_frame_at(data, 0)
        if frame and (frame.length_at == back or data[back:] == b"VBRI"):
            return mark_at - back
    return None
