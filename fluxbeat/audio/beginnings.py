"""Where files begin, at the start of a file or behind others: by marks, and so much behind each that it never stands
there by chance."""

from __future__ import annotations

import re
from typing import BinaryIO

from fluxbeat.audio.frames import begins_frames, begins_recording, first_frame, frame_kind
from fluxbeat.audio.source import HEAD_BYTES, after_id3, places

MOST_BEFORE_MP3 = 4096
"""Bytes between a tag and the first frame."""

_BIT_3 = b"[" + b"".join(re.escape(bytes([byte])) for byte in range(256) if byte & 8) + b"]"
_SOUND = (
    rb"OggS\0[\x02\x03\x06\x07].{22}",  # flag 2: a page that begins a stream
    rb"fLaC[\x00\x80]\0\0\x22",
    rb"RIFF....WAVE[ -~]{4}",
    rb"RIFX....WAVE[ -~]{4}",
    rb"RF64....WAVE[ -~]{4}",
    rb"FORM....AIF[FC][ -~]{4}",
    rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0",
    rb"caff\0\x01\0\0desc\0\0\0\0\0\0\0 ",
    rb"\x1a\x45\xdf\xa3.{1,60}?\x42\x82[\x84-\x88](?:webm|matroska)",
    rb"\.snd\0\0..(?:....)\0\0\0[\x01-\x1b]\0[\x00-\x0b]",
    rb"dns\...\0\0(?:....)[\x01-\x1b]\0\0\0[\x00-\x0b]\0",
    # all blocks of WavPack begin so: the first of a recording is at sample 0, holds samples, and begins a frame
    rb"wvpk....[\x02-\x10]\x04\0.{5}\0{4}(?!\0{4})....." + _BIT_3 + rb"..",
    rb"TTA1[\x01\x02]\0[\x01-\x10]\0[\x08\x10\x18\x20]\0",
    rb"DSD \x1c\0{7}.{16}fmt ",
    rb"#!AMR(?:-WB)?\n",
    rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c",
)
_MP4 = rb"ftyp[0-9A-Za-z ]{4}"  # the size comes before
_MP3 = (rb"ID3[\x02-\x04].[\x00-\xff][\0-\x7f]{4}", rb"Xing\0\0\0[\0-\x0f]", rb"Info\0\0\0[\0-\x0f]", rb"VBRI\0\x01")
_FRAMES = (rb"\xff[\xe2\xe3\xea\xeb\xf0-\xf5\xf8-\xfd]", rb"\x0b\x77")
_ARCHIVES = (rb"PK\x03\x04[\x0a-\x3f]\0..[\0-\x63]\0", rb"Rar!\x1a\x07", rb"7z\xbc\xaf\x27\x1c", rb"%PDF-[12]\.")
# The first two bytes of all of these: most places of a file are passed over by them alone.
_FIRST_TWO = (
    *b"Og fL RI RF FO ri ca .s dn wv TT DS #! ft ID Xi In VB PK Ra 7z %P".split(),
    *(b"\x1a\x45", b"\x30\x26", b"\x0b\x77"),
    *(frame for frame in (bytes([0xFF, second]) for second in range(256)) if frame_kind(frame)),
)


def _any_of(*patterns: bytes) -> re.Pattern[bytes]:
    return re.compile(b"|".join(patterns), re.DOTALL)


_SOUND_HEAD = _any_of(*_SOUND, b"...." + _MP4)
_OTHER_HEAD = _any_of(*_ARCHIVES, rb"TAG|APETAGEX|LYRICSBEGIN|ID3[\x02-\x04]|<\?xml|\x89PNG|\xff\xd8\xff")
_BEGINNING = _any_of(*_SOUND, _MP4, *_MP3, *_FRAMES, *_ARCHIVES)


def begins_sound(file: BinaryIO, at: int, end: int) -> bool:
    """Whether at this place, with or without a tag, a file of a known kind begins that goes on to `end` at most."""
    sound_at = after_id3(file, at)
    file.seek(sound_at)
    head = file.read(HEAD_BYTES)
    if _SOUND_HEAD.match(head) or begins_frames(file, sound_at, end):
        return True
    found = first_frame(file, sound_at) if sound_at > at else None
    return found is not None and found[0] - sound_at < MOST_BEFORE_MP3


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
        if head.startswith(own_mark) and (at := _beginning(file, mark_at, head, end, own_frames)) is not None:
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
