"""Where the file that begins at a place ends, where others of any kind may stand behind it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import BinaryIO, TypeAlias

from fluxbeat.audio.beginnings import MOST_BEFORE_MP3, begins_sound, next_file
from fluxbeat.audio.chunks import find_samples
from fluxbeat.audio.frames import LIKE_FLAC, first_frame, frame_kind
from fluxbeat.audio.source import HEAD_BYTES, after_id3

_MOST_ELEMENTS = 100_000
_ELEMENT_HEAD_BYTES = 27 + 255  # of a page of Ogg, the longest
_SIZE_UNKNOWN = 0
_BOX_NAME = re.compile(rb"[\xa9A-Za-z0-9 _-]{4}")
_MATROSKA, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_ASF_HEADER = b"\x30\x26\xb2\x75"
_ASF = re.compile(  # headers, sound, and indexes
    rb"\x30\x26\xb2\x75|\x36\x26\xb2\x75|\x90\x08\x00\x33|\xd3\x29\xe2\xd6|\xf8\x03\xb1\xfe|\xd0\x3f\xb7\x3c"
)

SizeOf: TypeAlias = Callable[[bytes], int | None]
"""How long the element is that begins with these bytes; None where none does, `_SIZE_UNKNOWN` where its size is not."""


def end_of_file(file: BinaryIO, begin: int, end: int) -> int:
    """Where the file that begins at a place ends.

    A container tells by its own structure. What goes on until something else begins, as MP3, FLAC and Ogg do, ends
    where another file begins; so does a container that does not tell, but only where another of its kind does.

    Parameters
    ----------
    file : binary file
    begin : int
        Where it begins, with an ID3 tag or without.
    end : int
        Where all files end: it is where those of unknown kinds are said to end.
    """
    sound_at = after_id3(file, begin)
    file.seek(sound_at)
    head = file.read(HEAD_BYTES)
    for pattern, size_of, mark in _CONTAINERS:
        if pattern.match(head):
            elements_end = _end_of_elements(file, sound_at, end, size_of, mark)
            return next_file(file, sound_at + 1, end, own_mark=mark) if elements_end is None else elements_end
    if samples := find_samples(file, sound_at, end):
        return next_file(file, sound_at + 1, end, own_mark=head[:4]) if samples.end is None else samples.end
    if not begins_sound(file, begin, end):
        return end
    behind_head, own_frames = sound_at + 1, frame_kind(head)
    may_be_mp3 = own_frames == "MP3" or (sound_at > begin and not own_frames)
    if head.startswith((b"fLaC", b"OggS")):
        own_frames = LIKE_FLAC
    if head.startswith(b"fLaC"):
        behind_head = _end_of_elements(file, sound_at + 4, end, _flac_block_size) or behind_head
    elif head.startswith(b"OggS"):
        behind_head = _end_of_elements(file, sound_at, end, _size_of_first_page) or behind_head
    elif may_be_mp3 and (frame := first_frame(file, sound_at, MOST_BEFORE_MP3)):
        behind_head, own_frames = frame[0] + frame[1].size, "MP3"
    next_at = next_file(file, behind_head, end, own_frames)
    return _end_of_last_page(file, behind_head, next_at) if head.startswith(b"OggS") else next_at


def _end_of_elements(file: BinaryIO, begin: int, end: int, size_of: SizeOf, mark: bytes | None = None) -> int | None:
    """Behind the last of the elements that stand one behind another from a place on.

    An element with the mark, if there is one, begins the next file. None where that is not told: there is no element,
    or one does not tell its size, or they are too many to walk through.
    """
    at = begin
    for _ in range(_MOST_ELEMENTS):
        if at >= end:
            return end
        file.seek(at)
        header = file.read(_ELEMENT_HEAD_BYTES)
        begins_next = at > begin and mark is not None and mark in header[:8]
        size = None if begins_next else size_of(header)
        if size is None:
            return at if at > begin else None
        if size == _SIZE_UNKNOWN:
            return None
        at += size
    return None


def _box_size(header: bytes) -> int | None:
    """Of MP4 and its kin."""
    if len(header) < 16 or not _BOX_NAME.match(header, 4):
        return None
    size = int.from_bytes(header[:4], "big")
    if size == 1:
        size = int.from_bytes(header[8:16], "big")
    return size if size >= 8 or size == _SIZE_UNKNOWN else None


def _matroska_size(header: bytes) -> int | None:
    """Of Matroska and WebM: of a short header and the segment that holds all else."""
    if not header.startswith(_MATROSKA):
        return None
    before, segment, number = header.partition(_SEGMENT)
    digits = 9 - number[0].bit_length() if number else 9
    size = int.from_bytes(number[:digits], "big") - (1 << 7 * digits)
    is_known = digits < 9 and size < (1 << 7 * digits) - 1
    return len(before + segment) + digits + size if is_known else _SIZE_UNKNOWN


def _asf_size(header: bytes) -> int | None:
    """Of the objects of WMA; a stream that was recorded does not tell it."""
    if len(header) < 24 or not _ASF.match(header):
        return None
    size = int.from_bytes(header[16:24], "little")
    return size if size >= 24 else _SIZE_UNKNOWN


def _flac_block_size(header: bytes) -> int | None:
    """Of what stands before the sound of FLAC: tags and pictures."""
    return None if len(header) < 4 or header[0] == 0xFF else 4 + int.from_bytes(header[1:4], "big")


def _size_of_page(header: bytes) -> int | None:
    """Of the pages of Ogg."""
    if len(header) < 27 or not header.startswith(b"OggS\0"):
        return None
    return 27 + header[26] + sum(header[27 : 27 + header[26]])


def _size_of_first_page(header: bytes) -> int | None:
    """Of the pages of Ogg that begin streams: they stand together where streams sound together."""
    return _size_of_page(header) if header[5:6] and header[5] & 2 else None


def _end_of_last_page(file: BinaryIO, begin: int, end: int) -> int:
    """Where the last page of Ogg that begins between two places ends; the second of them where none does."""
    behind = end
    while behind > begin:
        first = max(begin, behind - 2**16)
        file.seek(first)
        mark = file.read(behind - first + 4).rfind(b"OggS\0")  # it may stand across the edge
        if mark >= 0:
            file.seek(first + mark)
            size = _size_of_page(file.read(27 + 255))
            return end if size is None else min(first + mark + size, end)
        behind = first
    return end


_CONTAINERS = (
    # how it begins, the size of its elements, and what stands in the first eight bytes of the first of them alone
    (re.compile(rb"....ftyp", re.DOTALL), _box_size, b"ftyp"),
    (re.compile(re.escape(_MATROSKA)), _matroska_size, _MATROSKA),
    (re.compile(re.escape(_ASF_HEADER)), _asf_size, _ASF_HEADER),
)
