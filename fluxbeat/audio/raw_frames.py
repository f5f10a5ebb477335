"""Streams that are nothing but frames: AAC in ADTS, AC-3, E-AC-3, and layer II of MPEG; where they begin."""

from __future__ import annotations

import re
from typing import BinaryIO

from fluxbeat.audio.source import places

HEADER_BYTES = 7
_CHAIN = 5
"""So many frames in a row, each where the one before ends, stand nowhere by chance."""
_MARKS = (
    b"\xff\xf0", b"\xff\xf1", b"\xff\xf8", b"\xff\xf9",  # AAC
    b"\x0b\x77",  # AC-3
    b"\xff\xf4", b"\xff\xf5", b"\xff\xfc", b"\xff\xfd",  # layer II
)  # fmt: skip
_HEADER = re.compile(rb"(?:\xff[\xf0\xf1\xf8\xf9\xf4\xf5\xfc\xfd]|\x0b\x77).{5}", re.DOTALL)
_AC3_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_MPEG_RATES_HZ = (44_100, 48_000, 32_000)
_LAYER_2_KBITS = {
    1: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def frame_bytes(header: bytes) -> int | None:
    """How long the frame is that begins with these 7 bytes; None where they begin no frame of these kinds."""
    if len(header) < HEADER_BYTES:
        return None
    kind = _kind_of(header)
    if kind == "AC-3":
        return _ac3_bytes(header)
    if kind == "AAC":
        return _aac_bytes(header)
    return _layer_2_bytes(header) if kind else None


def _aac_bytes(header: bytes) -> int | None:
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return size if (header[2] >> 2 & 15) < 13 and size > HEADER_BYTES else None


def _ac3_bytes(header: bytes) -> int | None:
    if header[5] >> 3 > 10:  # E-AC-3
        return 2 * ((header[2] & 7) << 8 | header[3]) + 2 if header[5] >> 3 <= 16 else None
    rate, code = header[4] >> 6, header[4] & 63
    if rate == 3 or code >= 2 * len(_AC3_KBITS):
        return None
    kbits = _AC3_KBITS[code // 2]
    return (4 * kbits, 2 * (kbits * 320 // 147 + code % 2), 6 * kbits)[rate]


def _layer_2_bytes(header: bytes) -> int | None:
    bits, rate = header[2] >> 4, header[2] >> 2 & 3
    if rate == 3 or bits in (0, 15):
        return None
    version = 1 if header[1] & 8 else 2
    return 144_000 * _LAYER_2_KBITS[version][bits] // (_MPEG_RATES_HZ[rate] // version) + (header[2] >> 1 & 1)


def begins_frames(file: BinaryIO, at: int, end: int) -> bool:
    """Whether frames of one of these kinds follow one another from a place on: five, or fewer up to the end."""
    kind = ""
    for number in range(_CHAIN):
        if at == end and number > 1:
            return True
        file.seek(at)
        header = file.read(HEADER_BYTES)
        size, before = frame_bytes(header), kind
        kind = _kind_of(header)
        if size is None or at + size > end or before not in ("", kind):
            return False
        at += size
    return True


def find_frames(file: BinaryIO, head: bytes, begin: int, end: int) -> int:
    """Where behind a place the first frame stands of another of these kinds than the file begins with.

    Parameters
    ----------
    file : binary file
    head : bytes
        How the file begins.
    begin, end : int
        Where to look.

    Returns
    -------
    int
        `end` if there is none.
    """
    for at, header in places(file, _MARKS, _HEADER, begin):
        if at >= end:
            break
        if _kind_of(header) != _kind_of(head) and begins_frames(file, at, end):
            return at
    return end


def _kind_of(header: bytes) -> str:
    """Of a frame, by its first two bytes."""
    if header[:2] == b"\x0b\x77":
        return "AC-3"
    if len(header) < 2 or header[0] != 0xFF:
        return ""
    return {0xF0: "AAC", 0xF4: "layer II"}.get(header[1] & 0xF6, "")
