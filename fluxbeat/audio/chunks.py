"""Where the samples lie in WAV, RF64, W64, AIFF, AU and CAF: by the file's own chunks, whatever sizes its header tells.

Recorders that stream or crash leave sizes of 0, 2^32 - 1 or those of the last save; sizes above 4 GB wrap; tools append
a second chunk of samples. A size is believed where chunks go on behind it up to the end of the file.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from fluxbeat.audio.beginnings import begins_file

_SIZES_OF_STREAMS = ((0x7FFF_0000, 0x8000_0100), (0xFFFF_0000, 0xFFFF_FFFF))  # sizes that recorders write that stream
_AU_SIZE_UNKNOWN = 0xFFFF_FFFF
_JUNK = 1024  # fewer bytes than this behind the last chunk are no sound
_MOST_CHUNKS = 100_000
_LAST_CHUNKS = re.compile(
    rb"LIST|id3 |ID3 |bext|cue |smpl|inst|fact|iXML|_PMX|NAME|AUTH|\(c\) |ANNO|COMT|MARK|INST|info"
)
_LIST_OF_SAMPLES = b"wavl"
_MARK = re.compile(rb"[ -~]{4}|.{10}\0\xc0\x4f\x8e\xdb\x8a", re.DOTALL)  # the second: of W64 alone
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
    end : int or None
        Where the recording ends, with the chunks behind its samples; None where its header does not tell.
    head : tuple of (int, int)
        Pieces that, read before those of the samples, make a plain file of them with one chunk of samples.
    changed : tuple of (int, bytes)
        What then stands in it in place of the sizes of that chunk, by the place in the joined pieces. Empty where the
        size is too large for the format.
    """

    pieces: tuple[tuple[int, int], ...]
    promised: int
    end: int | None
    head: tuple[tuple[int, int], ...]
    changed: tuple[tuple[int, bytes], ...]

    @property
    def header_is_right(self) -> bool:
        """Whether it is one piece and the header tells of all of it, so that any reader finds it."""
        return self.end is not None and len(self.pieces) == 1

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
    counted: int = 0
    """Bytes that a size counts and that are not the chunk's content."""

    @property
    def header(self) -> int:
        return len(self.samples) + self.size.size


@dataclass(frozen=True)
class _Chunk:
    at: int
    mark: bytes
    content: int
    size: int

    @property
    def end(self) -> int:
        return self.content + self.size


def _scheme(head: bytes, first: int, samples: bytes, size: str, **more: int) -> _Scheme:
    return _Scheme(re.compile(head, re.DOTALL), first, samples, struct.Struct(size), **more)


_W64_SAMPLES = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
_SCHEMES = (
    _scheme(rb"(?:RIFF|RF64)....WAVE", 12, b"data", "<I"),
    _scheme(rb"RIFX....WAVE", 12, b"data", ">I"),
    _scheme(rb"FORM....AIF[FC]", 12, b"SSND", ">I", skipped=8),
    _scheme(rb"riff\x2e\x91\xcf\x11", 40, _W64_SAMPLES, "<Q", align=8, counted=24),
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


def _au_samples(file: BinaryIO, head: bytes, begin: int, end: int) -> SamplePieces:
    order = ">" if head[:4] == b".snd" else "<"
    offset, announced = struct.unpack_from(f"{order}II", head.ljust(12, b"\0"), 4)
    first = min(begin + offset, end)
    available = end - first
    is_known = announced not in (0, _AU_SIZE_UNKNOWN)
    if is_known and available - announced > _JUNK:  # nothing but samples comes behind the header
        is_known = _is_no_sound(file, first + announced, end)
    last = min(first + announced, end) if is_known else end
    promised = last - first if announced == _AU_SIZE_UNKNOWN else max(announced, last - first)
    true_size = struct.pack(f"{order}I", min(last - first, _AU_SIZE_UNKNOWN))
    recording_end = last if is_known else None
    return SamplePieces(((first, last),), promised, recording_end, ((begin, first),), ((8, true_size),))


class _Chunks:
    """The chunks of one recording."""

    def __init__(self, file: BinaryIO, scheme: _Scheme, begin: int, end: int) -> None:
        self._file, self._scheme, self._begin, self._end = file, scheme, begin, end
        self._long_size_at: int | None = None  # of the samples, whose own size has 32 bits only (RF64)
        self._head_end: int | None = None  # what comes before the samples

    def samples(self) -> SamplePieces | None:
        scheme = self._scheme
        pieces: list[tuple[int, int]] = []
        promised = 0
        recording_end: int | None = None
        for chunk in self._chunks(self._begin + scheme.first):
            if chunk.mark == b"ds64":
                self._long_size_at = chunk.content + 8
            if self._head_end is None and chunk.mark in (scheme.samples, _LIST_OF_SAMPLES):
                self._head_end = chunk.at
            recording_end = min(chunk.end, self._end)
            if chunk.mark != scheme.samples:
                continue
            first = min(chunk.content + scheme.skipped, self._end)
            announced, available = chunk.end - first, self._end - first
            unknown = chunk.size >= 2**63 or (
                announced > available and any(low <= chunk.size <= high for low, high in _SIZES_OF_STREAMS)
            )
            if unknown or (announced <= available and not self._goes_on(chunk.end)):
                pieces.append((first, self._last_sample(first)))
                promised += pieces[-1][1] - first
                recording_end = None
                break
            if announced > 0:
                pieces.append((first, recording_end))
                promised += announced
        if not pieces or self._head_end is None:
            return None
        first = pieces[0][0]
        head = ((self._begin, self._head_end), (first - scheme.skipped - scheme.header, first))
        changed = self._true_sizes(self._head_end, pieces)
        return SamplePieces(tuple(pieces), promised, recording_end, head, changed)

    def _chunks(self, at: int) -> Iterator[_Chunk]:
        """The chunks that stand one behind another from a place on, aligned or not."""
        for _ in range(_MOST_CHUNKS):
            chunk = self._chunk(self._aligned(at)) or self._chunk(at)
            if chunk is None:
                return
            yield chunk
            at = chunk.end

    def _chunk(self, at: int) -> _Chunk | None:
        """The chunk at a place; None where there is none, or another file begins behind the samples."""
        scheme = self._scheme
        if at + scheme.header > self._end:  # a size that is none leads further than any file
            return None
        self._file.seek(at)
        header = self._file.read(scheme.header + len(_LIST_OF_SAMPLES))
        if not _MARK.match(header) or (self._head_end and begins_file(self._file, at, self._end)):
            return None
        if header[:4] == b"LIST" and header.endswith(_LIST_OF_SAMPLES):
            return _Chunk(at, _LIST_OF_SAMPLES, at + scheme.header, len(_LIST_OF_SAMPLES))
        mark = header[: len(scheme.samples)]
        (size,) = scheme.size.unpack_from(header, len(mark))
        if mark == scheme.samples and size == 0xFFFF_FFFF and self._long_size_at:
            self._file.seek(self._long_size_at)
            size = int.from_bytes(self._file.read(8), "little") or size
        return _Chunk(at, mark, at + scheme.header, max(0, size - scheme.counted))

    def _aligned(self, at: int) -> int:
        return at + -(at - self._begin) % self._scheme.align

    def _goes_on(self, at: int) -> bool:
        """Whether at this place the file ends, chunks go on up to its end, or nothing follows that could be sound."""
        for chunk in self._chunks(at):
            if chunk.mark == self._scheme.samples:  # further samples, whatever their size is said to be
                return True
            at = chunk.end
        if self._end - at < _JUNK:
            return at <= self._end + 1
        return begins_file(self._file, self._aligned(at), self._end) or _is_no_sound(self._file, at, self._end)

    def _last_sample(self, first: int) -> int:
        """Where samples end that nobody has counted: before the chunks that end the file, if there are any."""
        begin = max(first, self._end - _TAIL)
        self._file.seek(begin)
        for match in _LAST_CHUNKS.finditer(self._file.read(self._end - begin)):
            at = begin + match.start()
            for chunk in self._chunks(at):
                at = self._aligned(chunk.end)
            if self._end <= at <= self._end + 1:
                return begin + match.start()
        return self._end

    def _true_sizes(self, head_end: int, pieces: list[tuple[int, int]]) -> tuple[tuple[int, bytes], ...]:
        """What stands in the plain head in place of the sizes of its chunk of samples."""
        scheme = self._scheme
        size = sum(end - begin for begin, end in pieces) + scheme.skipped + scheme.counted
        at, most = head_end - self._begin + len(scheme.samples), 256**scheme.size.size - 1
        if self._long_size_at:
            long_size = self._long_size_at - self._begin, struct.pack("<Q", size)
            return long_size, (at, scheme.size.pack(most))
        return ((at, scheme.size.pack(size)),) if size < most else ()


def _is_no_sound(file: BinaryIO, at: int, end: int) -> bool:
    """Whether what follows up to the end is a file of another kind, or zeros."""
    if begins_file(file, at, end):
        return True
    file.seek(at)
    while at < end and (block := file.read(min(end - at, _TAIL))):
        if block.strip(b"\0"):
            return False
        at += len(block)
    return True
