"""Recordings that stand one after another in one file: joined with `cat`, chained in Ogg, recorded off the radio."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from fluxbeat.audio.mpeg_frames import LENGTH_MARK, begins_recording, first_frame, is_mp3_frame
from fluxbeat.audio.source import after_id3, before_tags, places, syncsafe

_MOST_PARTS = 1000
_MOST_BOXES = 100_000


@dataclass(frozen=True)
class Part:
    """Where one recording lies in a file: bytes from `begin` up to `end`."""

    begin: int
    end: int


@dataclass(frozen=True)
class _Kind:
    """How a file of a kind begins, and how another one of the same kind does within it: with one of `marks`, and so
    much behind it that it never stands there by chance."""

    head: re.Pattern[bytes]
    marks: tuple[bytes, ...]
    again: re.Pattern[bytes]


def _kind(head: bytes, marks: tuple[bytes, ...], again: bytes) -> _Kind:
    return _Kind(re.compile(head, re.DOTALL), marks, re.compile(again, re.DOTALL))


_BIT_3 = b"[" + b"".join(re.escape(bytes([byte])) for byte in range(256) if byte & 8) + b"]"
_KINDS = (
    _kind(rb"OggS", (b"OggS",), rb"OggS\0[\x02\x03\x06\x07].{22}"),  # flag 2: a page that begins a stream
    _kind(rb"fLaC", (b"fLaC",), rb"fLaC[\x00\x80]\x00\x00\x22"),
    _kind(rb"R(?:IFF|IFX|F64)....WAVE", (b"RIFF", b"RIFX", b"RF64"), rb"R.......WAVE(?:fmt |ds64|JUNK|bext)"),
    _kind(rb"FORM....AIF[FC]", (b"FORM",), rb"FORM....AIF[FC](?:COMM|FVER)"),
    _kind(rb"riff\x2e\x91", (b"riff\x2e\x91",), rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"),
    _kind(rb"caff\0\x01", (b"caff\0",), rb"caff\0\x01\0\0desc\0\0\0\0\0\0\0 "),
    _kind(rb"\x1a\x45\xdf\xa3", (b"\x1a\x45\xdf\xa3",), rb".{5,64}?\x42\x82[\x84-\x88](?:webm|matroska)"),
    _kind(rb"\.snd", (b".snd",), rb"\.snd\0\0..(?:....)\0\0\0[\x01-\x1b]\0[\x00-\x0b]"),
    # all blocks of WavPack begin so: the first of a recording is at sample 0, holds samples, and begins a frame
    _kind(rb"wvpk", (b"wvpk",), rb"wvpk....[\x02-\x10]\x04\0.{5}\0{4}(?!\0{4})....." + _BIT_3 + rb".."),
    _kind(rb"TTA1", (b"TTA1",), rb"TTA1[\x01\x02]\0[\x01-\x10]\0[\x08\x10\x18\x20]\0"),
    _kind(rb"DSD ", (b"DSD ",), rb"DSD \x1c\0{7}.{16}fmt "),
    _kind(rb"#!AMR", (b"#!AMR",), rb"#!AMR(?:-WB)?\n"),
    _kind(rb"\x30\x26\xb2\x75", (b"\x30\x26\xb2\x75",), rb"....\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"),
)
_MP3_MARKS = (b"ID3", b"Xing\0", b"Info\0", b"VBRI\0")
_MP3 = re.compile(rb"ID3[\x02-\x04].[\x00-\xff][\0-\x7f]{4}|" + LENGTH_MARK.pattern, re.DOTALL)


def parts_of(file: BinaryIO) -> list[Part]:
    """The recordings in an open file, in their order: one but where several are joined. Tags at an end are none."""
    file.seek(0, 2)
    size = file.tell()
    sound_at = after_id3(file)
    file.seek(sound_at)
    head = file.read(16)
    begins = [0]
    for begin in _further(file, head, sound_at):
        if begin > begins[-1] and len(begins) < _MOST_PARTS:
            begins.append(begin)
    ends = zip(begins, [*begins[1:], size], strict=True)
    return [Part(begin, before_tags(file, begin, end)) for begin, end in ends]


def _further(file: BinaryIO, head: bytes, sound_at: int) -> Iterator[int]:
    """Where, behind the first recording, others begin."""
    if head[4:8] == b"ftyp":
        yield from _mp4_files(file)
        return
    for kind in _KINDS:
        if kind.head.match(head):
            found = places(file, kind.marks, kind.again, sound_at)
            yield from _ogg_links(found) if head[:4] == b"OggS" else (at for at, _ in found if at > sound_at)
            return
    if sound_at or is_mp3_frame(head):
        yield from _mp3_files(file, sound_at)


def _ogg_links(first_pages: Iterator[tuple[int, bytes]]) -> Iterator[int]:
    """Pages that begin a stream stand together where streams sound together, and alone where a new link begins."""
    expected = -1
    for number, (at, page) in enumerate(first_pages):
        if number and at != expected:
            yield at
        # such a page holds one packet of less than 255 bytes: one entry in its table, which is its length
        expected = at + 28 + page[27] if page[26] == 1 else -1


def _mp3_files(file: BinaryIO, sound_at: int) -> Iterator[int]:
    """Where a tag (ID3v2) or a frame that tells a length stands behind frames of sound."""
    first = first_frame(file, sound_at)
    if first is None:
        return
    first_at, frame = first
    tag_at, tag_end = -1, -1
    for at, found in list(places(file, _MP3_MARKS, _MP3, first_at + frame.size)):
        if at < tag_end:
            continue  # a letter or a picture within a tag
        if found.startswith(b"ID3"):
            end = at + 10 + syncsafe(found[6:10])
            behind = first_frame(file, end)
            if behind and behind[0] - end < 4096:
                tag_at, tag_end = at, max(end, behind[0] + 4)
                yield at
        elif (begin := begins_recording(file, at)) is not None and not tag_at < begin < tag_end:
            yield begin


def _mp4_files(file: BinaryIO) -> Iterator[int]:
    """Where a box `ftyp` stands behind others: of each file it is the first."""
    at = 0
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
        if kind == b"ftyp" and at:
            yield at
        at += size
