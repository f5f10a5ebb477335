"""The bytes of a recording, in pieces; and what is found in them."""

from __future__ import annotations

import io
import os
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
from mutagen.id3 import BitPaddedInt

HEAD_BYTES = 128
"""By so many bytes it is told what begins at a place."""
_SCANNED_AT_ONCE = 2**18
_ID3V1_BYTES = 128


class BytePieces(io.RawIOBase):
    """Pieces of a file, read as if they were a file of their own, whose end can be brought about from any thread.

    Parameters
    ----------
    path : str
    pieces : sequence of (int, int)
        Where each begins and ends in the file.
    changed : sequence of (int, bytes)
        What to read in place of what stands there, by the place in the joined pieces.
    """

    def __init__(self, path: str, pieces: Sequence[tuple[int, int]], changed: Sequence[tuple[int, bytes]] = ()) -> None:
        super().__init__()
        self._file = io.FileIO(path)
        self._pieces = pieces
        self._changed = changed
        self._size = sum(end - begin for begin, end in pieces)
        self._at = 0
        self._ended = False

    def end(self) -> None:
        """From now on there is nothing more to read, which makes a decoder return."""
        self._ended = True

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Of one piece at a time: what reads must be buffered."""
        view = memoryview(buffer).cast("B")
        offset = self._at
        for begin, end in () if self._ended else self._pieces:
            if offset < end - begin:
                self._file.seek(begin + offset)
                count = self._file.readinto(view[: end - begin - offset])
                self._change(view[:count])
                self._at += count
                return count
            offset -= end - begin
        return 0

    def _change(self, read: memoryview) -> None:
        for at, content in self._changed:
            first, last = max(at, self._at), min(at + len(content), self._at + len(read))
            if first < last:
                read[first - self._at : last - self._at] = content[first - at : last - at]

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def places(
    file: BinaryIO, pattern: re.Pattern[bytes], first_two: Iterable[bytes], begin: int = 0
) -> Iterator[tuple[int, bytes]]:
    """Where a pattern of at most 128 bytes stands in a file, with the 128 bytes that stand there; in little memory.

    What stands within another match counts as well.

    Parameters
    ----------
    file : binary file
    pattern : compiled pattern
    first_two : iterable of bytes
        Two bytes each, with which the pattern can begin: others are passed over, many times as fast as by the pattern.
    begin : int
        Where to begin.
    """
    may_begin = np.zeros(2**16, bool)
    may_begin[[int.from_bytes(two, "little") for two in first_two]] = True
    at, kept = begin, b""
    while True:
        file.seek(at + len(kept))  # whoever takes a place may have looked elsewhere
        block = file.read(_SCANNED_AT_ONCE)
        if not block:
            return
        text = kept + block
        goes_on = len(block) == _SCANNED_AT_ONCE
        sure = len(text) - HEAD_BYTES if goes_on else len(text)  # a match that begins later may be cut short here
        pairs = (np.frombuffer(text, "<u2", (len(text) - odd) // 2, odd) for odd in (0, 1))
        found = [2 * np.flatnonzero(may_begin.take(pair)) + odd for odd, pair in enumerate(pairs)]
        for place in np.sort(np.concatenate(found)).tolist():
            if place >= sure:
                break
            if pattern.match(text, place):
                yield at + place, text[place : place + HEAD_BYTES]
        kept = text[max(sure, 0) :]
        at += len(text) - len(kept)


def after_id3(file: BinaryIO, begin: int = 0) -> int:
    """Where the sound of a recording that begins at a place begins: behind an ID3 tag, if there is one."""
    file.seek(begin)
    head = file.read(10)
    if len(head) < 10 or head[:3] != b"ID3":
        return begin
    return begin + 10 + int(BitPaddedInt(head[6:10]))


def before_tags(file: BinaryIO, begin: int, end: int) -> int:
    """Where the sound of a recording that ends at a place ends: before ID3v1, APEv2 and Lyrics3 tags, if there are any.

    Decoders of FLAC, WavPack and AC-3 take them for damage.
    """
    while end - begin >= 2 * _ID3V1_BYTES:
        file.seek(end - _ID3V1_BYTES)
        tail = file.read(_ID3V1_BYTES)
        size = 0
        if tail[:3] == b"TAG":
            size = _ID3V1_BYTES
        elif tail[-32:-24] == b"APETAGEX":
            counted, _, flags = struct.unpack_from("<III", tail, len(tail) - 20)
            size = counted + (32 if flags & 0x8000_0000 else 0)  # it does not count its header
        elif tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():
            size = int(tail[-15:-9]) + 15
        if not 0 < size < end - begin:
            break
        end -= size
    return end
