"""Tags beside those that are written: one file may have several, and what they say of genre and tempo would be old.

A FLAC begins with ID3 now and then, an MP3 has two of its tags or one at its end, a WAV two chunks for them and in a
third the tempo of a loop.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from mutagen.id3 import ID3, BitPaddedInt, ID3NoHeaderError

from fluxbeat.export.riff_info import chunks

GENRE_NAMES = frozenset({"genre", "genres"})
TEMPO_NAMES = frozenset({"bpm", "fbpm", "tbpm", "tempo"})
"""Free texts, in small letters, in which programs keep what has a field of its own."""
_LARGEST_TAG = 2**26
_ONE_SHOT = 1
"""Flag of a sound that is no loop: its tempo means nothing."""


def forget_in_id3(file: BinaryIO, genre: bool, tempo: bool) -> None:
    """Take genre and tempo out of every ID3v2 tag of a file; each keeps its place, its size and all else.

    Parameters
    ----------
    file : binary file
        Open for reading and writing.
    genre, tempo : bool
        What is to be forgotten.
    """
    for at, size in list(_id3_tags(file)):
        file.seek(at)
        try:
            tags = ID3(io.BytesIO(file.read(size)), translate=False)
        except ID3NoHeaderError:
            continue
        version = 4 if tags.version >= (2, 4, 0) else 3
        if tags.version < (2, 3, 0):
            tags.update_to_v23()
        if not without_doubles(tags, genre, tempo):
            continue
        shorter = io.BytesIO()
        tags.save(shorter, v2_version=version, padding=lambda info: 0)
        content = shorter.getvalue()[10:]
        if 10 + len(content) <= size:
            file.seek(at)
            file.write(b"ID3" + bytes([version, 0, 0]) + _as_syncsafe(size - 10) + content.ljust(size - 10, b"\0"))


def without_doubles(tags: Any, genre: bool, tempo: bool) -> bool:
    """Delete the frames of genre and tempo, and free texts of these names; whether there were any."""
    names = (GENRE_NAMES if genre else frozenset[str]()) | (TEMPO_NAMES if tempo else frozenset[str]())
    fields = (["TCON"] if genre else []) + (["TBPM"] if tempo else [])
    keys = [frame.HashKey for frame in tags.getall("TXXX") if frame.desc.casefold() in names]
    keys += [frame.HashKey for name in fields for frame in tags.getall(name)]
    for key in keys:
        del tags[key]
    return bool(keys)


def set_loop_tempo(file: BinaryIO, bpm: float) -> None:
    """Give a WAV file that is a loop its tempo where the makers of loops keep it (chunk `acid`)."""
    for mark, at, size in list(chunks(file, "<")):
        if mark != b"acid" or size < 24:
            continue
        file.seek(at)
        (flags,) = struct.unpack("<I", file.read(4))
        if not flags & _ONE_SHOT:
            file.seek(at + 20)
            file.write(struct.pack("<f", bpm))


def _id3_tags(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Where each ID3v2 tag begins, and how many bytes it has without a footer."""
    end = file.seek(0, os.SEEK_END)
    at = 0
    while size := _id3_size(file, at, end):
        yield at, size
        at += size
    file.seek(0)
    head = file.read(12)
    if head[:4] in (b"RIFF", b"FORM"):
        for mark, place, length in chunks(file, "<" if head[:4] == b"RIFF" else ">"):
            if mark.upper() == b"ID3 " and 0 < (size := _id3_size(file, place, end)) <= length:
                yield place, size
    for last in (end, end - 128):  # one may stand at the end, before ID3v1
        file.seek(max(last - 10, 0))
        footer = file.read(10)
        begin = last - 20 - int(BitPaddedInt(footer[6:10])) if footer[:3] == b"3DI" else 0
        if begin > at and (size := _id3_size(file, begin, end)):
            yield begin, size


def _id3_size(file: BinaryIO, at: int, end: int) -> int:
    """Bytes of the ID3v2 tag at a place, without a footer; 0 where there is none."""
    file.seek(at)
    header = file.read(10)
    if len(header) < 10 or header[:3] != b"ID3" or not 2 <= header[3] <= 4 or max(header[6:10]) > 127:
        return 0
    size = 10 + int(BitPaddedInt(header[6:10]))
    return size if size <= min(end - at, _LARGEST_TAG) else 0


def _as_syncsafe(number: int) -> bytes:
    return bytes(number >> shift & 127 for shift in (21, 14, 7, 0))
