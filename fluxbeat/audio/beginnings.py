"""Where files begin, at the start of a file or behind others: by marks, and so much behind each that it never stands
there by chance."""

from __future__ import annotations

import re
from typing import BinaryIO, TypeAlias

from fluxbeat.audio.frames import THIRD_BYTE, any_byte, begins_frames, begins_recording, first_frame, frame_kind
from fluxbeat.audio.source import HEAD_BYTES, after_id3, places

MOST_BEFORE_MP3 = 4096
"""Bytes between a tag and the first frame."""

Beginning: TypeAlias = tuple[bytes, bytes]
"""Bytes, two of them or more, and the pattern of what stands behind them."""

_BIT_3 = any_byte(lambda byte: byte & 8)
_SOUND: tuple[Beginning, ...] = (
    (b"OggS", rb"\0[\x02\x03\x06\x07].{22}"),  # flag 2: a page that begins a stream
    (b"fLaC", rb"[\x00\x80]\0\0\x22"),
    (b"RIFF", rb"....WAVE[ -~]{4}"),
    (b"RIFX", rb"....WAVE[ -~]{4}"),
    (b"RF64", rb"....WAVE[ -~]{4}"),
    (b"FORM", rb"....AIF[FC][ -~]{4}"),
    (b"riff", rb"\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0"),
    (b"caff", rb"\0\x01\0\0desc\0\0\0\0\0\0\0 "),
    (b"\x1a\x45\xdf\xa3", rb".{1,60}?\x42\x82[\x84-\x88](?:webm|matroska)"),
    (b".snd", rb"\0\0..(?:....)\0\0\0[\x01-\x1b]\0[\x00-\x0b]"),
    (b"dns.", rb"..\0\0(?:....)[\x01-\x1b]\0\0\0[\x00-\x0b]\0"),
    # all blocks of WavPack begin so: the first of a recording is at sample 0, holds samples, and begins a frame
    (b"wvpk", rb"....[\x02-\x10]\x04\0.{5}\0{4}(?!\0{4})....." + _BIT_3 + rb".."),
    (b"TTA1", rb"[\x01\x02]\0[\x01-\x10]\0[\x08\x10\x18\x20]\0"),
    (b"DSD ", rb"\x1c\0{7}.{16}fmt "),
    (b"#!AMR", rb"(?:-WB)?\n"),
    (b"\x30\x26\xb2\x75", rb"\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"),
)
_MP4: Beginning = (b"ftyp", rb"[0-9A-Za-z ]{4}")  # the size comes before
_MP3: tuple[Beginning, ...] = (
    (b"ID3", rb"[\x02-\x04].[\x00-\xff][\0-\x7f]{4}"),
    (b"Xing", rb"\0\0\0[\0-\x0f]"),
    (b"Info", rb"\0\0\0[\0-\x0f]"),
    (b"VBRI", rb"\0\x01"),
)
_FRAMES: tuple[Beginning, ...] = tuple(
    (mark, THIRD_BYTE[kind])
    for mark in (b"\x0b\x77", *(bytes([0xFF, second]) for second in range(256)))
    if (kind := frame_kind(mark))
)
_ARCHIVES: tuple[Beginning, ...] = (
    (b"PK\x03\x04", rb"[\x0a-\x3f]\0..[\0-\x63]\0"),
    (b"Rar!", rb"\x1a\x07"),
    (b"7z\xbc\xaf", rb"\x27\x1c"),
    (b"%PDF", rb"-[12]\."),
)
_ANY = (*_SOUND, _MP4, *_MP3, *_FRAMES, *_ARCHIVES)
_FIRST_TWO = {mark[:2] for mark, _ in _ANY}
"""Most places of a file are passed over by their first two bytes alone."""


def _any_of(*beginnings: Beginning) -> bytes:
    return b"|".join(re.escape(mark) + behind for mark, behind in beginnings)


_SOUND_HEAD = re.compile(_any_of(*_SOUND) + b"|....(?:%s)" % _any_of(_MP4), re.DOTALL)
_OTHER_HEAD = re.compile(
    _any_of(*_ARCHIVES) + rb"|TAG|APETAGEX|LYRICSBEGIN|ID3[\x02-\x04]|<\?xml|\x89PNG|\xff\xd8\xff", re.DOTALL
)
_BEGINNING = re.compile(_any_of(*_ANY), re.DOTALL)


def begins_sound(file: BinaryIO, at: int, end: int) -> bool:
    """Whether at this place, with or without a tag, a file of a known kind begins that goes on to `end` at most."""
    sound_at = after_id3(file, at)
    file.seek(sound_at)
    head = file.read(HEAD_BYTES)
    if _SOUND_HEAD.match(head) or begins_frames(file, sound_at, end):
        return True
    return sound_at > at and first_frame(file, sound_at, MOST_BEFORE_MP3) is not None


def begins_file(file: BinaryIO, at: int, end: int) -> bool:
    """Whether at this place sound, a tag, a picture or an archive begins."""
    file.seek(at)
    return _OTHER_HEAD.match(file.read(HEAD_BYTES)) is not None or begins_sound(file, at, end)


def next_file(file: BinaryIO, begin: int, end: int, own_frames: str = "", own_mark: bytes = b"") -> int:
    """Where, at or behind a place, the next file begins.

    Parameters
    ----------
    file : binary file
    begin, end : int
        Where to look.
    own_frames : str
        Kind of the frames that the recording there consists of: more of them are part of it.
    own_mark : bytes
        Where it is a container that may hold streams of other kinds: what only another such container begins with.

    Returns
    -------
    int
        `end` if there is none.
    """
    for mark_at, head in places(file, _BEGINNING, _FIRST_TWO, begin):
        if mark_at >= end:
            break
        at = _beginning(file, mark_at, head, end, own_frames) if head.startswith(own_mark) else None
        if at is not None and at >= begin:  # its mark need not stand where it begins
            return at
    return end


def _beginning(file: BinaryIO, mark_at: int, head: bytes, end: int, own_frames: str) -> int | None:
    """Where the file begins whose mark stands at a place; None where it only looks like one."""
    if kind := frame_kind(head):
        return mark_at if kind != own_frames and begins_frames(file, mark_at, end) else None
    if head.startswith(b"ftyp"):
        return mark_at - 4
    if head.startswith((b"Xing", b"Info", b"VBRI")):
        return begins_recording(file, mark_at)
    if not head.startswith(b"ID3"):
        return mark_at
    file.seek(after_id3(file, mark_at))
    kind = frame_kind(file.read(2))
    goes_on = kind == own_frames and kind not in ("", "MP3")
    return mark_at if not goes_on and begins_sound(file, mark_at, end) else None
