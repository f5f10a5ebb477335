"""Recordings that stand one after another in one file: joined with `cat`, chained in Ogg, recorded off the radio."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from typing import BinaryIO

from fluxbeat.audio.beginnings import ARCHIVES, BOXES, KINDS, begins_sound
from fluxbeat.audio.ends import told_end
from fluxbeat.audio.mpeg_frames import LENGTH_MARK, begins_recording, first_frame, is_mp3_frame
from fluxbeat.audio.raw_frames import find_frames
from fluxbeat.audio.source import after_id3, before_tags, places, syncsafe

_MOST_PARTS = 1000
_MOST_BOXES = 100_000
_MOST_BLOCKS = 10_000
_MOST_TAGS = 20
_LEAST_UNHEARD = 1024  # bytes; fewer hold no sound


@dataclass(frozen=True)
class Part:
    """Where one recording lies in a file: bytes from `begin` up to `end`, and how many behind are neither sound nor
    tags."""

    begin: int
    end: int
    unheard: int = 0


_MP3_MARKS = (b"ID3", b"Xing\0", b"Info\0", b"VBRI\0")
_MP3 = re.compile(rb"ID3[\x02-\x04].[\x00-\xff][\0-\x7f]{4}|" + LENGTH_MARK.pattern, re.DOTALL)


def parts_of(file: BinaryIO) -> list[Part]:
    """The recordings in an open file, in their order: one but where several are joined. Tags at an end are none."""
    file.seek(0, 2)
    size = file.tell()
    parts: list[Part] = []
    tags_at = before_tags(file, 0, size)
    begin, unheard = 0, 0
    while begin < tags_at and not unheard and len(parts) < _MOST_PARTS:
        sound_at = after_id3(file, begin)
        file.seek(sound_at)
        head = file.read(16)
        end = _end(file, head, sound_at, tags_at, size)
        begins = [begin]
        for further in _further(file, head, begin, sound_at, end):
            if further > begins[-1] and len(parts) + len(begins) < _MOST_PARTS:
                begins.append(further)
        end = _stranger(file, head, sound_at, begins, end)
        begins = [first for first in begins if first < end]
        ends = zip(begins, [*begins[1:], end], strict=True)
        parts += [Part(first, before_tags(file, first, last)) for first, last in ends]
        begin, unheard = _next_sound(file, end, tags_at)
    if not parts:
        return [Part(0, size)]
    return [*parts[:-1], replace(parts[-1], unheard=unheard)]


def _end(file: BinaryIO, head: bytes, sound_at: int, tags_at: int, size: int) -> int:
    """Where what begins at a place with this head ends, and a file of another kind may begin."""
    end = told_end(file, sound_at, tags_at)
    if end is None:
        end = _other_file(file, head, sound_at, tags_at)
    return size if end >= tags_at else end


def _stranger(file: BinaryIO, head: bytes, sound_at: int, begins: list[int], end: int) -> int:
    """Where a file of another kind stands between several of one kind that does not tell its end; the end if none
    does."""
    for first, following in pairwise(begins):
        begin = max(first, sound_at)
        if told_end(file, begin, before_tags(file, begin, following)) is None:
            other = _other_file(file, head, begin, following)
            if other < following:
                return other
    return end


def _other_file(file: BinaryIO, head: bytes, sound_at: int, end: int) -> int:
    """Where, behind a stream that does not tell its end, a file of another kind begins; the end if there is none."""
    others = [kind for kind in (*KINDS, BOXES, ARCHIVES) if not kind.head.match(head)]
    marks = [mark for kind in others for mark in kind.marks]
    pattern = re.compile(b"|".join(b"(?:%s)" % kind.again.pattern for kind in others), re.DOTALL)
    begin = _behind_cover(file, sound_at) if head[:4] == b"fLaC" else sound_at + 1
    found = next(((at, text) for at, text in places(file, marks, pattern, begin)), None)
    other = min(end if found is None else found[0] - (4 if found[1].startswith(b"ftyp") else 0), end)
    other = find_frames(file, head, begin, other)
    return other if is_mp3_frame(head) else next(_mp3_files(file, begin, other), other)


def _behind_cover(file: BinaryIO, begin: int) -> int:
    """Where the sound of FLAC begins, behind its tags and pictures."""
    at = begin + 4
    for _ in range(_MOST_BLOCKS):
        file.seek(at)
        header = file.read(4)
        at += 4 + int.from_bytes(header[1:], "big")
        if len(header) < 4 or header[0] & 0x80:
            break
    return at


def _next_sound(file: BinaryIO, at: int, end: int) -> tuple[int, int]:
    """Where behind a place the next sound begins, and how many bytes lie there that are neither sound nor tags.

    One of them: it is the end where there is none, or they are 0.
    """
    begin, tags = at, 0
    while at < end and tags < _MOST_TAGS:
        for place in {max(begin, at - 3), at}:  # the size with which MP4 begins may have three bytes of 0
            if begins_sound(file, place, end):
                return place, 0
        file.seek(at)
        block = file.read(min(end - at, 2**16))
        zeros = len(block) - len(block.lstrip(b"\0"))
        behind = at + zeros if zeros else after_id3(file, at)
        tags += not zeros
        if behind == at:
            break
        at = behind
    return end, end - at if end - at > _LEAST_UNHEARD else 0


def _further(file: BinaryIO, head: bytes, begin: int, sound_at: int, end: int) -> Iterator[int]:
    """Where, behind the first recording and before a place, others of its kind begin."""
    if head[4:8] == b"ftyp":
        yield from (at for at in _mp4_files(file, sound_at) if at < end)
        return
    for kind in KINDS:
        if kind.head.match(head):
            found = _before(end, places(file, kind.marks, kind.again, sound_at))
            yield from _ogg_links(found) if head[:4] == b"OggS" else (at for at, _ in found if at > sound_at)
            return
    if sound_at > begin or is_mp3_frame(head):
        first = first_frame(file, sound_at)
        if first:
            yield from _mp3_files(file, first[0] + first[1].size, end)


def _before(end: int, found: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    return takewhile(lambda place: place[0] < end, found)


def _ogg_links(first_pages: Iterator[tuple[int, bytes]]) -> Iterator[int]:
    """Pages that begin a stream stand together where streams sound together, and alone where a new link begins."""
    expected = -1
    for number, (at, page) in enumerate(first_pages):
        if number and at != expected:
            yield at
        # such a page holds one packet of less than 255 bytes: one entry in its table, which is its length
        expected = at + 28 + page[27] if page[26] == 1 else -1


def _mp3_files(file: BinaryIO, begin: int, end: int) -> Iterator[int]:
    """Where a tag (ID3v2) or a frame that tells a length stands behind other sound."""
    tag_at, tag_end = -1, -1
    for at, found in _before(end, places(file, _MP3_MARKS, _MP3, begin)):
        if at < tag_end:
            continue  # a letter or a picture within a tag
        if found.startswith(b"ID3"):
            behind_tag = at + 10 + syncsafe(found[6:10])
            behind = first_frame(file, behind_tag)
            if behind and behind[0] - behind_tag < 4096:
                tag_at, tag_end = at, max(behind_tag, behind[0] + 4)
                yield at
        elif (frame_at := begins_recording(file, at)) is not None and not tag_at < frame_at < tag_end:
            yield frame_at


def _mp4_files(file: BinaryIO, begin: int) -> Iterator[int]:
    """Where a box `ftyp` stands behind others: of each file it is the first."""
    at = begin
    for _ in range(_MOST_BOXES):
        file.seek(at)
        header = file.read(16)
        if len(header) < 8:
            return
        size, kind = struct.unpack_from(">I4s", header)
        if size == 1 and len(header) == 16:
            (size,) = struct.unpack_from(">Q", header, 8)
        if size < 8:
            return
        if kind == b"ftyp" and at > begin:
            yield at
        at += size
