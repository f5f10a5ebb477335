"""Any audio file, bytes or array -> mono float32 at one sample rate, whole or in blocks of bounded memory.

libsndfile decodes what it can; what it refuses, at once or half way, is decoded by ffmpeg through a pipe.
"""

from __future__ import annotations

import io
import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from fluxbeat.audio_readers import ArrayReader, Reader, Samples, SoundfileReader, refusal, safe_name
from fluxbeat.decoding_in_turns import ReadersInTurn, decoding_threads
from fluxbeat.errors import AudioDecodeError
from fluxbeat.ffmpeg_reader import FfmpegReader

__all__ = [
    "SAMPLE_RATE_HZ",
    "AudioSource",
    "AudioStream",
    "LoadedAudio",
    "Samples",
    "load_audio",
    "open_audio",
    "safe_name",
]

SAMPLE_RATE_HZ = 22_050
MAX_DURATION_S = 4 * 3600.0

AudioSource: TypeAlias = str | os.PathLike[str] | bytes | tuple[npt.NDArray[Any], int]
"""A path, the bytes of a file, or an array with its sample rate in Hz.

Arrays are (samples,), (samples, channels), or (channels, samples) where the first axis is at most 8 and
shorter than the second. uint8, int8, int16 and int32 are scaled to [-1, 1]; floats are used as they are.
"""

_MAX_CHANNELS = 64
_RATE_RANGE_HZ = (1_000, 768_000)
_LOUDEST = 1e12  # no recording is louder, and float32 sums of channels stay finite below it

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LoadedAudio:
    """A whole recording.

    Attributes
    ----------
    samples : float32 array of shape (samples,), full scale is 1 and may be exceeded
    sample_rate_hz : int
    name : str, how to call the source in front of a person
    warnings : tuple of str, what was wrong with the source and is now mended
    """

    samples: Samples
    sample_rate_hz: int
    name: str
    warnings: tuple[str, ...]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate_hz


class AudioStream:
    """Blocks of a recording, mono, at one sample rate; an iterator and a context manager.

    Made by `open_audio`. Every block has exactly `block_s` seconds except the last, which is shorter; joined,
    they equal the recording resampled as a whole. Leaving the context, or `close`, ends an ffmpeg that may
    be running and removes temporary files; reaching the end or an error does so as well.

    Attributes
    ----------
    name : str, how to call the source in front of a person
    sample_rate_hz : int, of the blocks
    expected_duration_s : float or None, what the header tells or lets estimate, for a progress bar
    source_rate_hz, channels : int, of the source
    warnings : list of str, filled while reading and complete after the last block
    """

    def __init__(self, decoder: Decoder, sample_rate_hz: int, block_samples: int) -> None:
        self._decoder = decoder
        # Not a method: the stream must not be part of a reference cycle, or a forgotten one would linger.
        self._blocks = _resampled_blocks(decoder, sample_rate_hz, block_samples)
        self._open = True
        self.name = decoder.name
        self.sample_rate_hz = sample_rate_hz
        self.expected_duration_s = decoder.expected_s
        self.source_rate_hz = decoder.rate_hz
        self.channels = decoder.channels
        self.warnings = decoder.warnings

    def __iter__(self) -> AudioStream:
        return self

    def __next__(self) -> Samples:
        if not self._open:
            raise StopIteration
        try:
            return next(self._blocks)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> AudioStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_open", False):
            self.close()

    def close(self) -> None:
        """Release everything; iteration ends. May be called twice."""
        self._open = False
        self._decoder.close()


def open_audio(
    source: AudioSource,
    *,
    name: str | None = None,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    block_s: float = 10.0,
    max_duration_s: float = MAX_DURATION_S,
    threads: int | None = None,
) -> AudioStream:
    """Open a recording for reading in blocks: channels averaged, resampled, memory bounded.

    Parameters
    ----------
    source : path, bytes of a file, or (array, sample rate in Hz); see `AudioSource`
    name : how to call the source in front of a person; by default its file name
    sample_rate_hz : of the blocks, 1,000 to 768,000
    block_s : length of a block in seconds, above 0
    max_duration_s : longest recording accepted, in seconds
    threads : how many may decode a compressed file at once; by default one per core, at most 4

    Raises
    ------
    AudioDecodeError
        The source is missing, empty, not audio, has no sound in it, is longer than `max_duration_s` or out of
        range (more than 64 channels, a rate outside 1 to 768 kHz). Raised here if the header shows it, else
        while iterating.
    ValueError
        `sample_rate_hz` or `block_s` is out of range.

    Notes
    -----
    Samples that are NaN, infinite or beyond 1e12 become 0 and a truncated file ends early: both leave a
    sentence in `warnings`. Silence and short recordings are not errors here.
    """
    if not _RATE_RANGE_HZ[0] <= sample_rate_hz <= _RATE_RANGE_HZ[1]:
        raise ValueError(f"sample_rate_hz must be 1000 to 768000, got {sample_rate_hz}")
    block_samples = round(block_s * sample_rate_hz)
    if block_samples < 1:
        raise ValueError(f"block_s must hold at least one sample, got {block_s}")
    return AudioStream(Decoder(source, name, max_duration_s, threads), sample_rate_hz, block_samples)


def load_audio(
    source: AudioSource,
    *,
    name: str | None = None,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    max_duration_s: float = MAX_DURATION_S,
) -> LoadedAudio:
    """Read a whole recording as mono; parameters and errors are those of `open_audio`.

    Memory: 4 bytes for each sample, twice for a moment; 3 hours at 22,050 Hz are 0.95 GB.
    """
    with open_audio(source, name=name, sample_rate_hz=sample_rate_hz, max_duration_s=max_duration_s) as stream:
        samples = np.concatenate(list(stream))
    return LoadedAudio(samples, sample_rate_hz, stream.name, tuple(stream.warnings))


def check_file(path: str | os.PathLike[str], name: str) -> None:
    """Refuse a path that is no ordinary, readable file with something in it."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise refusal(name, "does not exist", "check the folder and the spelling") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise refusal(name, f"cannot be opened ({reason})", "check the name and the permissions") from error
    if stat.S_ISDIR(status.st_mode):
        raise refusal(name, "is a folder", "give one audio file")
    if not stat.S_ISREG(status.st_mode):
        raise refusal(name, "is a device or a pipe", "give an ordinary file")
    if status.st_size == 0:
        raise refusal(name, "is empty (0 bytes)", "export or download it again")
    if not os.access(path, os.R_OK):
        raise refusal(name, "may not be read", "check its permissions")


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60:,}:{minutes % 60:02}:{second:02}"  # no timedelta: a header may claim a million years


def resampled_frames(decoder: Decoder, rate_hz: int, *, mono: bool) -> Iterator[Samples]:
    """Yield (frames, 1 or channels) at `rate_hz`, in pieces as they come."""
    pieces = (_mixed(frames) if mono else frames for frames in decoder.frames())
    if decoder.rate_hz == rate_hz:
        yield from pieces
        return
    channels = 1 if mono else decoder.channels
    resampler = soxr.ResampleStream(decoder.rate_hz, rate_hz, channels)
    for piece in pieces:
        yield resampler.resample_chunk(piece)
    yield resampler.resample_chunk(np.empty((0, channels), np.float32), last=True)


def _mixed(frames: Samples) -> Samples:
    """Mean over channels, (frames, channels) -> (frames, 1); one by one, since numpy's mean takes 40 times as long."""
    channels = frames.shape[1]
    if channels == 1:
        return frames
    mixed = frames[:, 0] + frames[:, 1]
    for channel in range(2, channels):
        mixed += frames[:, channel]
    mixed *= np.float32(1 / channels)
    return mixed[:, np.newaxis]


def _resampled_blocks(decoder: Decoder, rate_hz: int, block_samples: int) -> Iterator[Samples]:
    """Yield (samples,) at `rate_hz`, every block but the last of `block_samples`."""
    waiting: list[Samples] = []
    count = total = 0
    for piece in resampled_frames(decoder, rate_hz, mono=True):
        waiting.append(piece[:, 0])
        count += len(piece)
        total += len(piece)
        if count >= block_samples:
            joined = np.concatenate(waiting)
            whole = count - count % block_samples
            yield from np.split(joined[:whole], whole // block_samples)
            waiting, count = [joined[whole:]], count - whole
    if not total:
        raise refusal(decoder.name, "is shorter than one sample", "record or export it again")
    if count:
        yield np.concatenate(waiting)


class Decoder:
    """Frames of a source as they are, whichever reader they come from, checked and cleaned."""

    def __init__(
        self, source: AudioSource, name: str | None, max_duration_s: float, threads: int | None = None
    ) -> None:
        self.warnings: list[str] = []
        self._cleanup = ExitStack()
        self._max_duration_s = max_duration_s
        self._threads = decoding_threads() if threads is None else threads
        self._path = os.fsdecode(source) if isinstance(source, str | os.PathLike) else None
        self._data = source if isinstance(source, bytes) else b""
        kind = "audio array" if isinstance(source, tuple) else "audio data" if self._path is None else "(no name)"
        default_name = self._path or kind
        self.name = safe_name(name or default_name)
        try:
            self._reader = self._first_reader(source)
            self.rate_hz, self.channels = self._reader.rate_hz, self._reader.channels
            self.expected_s = self._reader.expected_s
            self._check_format()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._cleanup.close()

    def frames(self) -> Iterator[Samples]:
        """(frames, channels) float32 until the end; raises if there was no sound at all."""
        delivered = unusable = 0
        usable = False
        while len(block := self._read(delivered)):
            delivered += len(block)
            if delivered > self._max_duration_s * self.rate_hz:
                raise self._too_long(f"is longer than {_clock(self._max_duration_s)}")
            bad = ~(np.abs(block) < _LOUDEST)
            if bad.any():
                unusable += int(bad.any(axis=1).sum())
                block[bad] = 0.0
            usable |= not bad.all()
            yield block
        if not delivered:
            raise refusal(self.name, "holds no sound (0 samples)", "record or export it again")
        if not usable:
            raise refusal(self.name, "holds only invalid samples (NaN or infinite)", "export it again")
        if unusable:
            self.warnings.append(f"{unusable:,} of {delivered:,} samples were invalid (NaN or infinite): silenced")
        if defect := self._reader.defect(delivered / self.rate_hz):
            self.warnings.append(defect)

    def _read(self, delivered: int) -> Samples:
        try:
            return self._reader.read()
        except soundfile.SoundFileError as error:
            _log.debug("libsndfile gave up on %s after %d frames: %s", self.name, delivered, error)
        try:
            self._reader = self._ffmpeg(self.rate_hz, self.channels, skip_frames=delivered)
            return self._reader.read()
        except AudioDecodeError:
            if not delivered:
                raise
            self.warnings.append(f"damaged after {delivered / self.rate_hz:.1f} s: the rest was left out")
            return np.empty((0, self.channels), np.float32)

    def _first_reader(self, source: AudioSource) -> Reader:
        if isinstance(source, tuple):
            return ArrayReader(source, self.name)
        if self._path is not None:
            check_file(self._path, self.name)
        elif not isinstance(source, bytes):
            kind = type(source).__name__
            raise refusal(self.name, f"is of type {kind}", "give a path, bytes, or a tuple (array, rate)")
        elif not source:
            raise refusal(self.name, "is empty (0 bytes)", "export or upload it again")
        content = self._path or io.BytesIO(self._data)
        try:
            reader = SoundfileReader(content)
        except (soundfile.SoundFileError, TypeError) as error:  # TypeError: a name that ends in .raw
            _log.debug("libsndfile refused %s: %s", self.name, error)
            return self._ffmpeg()
        self._cleanup.callback(reader.close)
        if reader.exact:
            return self._shared_out(reader, content)
        try:
            return self._ffmpeg()
        except AudioDecodeError:
            return reader

    def _shared_out(self, reader: SoundfileReader, content: str | io.BytesIO) -> Reader:
        if self._threads < 2 or not ReadersInTurn.pay(reader):
            return reader
        readers = ReadersInTurn(reader, content, self._threads)
        self._cleanup.callback(readers.close)
        return readers

    def _ffmpeg(self, rate_hz: int | None = None, channels: int | None = None, skip_frames: int = 0) -> Reader:
        if self._path is None:
            # Not through a pipe: MP4 keeps its table of contents at the end, and must be sought.
            handle, self._path = tempfile.mkstemp(prefix="fluxbeat-")
            self._cleanup.callback(os.unlink, self._path)
            with os.fdopen(handle, "wb") as file:
                file.write(self._data)
        reader = FfmpegReader(self._path, self.name, rate_hz, channels)
        self._cleanup.callback(reader.close)
        reader.skip(skip_frames)
        return reader

    def _check_format(self) -> None:
        low, high = _RATE_RANGE_HZ
        if not low <= self.rate_hz <= high:
            raise refusal(
                self.name,
                f"has a sample rate of {self.rate_hz:,} Hz",
                f"it must be {low:,} to {high:,} Hz; convert it",
            )
        if not 1 <= self.channels <= _MAX_CHANNELS:
            raise refusal(self.name, f"has {self.channels} channels", "1 to 64 can be read; mix it down")
        if self._reader.exact and self.expected_s is not None and self.expected_s > self._max_duration_s:
            raise self._too_long(f"is {_clock(self.expected_s)} long")

    def _too_long(self, found: str) -> AudioDecodeError:
        return refusal(self.name, found, f"the limit is {_clock(self._max_duration_s)} (h:mm:ss); cut it into parts")
