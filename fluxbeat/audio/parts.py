"""Recordings that stand one after another in one file: joined with `cat`, chained in Ogg, recorded off the radio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from fluxbeat.audio.beginnings import begins_sound, next_file
from fluxbeat.audio.ends import end_of_file
from fluxbeat.audio.source import after_id3, before_tags

_MOST_PARTS = 1000
_LEAST_UNREAD = 1024  # bytes; fewer hold no sound


@dataclass(frozen=True)
class Part:
    """Where one recording lies in a file: bytes from `begin` up to `end`."""

    begin: int
    end: int


def parts_of(file: BinaryIO) -> tuple[list[Part], int]:
    """The recordings in an open file, in their order: one but where several are joined. Tags at an end are none.

    Returns
    -------
    list of Part
    int
        How many bytes behind them are neither sound nor tags.
    """
    size = file.seek(0, 2)
    tags_at = before_tags(file, 0, size)
    parts: list[Part] = []
    begin = end = 0
    while begin < tags_at and len(parts) < _MOST_PARTS and (not parts or begins_sound(file, begin, tags_at)):
        end = end_of_file(file, begin, tags_at)
        if end <= begin:  # no part is empty
            end = tags_at
        parts.append(Part(begin, before_tags(file, begin, end)))
        begin = end if begins_sound(file, end, tags_at) else next_file(file, end, tags_at)
    return (parts, _unread_bytes(file, end, tags_at)) if parts else ([Part(0, size)], 0)


def _unread_bytes(file: BinaryIO, at: int, end: int) -> int:
    """How many bytes lie there that are no tag and more than zeros."""
    at = after_id3(file, at)
    file.seek(at)
    return end - at if end - at > _LEAST_UNREAD and file.read(2**16).strip(b"\0") else 0
