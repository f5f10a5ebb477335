"""How a file of each kind begins, and another one of the same kind within it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import BinaryIO

from fluxbeat.audio.mpeg_frames import first_frame
from fluxbeat.audio.raw_frames import begins_frames
from fluxbeat.audio.source import after_id3


@dataclass(frozen=True)
class Kind:
    """How a file of a kind begins, and how another one of the same kind does within it: with one of `marks`, and so
    much behind it that it never stands there by chance."""

    head: re.Pattern[bytes]
    marks: tuple[bytes, ...]
    again: re.Pattern[bytes]


def _kind(head: bytes, marks: tuple[bytes, ...], again: bytes) -> Kind:
    return Kind(re.compile(head, re.DOTALL), marks, re.compile(again, re.DOTALL))


_BIT_3 = b"[" + b"".join(re.escape(bytes([byte])) for byte in range(256) if byte & 8) + b"]"
KINDS = (
    _kind(rb"OggS\0", (b"OggS",), rb"OggS\0[\x02\x03\x06\x07].{22}"),  # flag 2: a page that begins a stream
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
BOXES = _kind(rb"....ftyp", (b"ftyp",), rb"ftyp(?:M4[ABPV] |isom|iso\d|mp4[12]|qt  |dash|3gp.|MSNV)")
ARCHIVES = _kind(
    rb"PK\x03\x04",
    (b"PK\x03\x04", b"Rar!", b"7z\xbc\xaf", b"%PDF"),
    rb"PK\x03\x04[\x0a-\x3f]\0..[\0-\x63]\0|Rar!\x1a\x07|7z\xbc\xaf\x27\x1c|%PDF-[12]\.",
)


def begins_sound(file: BinaryIO, at: int, end: int) -> bool:
    """Whether at this place, with or without a tag, a file of a known kind begins that goes on to `end` at most."""
    sound_at = after_id3(file, at)
    file.seek(sound_at)
    head = file.read(16)
    if any(kind.head.match(head) for kind in KINDS) or BOXES.head.match(head):
        return True
    found = first_frame(file, sound_at)
    if found is not None and found[0] - sound_at < (4096 if sound_at > at else 1):
        return True
    return begins_frames(file, sound_at, end)
