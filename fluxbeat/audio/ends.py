"""Where the file that begins at a place ends, where others of any kind may stand behind it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import BinaryIO

from fluxbeat.audio.beginnings import begins_sound
from fluxbeat.audio.chunks import end_of_chunks
from fluxbeat.audio.mpeg_frames import frame_at, is_mp3_frame
from fluxbeat.audio.source import places

_MOST_STEPS, _MOST_PAGES, _MOST_GAPS = 100_000, 1_000_000, 100
_BOX_NAME = re.compile(rb"[\xa9A-Za-z0-9 _-]{4}")
_SEGMENT = b"\x18\x53\x80\x67"  # of Matroska, which holds all but a short header
_ASF_OBJECTS = (  # headers, sound, and indexes, by the first half of their names
    bytes.fromhex("3026b2758e66cf11"), bytes.fromhex("3626b2758e66cf11"), bytes.fromhex("90080033b1e5cf11"),
    bytes.fromhex("d329e2d6da35d111"), bytes.fromhex("f803b1fead12644c"), bytes.fromhex("d03fb73c4a0c0348"),
)  # fmt: skip
_LARGEST_FRAME, _LARGEST_BLOCK = 2**16, 2**20  # bytes, of FLAC and WavPack
_MOST_BEGINNINGS = 8  # of a frame of FLAC, most of which only look like one
_TAIL = 2**13


def told_end(file: BinaryIO, begin: int, size: int) -> int | None:
    """Where the file that begins at a place ends, by its own structure.

    Parameters
    ----------
    file : binary file
    begin : int
        Where it begins, behind an ID3 tag if there is one.
    size : int
        Where the whole file ends.

    Returns
    -------
    int or None
        `size` where it may go on to the end; None where its kind does not tell, so that only the beginning of another
        file can.
    """
    file.seek(begin)
    head = file.read(16)
    for pattern, end_of in _STRUCTURED:
        if pattern.match(head):
            return end_of(file, begin, size)
    if _STREAMS.match(head) and not _ends_with_its_own_frame(file, head, begin, size):
        return None
    return size


def _end_of_pages(file: BinaryIO, at: int, size: int) -> int:
    """Of Ogg: behind the last page."""
    begin, gaps = at, 0
    for _ in range(_MOST_PAGES):
        file.seek(at)
        header = file.read(282)
        if header[:5] != b"OggS\0" or len(header) < 27:
            if at == begin:
                return size  # not even one page: nothing tells where it ends
            gaps += 1
            if begins_sound(file, at, size):
                return at
            if gaps > _MOST_GAPS:
                return size
            further = next(places(file, (b"OggS",), re.compile(rb"OggS\0[\0-\x07].{21}", re.DOTALL), at), None)
            if further is None:
                return min(at, size)
            at = further[0]
            continue
        at += 27 + header[26] + sum(header[27 : 27 + header[26]])
        if at >= size:
            break
    return size


def _end_of_boxes(file: BinaryIO, at: int, size: int) -> int:
    """Of MP4 and its kin, several of which may stand one after another."""
    for _ in range(_MOST_STEPS):
        file.seek(at)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if len(header) < 8 or not _BOX_NAME.match(header, 4):
            break
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        if length < 8:  # 0: it goes on to the end
            return at if length else size
        at += length
        if at >= size:
            return size
    else:
        return size
    return at


def _end_of_segment(file: BinaryIO, at: int, size: int) -> int:
    """Of Matroska and WebM: of a header and one segment."""
    for _ in range(2):
        file.seek(at)
        head = file.read(12)
        is_segment = head[:4] == _SEGMENT
        digits = 9 - head[4].bit_length() if len(head) == 12 and head[4] else 0
        if not digits:
            return size
        length = int.from_bytes(head[4 : 4 + digits], "big") - (1 << 7 * digits)
        if length == (1 << 7 * digits) - 1:  # untold
            return size
        at += 4 + digits + length
        if is_segment:
            break
    return min(at, size)


def _end_of_objects(file: BinaryIO, at: int, size: int) -> int:
    """Of WMA: behind the last object of a kind that stands at the top."""
    for _ in range(_MOST_STEPS):
        file.seek(at)
        header = file.read(24)
        length = int.from_bytes(header[16:], "little")
        if header[:8] not in _ASF_OBJECTS:
            break
        if length < 24:  # a stream that was recorded does not tell
            return size
        at += length
    return min(at, size)


def _ends_with_its_own_frame(file: BinaryIO, head: bytes, begin: int, end: int) -> bool:
    """Whether what ends at a place is FLAC, MP3 or WavPack, so that no other file need be looked for."""
    if head[:4] == b"fLaC":
        file.seek(begin + 4)
        told = file.read(18)
        largest = min(int.from_bytes(told[11:14], "big") or _LARGEST_FRAME, _LARGEST_FRAME)
        return _is_end_of_flac(_tail(file, begin, end, largest))
    if head[:4] == b"wvpk":
        tail = _tail(file, begin, end, _LARGEST_BLOCK)
        at = tail.rfind(b"wvpk")
        return at >= 0 and at + 8 + int.from_bytes(tail[at + 4 : at + 8], "little") >= len(tail)
    if not is_mp3_frame(head):
        return False
    tail = _tail(file, begin, end, _TAIL)
    at = tail.find(b"\xff")
    while at >= 0:
        if _frames_reach_the_end(tail, at):
            return True
        at = tail.find(b"\xff", at + 1)
    return False


def _tail(file: BinaryIO, begin: int, end: int, most: int) -> bytes:
    first = max(begin, end - most)
    file.seek(first)
    return file.read(end - first)


def _is_end_of_flac(tail: bytes) -> bool:
    """Whether a frame ends here: the sum over all of it, with the two bytes that check it, is 0."""
    for match in list(re.finditer(rb"\xff[\xf8\xf9]", tail))[-_MOST_BEGINNINGS:]:
        total = 0
        for byte in tail[match.start() :]:
            total = (total << 8 & 0xFFFF) ^ _CRC_16[total >> 8 ^ byte]
        if total == 0:
            return True
    return False


def _frames_reach_the_end(tail: bytes, at: int) -> bool:
    for number in range(len(tail)):
        frame = frame_at(tail, at)
        if frame is None or not frame.size:
            return False
        at += frame.size
        if at + 4 > len(tail):
            return number >= 2 and at >= len(tail)
    return False


def _crc_16(byte: int) -> int:
    total = byte << 8
    for _ in range(8):
        total = (total << 1 ^ 0x8005 if total & 0x8000 else total << 1) & 0xFFFF
    return total


_CRC_16 = tuple(_crc_16(byte) for byte in range(256))
_STRUCTURED: tuple[tuple[re.Pattern[bytes], Callable[[BinaryIO, int, int], int]], ...] = (
    (re.compile(rb"R(?:IFF|IFX|F64)....WAVE|FORM....AIF[FC]", re.DOTALL), end_of_chunks),
    (re.compile(rb"riff\x2e\x91\xcf\x11|caff\0\x01|\.snd|dns\."), end_of_chunks),
    (re.compile(rb"OggS"), _end_of_pages),
    (re.compile(rb"....ftyp", re.DOTALL), _end_of_boxes),
    (re.compile(rb"\x1a\x45\xdf\xa3"), _end_of_segment),
    (re.compile(rb"\x30\x26\xb2\x75"), _end_of_objects),
)
_STREAMS = re.compile(rb"fLaC|wvpk|TTA1|#!AMR|\xff[\xe0-\xff]|\x0b\x77")  # these do not tell where they end
