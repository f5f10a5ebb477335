"""Where the samples lie in WAV, RF64, W64, AIFF, AU and CAF: by the file's own chunks, whatever sizes its header tells.

Recorders that stream or crash leave sizes of 0, 2^32 - 1 or those of the last save; sizes above 4 GB wrap; tools append
a second chunk of samples. A size is believed where chunks go on behind it up to the end of the file.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

from fluxbeat.audio.mpeg_frames import first_frame, is_mp3_frame
from fluxbeat.audio.raw_frames import begins_frames

_UNTOLD = ((0x7FFF_0000, 0x8000_0100), (0xFFFF_0000, 0xFFFF_FFFF))  # sizes that recorders write that stream
_JUNK = 1024  # fewer bytes than this behind the last chunk are no sound
_MOST_CHUNKS = 100_000
_OTHER_FILE = re.compile(
    rb"TAG|APETAGEX|fLaC[\0\x80]|OggS\0|ID3[\x02-\x04]|....ftyp|\x1a\x45\xdf\xa3|wvpk|TTA1|DSD \x1c|#!AMR|\.snd\0"
    rb"|\x30\x26\xb2\x75\x8e|PK\x03\x04|Rar!|7z\xbc\xaf|%PDF|<\?xml|LYRICSBEGIN|\x89PNG|\xff\xd8\xff",
    re.DOTALL,
)
_LAST_CHUNKS = re.compile(
    rb"LIST|id3 |ID3 |bext|cue |smpl|inst|fact|iXML|_PMX|NAME|AUTH|\(c\) |ANNO|COMT|MARK|INST|info"
)
_TAIL = 2**20


@dataclass(frozen=True)
class SamplePieces:
    """Where the samples of a file are.

    Attributes
    ----------
    pieces : tuple of (int, int)
        Where each piece begins and ends in the file.
    promised : int
        Bytes that the header tells of; equal to those that are there where it does not tell.
    believed : bool
        Whether it is one piece and the header tells of all of it, so that any reader finds it.
    sure : bool
        Whether it is certain where the last piece ends.
    head : tuple of (int, int)
        Pieces that, read before those of the samples, make a plain file of them with one chunk of samples. Empty where
        the format has no chunks.
    true_size : (int, bytes)
        Where in it the size of that chunk stands, and what it then is.
    """

    pieces: tuple[tuple[int, int], ...]
    promised: int
    believed: bool
    sure: bool = False
    head: tuple[tuple[int, int], ...] = ()
    true_size: tuple[int, bytes] = (0, b"")

    @property
    def present(self) -> int:
        """Bytes that are there."""
        return sum(end - begin for begin, end in self.pieces)


@dataclass(frozen=True)
class _Scheme:
    """How a container names its chunks and tells their sizes."""

    head: re.Pattern[bytes]
    first: int
    samples: bytes
    size: struct.Struct
    skipped: int = 0
    """Bytes of the chunk that come before its samples."""
    align: int = 2
    whole: int = 0
    """Bytes that a size counts and that are not the chunk's content."""

    @property
    def header(self) -> int:
        return len(self.samples) + self.size.size


def _scheme(head: bytes, first: int, samples: bytes, size: str, **more: int) -> _Scheme:
    return _Scheme(re.compile(head, re.DOTALL), first, samples, struct.Struct(size), **more)


_W64_SAMPLES = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
_SCHEMES = (
    _scheme(rb"(?:RIFF|RF64)....WAVE", 12, b"data", "<I"),
    _scheme(rb"RIFX....WAVE", 12, b"data", ">I"),
    _scheme(rb"FORM....AIF[FC]", 12, b"SSND", ">I", skipped=8),
    _scheme(rb"riff\x2e\x91\xcf\x11", 40, _W64_SAMPLES, "<Q", align=8, whole=24),
    _scheme(rb"caff", 8, b"data", ">Q", skipped=4, align=1),
)


def find_samples(file: BinaryIO, begin: int, end: int) -> SamplePieces | None:
    """Find the samples of the recording that lies between two places of an open file.

    Returns
    -------
    SamplePieces or None
        None where it is of another kind, or no chunk of samples is in it.
    """
    file.seek(begin)
    head = file.read(40)
    if head[:4] in (b".snd", b"dns."):
        return _au_samples(file, head, begin, end)
    scheme = next((scheme for scheme in _SCHEMES if scheme.head.match(head)), None)
    return _Chunks(file, scheme, begin, end).samples() if scheme else None


def end_of_chunks(file: BinaryIO, begin: int, end: int) -> int:
    """Where the recording ends whose chunks begin at a place: `end` itself where its header does not tell."""
    samples = find_samples(file, begin, end)
    if samples is None or not samples.sure:
        return end
    file.seek(begin)
    head = file.read(40)
    scheme = next((scheme for scheme in _SCHEMES if scheme.head.match(head)), None)
    last = samples.pieces[-1][1]
    return _Chunks(file, scheme, begin, end).end_behind(last) if scheme else last


def _au_samples(file: BinaryIO, head: bytes, begin: int, end: int) -> SamplePieces:
    order = ">" if head[:4] == b".snd" else "<"
    offset, told = struct.unpack_from(f"{order}II", head.ljust(12, b"\0"), 4)
    first = min(begin + offset, end)
    if told == 0xFFFF_FFFF or told == 0:
        return SamplePieces(((first, end),), end - first, told != 0)
    here = end - first
    # nothing but samples comes behind the header
    believed = here - told <= _JUNK or _is_no_sound(file, first + told, end)
    last = min(first + told, end) if believed else end
    return SamplePieces(((first, last),), max(told, last - first), believed, believed)


class _Chunks:
    """The chunks of one recording."""

    def __init__(self, file: BinaryIO, scheme: _Scheme, begin: int, end: int) -> None:
        self._file, self._scheme, self._begin, self._end = file, scheme, begin, end
        self._long_size: int | None = None  # of the samples, where their own size has 32 bits only (RF64)

    def samples(self) -> SamplePieces | None:
        at, pieces, promised, sure = self._begin + self._scheme.first, list[tuple[int, int]](), 0, True
        before: int | None = None
        for _ in range(_MOST_CHUNKS):
            chunk = self._chunk(at)
            if chunk is None:
                break
            mark, content, size = chunk
            in_list = mark == b"LIST" and self._is_list_of_samples(content)
            if (in_list or mark == self._scheme.samples) and before is None:
                before = at
            at = content + 4 if in_list else self._behind(content + size)
            if mark == b"ds64" and size >= 16:
                self._file.seek(content + 8)
                (self._long_size,) = struct.unpack("<Q", self._file.read(8).ljust(8, b"\0"))
            if mark != self._scheme.samples:
                continue
            first = min(content + self._scheme.skipped, self._end)
            told, here = content + size - first, self._end - first
            untold = size >= 2**63 or (told > here and any(low <= size <= high for low, high in _UNTOLD))
            if told > here and not untold:
                pieces.append((first, self._end))
                promised += told
                break
            if untold or not self._goes_on(first + told):
                pieces.append((first, self._last_sample(first)))
                promised += pieces[-1][1] - first
                sure = False
                break
            if told:
                pieces.append((first, first + told))
                promised += told
        if not pieces or before is None:
            return None
        head, true_size = self._plain_head(before, pieces)
        believed = sure and len(pieces) == 1
        return SamplePieces(tuple(pieces), promised, believed, sure, head, true_size)

    def _is_list_of_samples(self, content: int) -> bool:
        """Whether chunks of samples lie within this one."""
        self._file.seek(content)
        return self._file.read(4) == b"wavl"

    def end_behind(self, at: int) -> int:
        """Where the chunks end that follow a place."""
        for _ in range(_MOST_CHUNKS):
            place = next((place for place in (self._behind(at), at) if self._is_chunk(place)), None)
            if place is None or (chunk := self._chunk(place)) is None:
                break
            at = chunk[1] + chunk[2]
        return min(at, self._end)

    def _is_chunk(self, at: int) -> bool:
        """Whether a whole chunk stands at a place, and no file of another kind."""
        chunk = self._chunk(at)
        if chunk is None or _is_file(self._file, at, self._end) or not _is_printable(chunk[0][:4]):
            return False
        return chunk[1] + chunk[2] <= self._end + 1

    def _plain_head(
        self, before: int, pieces: list[tuple[int, int]]
    ) -> tuple[tuple[tuple[int, int], ...], tuple[int, bytes]]:
        """What comes before the first chunk of samples, and the header of that chunk; and its size if it were all."""
        scheme, first = self._scheme, pieces[0][0]
        head = ((self._begin, before), (first - scheme.skipped - scheme.header, first))
        size = sum(end - begin for begin, end in pieces) + scheme.skipped + scheme.whole
        most = 256**scheme.size.size - 1
        return head, (before - self._begin + len(scheme.samples), scheme.size.pack(min(size, most)))

    def _chunk(self, at: int) -> tuple[bytes, int, int] | None:
        """Mark, place of the content and size of the chunk at a place; None where there is none."""
        scheme = self._scheme
        if at + scheme.header > self._end:  # a size that is none leads further than any file
            return None
        self._file.seek(at)
        header = self._file.read(scheme.header)
        if len(header) < scheme.header:
            return None
        mark = header[: len(scheme.samples)]
        (size,) = scheme.size.unpack_from(header, len(mark))
        if scheme.whole and size < scheme.whole:
            return None
        if mark == scheme.samples and size == 0xFFFF_FFFF and self._long_size is not None:
            size = self._long_size or 0xFFFF_FFFF
        return mark, at + scheme.header, size - scheme.whole

    def _behind(self, at: int) -> int:
        """Where the next chunk begins."""
        return at + -(at - self._begin) % self._scheme.align

    def _goes_on(self, at: int) -> bool:
        """Whether at this place the file ends, chunks go on up to its end, or nothing follows that could be sound."""
        if self._ends_with_chunks(self._behind(at)) or self._ends_with_chunks(at):
            return True
        return _is_no_sound(self._file, at, self._end)

    def _ends_with_chunks(self, at: int) -> bool:
        for _ in range(_MOST_CHUNKS):
            if self._end - at < _JUNK:
                return True
            chunk = self._chunk(at)
            if _is_file(self._file, at, self._end):
                return True
            if chunk is None or not _is_printable(chunk[0][:4]):
                return False
            if chunk[0] == self._scheme.samples:  # further samples, whatever their size is said to be
                return True
            at = self._behind(chunk[1] + chunk[2])
            if at > self._end + 1:
                return False
        return False

    def _last_sample(self, first: int) -> int:
        """Where samples end that nobody has counted: before the chunks that end the file, if there are any."""
        begin = max(first, self._end - _TAIL)
        self._file.seek(begin)
        for match in _LAST_CHUNKS.finditer(self._file.read(self._end - begin)):
            at = begin + match.start()
            while (chunk := self._chunk(at)) and _is_printable(chunk[0][:4]):
                at = self._behind(chunk[1] + chunk[2])
            if self._end <= at <= self._end + 1:
                return begin + match.start()
        return self._end


def _is_printable(mark: bytes) -> bool:
    return all(0x20 <= byte < 0x7F for byte in mark)


def _is_file(file: BinaryIO, at: int, end: int) -> bool:
    """Whether a file begins at a place, or a tag, that goes on to `end` at most."""
    file.seek(at)
    head = file.read(40)
    if _OTHER_FILE.match(head) or any(scheme.head.match(head) for scheme in _SCHEMES):
        return True
    found = first_frame(file, at) if is_mp3_frame(head) else None
    return (found is not None and found[0] == at) or begins_frames(file, at, end)


def _is_no_sound(file: BinaryIO, at: int, end: int) -> bool:
    """Whether what follows up to the end is a file of another kind, or zeros."""
    if _is_file(file, at, end):
        return True
    file.seek(at)
    while at < end and (block := file.read(min(end - at, _TAIL))):
        if block.strip(b"\0"):
            return False
        at += len(block)
    return True
