"""The list of words in a WAV file (RIFF INFO) that players read beside ID3."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from typing import BinaryIO

_MOST_CHUNKS = 10_000
_LARGEST_LIST = 2**24


def replace_words(file: BinaryIO, words: Mapping[bytes, str]) -> None:
    """Give words that stand in the lists of a WAV file another text; those that do not stand there are not added.

    Parameters
    ----------
    file : binary file
        Open for reading and writing, with sizes in its header that are true. The samples stay where they are.
    words : mapping of bytes to str
        New text by the word's mark, such as `IGNR`.
    """
    for at, content in list(_lists(file)):
        entries = [(mark, _with_end(words[mark]) if mark in words else text) for mark, text in _entries(content)]
        changed = b"INFO" + b"".join(_chunk(mark, text) for mark, text in entries)
        if changed != content:
            _move_to_end(file, at, changed)


def chunks(file: BinaryIO, order: str = "<") -> Iterator[tuple[bytes, int, int]]:
    """Mark, place of the content and size of each chunk of WAV, or with the order `>` of AIFF."""
    at = 12
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        header = file.read(8)
        if len(header) < 8:
            return
        mark, size = struct.unpack(f"{order}4sI", header)
        yield mark, at + 8, size
        at += 8 + size + size % 2


def _lists(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Where each list of words begins, and what is in it."""
    end = file.seek(0, os.SEEK_END)
    for mark, place, size in chunks(file):
        if mark == b"LIST" and size <= min(_LARGEST_LIST, end - place):
            file.seek(place)
            content = file.read(size)
            if content[:4] == b"INFO":
                yield place - 8, content


def _entries(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Mark and text of each word."""
    at = 4
    while at + 8 <= len(content):
        mark, size = struct.unpack_from("<4sI", content, at)
        if mark != b"\0\0\0\0":
            yield mark, content[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _move_to_end(file: BinaryIO, at: int, content: bytes) -> None:
    file.seek(at)
    file.write(b"JUNK")
    end = file.seek(0, os.SEEK_END)
    file.write(bytes(end % 2) + _chunk(b"LIST", content))
    size = file.seek(0, os.SEEK_END) - 8
    file.seek(4)
    file.write(struct.pack("<I", size))


def _chunk(mark: bytes, content: bytes) -> bytes:
    return mark + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def _with_end(text: str) -> bytes:
    return text.encode() + b"\0"
