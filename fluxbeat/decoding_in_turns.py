"""One file decoded by several threads, each taking every so-manyth block: twice as fast on two cores, same samples."""

from __future__ import annotations

import io
import logging
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import soundfile

from fluxbeat.audio_readers import Samples, SoundfileReader

_MOST_THREADS = 4  # with more, whoever takes the samples is the slower one
_COMPRESSED = ("MP3", "OGG", "FLAC")  # reading the others costs no more than copying
_OVERLAP_FRAMES = 64  # read by two: where they differ, something is missing or twice in the file
_SAME = 1e-3  # of full scale; decoders forget where they began only after a while
_SHORTEST_JUMP_S = 3.0  # within 2 s libsndfile 1.2 goes on at a wrong place of an Ogg file

_log = logging.getLogger(__name__)


def decoding_threads() -> int:
    """How many threads share a file where nothing else is asked for: one per core, at most 4."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_THREADS)


class ReadersInTurn:
    """Blocks of a file in their order, decoded by readers of the same file that seek from each of theirs to the next.

    Whatever is irregular ends the sharing: an error, a block shorter than the header lets expect, or one that does not
    begin as the one before it goes on. One reader then goes through the file from its beginning and says what is to be
    said of the damage.

    Parameters
    ----------
    first : SoundfileReader
        At the beginning of the file; closed with this one.
    source : str or BytesIO
        What `first` reads.
    threads : int
        At least 2.
    """

    def __init__(self, first: SoundfileReader, source: str | io.BytesIO, threads: int) -> None:
        self.rate_hz, self.channels = first.rate_hz, first.channels
        self.expected_s, self.exact = first.expected_s, first.exact
        self._source, self._threads = source, threads
        self._frames, self._block_frames = first.frames, first.block_frames
        self._delivered = 0
        self._readers = [first]
        self._alone: SoundfileReader | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._coming: deque[Future[Samples]] = deque()
        self._blocks_asked = 0
        self._goes_on: Samples | None = None

    @staticmethod
    def pay(reader: SoundfileReader) -> bool:
        """Whether a file is compressed, tells its length, has more than a few blocks, and can be sought exactly."""
        if reader.kind == "OGG" and reader.block_frames < _SHORTEST_JUMP_S * reader.rate_hz:
            return False
        return reader.exact and reader.kind in _COMPRESSED and 4 * reader.block_frames < reader.frames < 2**62

    def read(self) -> Samples:
        """Next (frames, channels), with no frames at the end."""
        if self._alone is None:
            try:
                block = self._in_turn()
            except soundfile.SoundFileError as error:
                _log.debug("one thread decodes alone after %d frames: %s", self._delivered, error)
                block = self._alone_from_here()
        else:
            block = self._alone.read()
        self._delivered += len(block)
        return block

    def _in_turn(self) -> Samples:
        if self._pool is None:
            self._readers += [SoundfileReader(self._source) for _ in range(self._threads - 1)]
            self._pool = ThreadPoolExecutor(self._threads, "fluxbeat-decoding")
            for _ in range(self._threads):
                self._ask()
        missing = self._frames - self._delivered
        if missing <= 0:  # as the header has it; the one who read the last block knows
            self._alone = self._reader_of(-(-self._delivered // self._block_frames) - 1)
            return self._alone.read()
        heard, expected = self._coming.popleft().result(), min(self._block_frames + _OVERLAP_FRAMES, missing)
        if len(heard) != expected:
            raise soundfile.SoundFileError(f"{len(heard)} frames where {expected} should be")
        begins = heard[:_OVERLAP_FRAMES]
        if self._goes_on is not None and not np.allclose(self._goes_on, begins[: len(self._goes_on)], atol=_SAME):
            raise soundfile.SoundFileError("a block does not begin as the one before it goes on")
        block, self._goes_on = heard[: self._block_frames], heard[self._block_frames :]
        self._ask()
        return block

    def _ask(self) -> None:
        """Have the next block decoded; its reader has nothing else to do."""
        number = self._blocks_asked
        if number * self._block_frames >= self._frames:
            return
        assert self._pool is not None
        self._coming.append(self._pool.submit(self._decoded, number))
        self._blocks_asked += 1

    def _decoded(self, number: int) -> Samples:
        reader = self._reader_of(number)
        reader.seek(number * self._block_frames)
        return reader.read(self._block_frames + _OVERLAP_FRAMES)

    def _reader_of(self, number: int) -> SoundfileReader:
        return self._readers[number % len(self._readers)]

    def _alone_from_here(self) -> Samples:
        self._end_pool()
        self._alone = SoundfileReader(self._source)
        self._readers.append(self._alone)
        skipped = 0
        while skipped < self._delivered and len(block := self._alone.read()):  # what was delivered came in such blocks
            skipped += len(block)
        return self._alone.read()

    def defect(self, decoded_s: float) -> str | None:
        """Say, at the end and for a person, what is missing from the sound that was decoded."""
        return (self._alone or self._readers[0]).defect(decoded_s)

    def close(self) -> None:
        self._end_pool()
        for reader in self._readers:
            reader.close()

    def _end_pool(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._coming.clear()
