"""Any audio file, bytes or array -> mono float32 at one sample rate, whole or in blocks of bounded memory.

libsndfile decodes what it can; what it refuses, at once or half way, is decoded by ffmpeg through a pipe.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import soxr

from fluxbeat.audio.bandwidth import UpperEdge
from fluxbeat.audio.clock import clock
from fluxbeat.audio.mono import MonoMix
from fluxbeat.audio.part_reader import JoinedReader, PartReader
from fluxbeat.audio.parts import parts_of
from fluxbeat.audio.readers import ArrayReader, Reader, Samples, refusal, resampled, safe_name
from fluxbeat.errors import AudioDecodeError, TrackWarning

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
TELEPHONE_HZ = 6_000.0
"""A recording that ends below this holds too little for a sure genre."""


@dataclass(frozen=True, eq=False)
class LoadedAudio:
    """A whole recording.

    Attributes
    ----------
    samples : float32 array of shape (samples,), full scale is 1 and may be exceeded
    sample_rate_hz : int
    name : str, how to call the source in front of a person
    warnings : tuple of TrackWarning, what is wrong with the source or was mended
    """

    samples: Samples
    sample_rate_hz: int
    name: str
    warnings: tuple[TrackWarning, ...]

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
    warnings : list of TrackWarning, filled while reading and complete after the last block
    """

    def __init__(self, decoder: Decoder, sample_rate_hz: int, block_samples: int) -> None:
        self._decoder = decoder
        # Not a method: the stream must not be part of a reference cycle, or a forgotten one would linger.
        self._edge = UpperEdge(sample_rate_hz)
        self._blocks: Iterator[Samples] = _resampled_blocks(decoder, sample_rate_hz, block_samples, self._edge)
        self.name = decoder.name
        self.sample_rate_hz = sample_rate_hz
        self.expected_duration_s = decoder.expected_s
        self.source_rate_hz = decoder.rate_hz
        self.channels = decoder.channels
        self.warnings = decoder.warnings

    @property
    def upper_edge_hz(self) -> float | None:
        """Where the sound that was read so far ends towards the treble; None where nothing is missing."""
        return self._edge.hz

    def listen(self, rate_hz: int, on_samples: Callable[[Samples], None]) -> None:
        """Also give `on_samples` the mono sound, (samples,) at `rate_hz`, as it is decoded.

        To be called before the first block is read. The sound comes from the source's own rate, so that a model with
        another rate than the blocks misses nothing.
        """
        self._decoder.listener = rate_hz, on_samples

    def __iter__(self) -> AudioStream:
        return self

    def __next__(self) -> Samples:
        try:
            return next(self._blocks)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> AudioStream:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Release everything; iteration ends. May be called twice."""
        self._blocks = iter(())
        self._decoder.close()


def open_audio(
    source: AudioSource,
    *,
    name: str | None = None,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    block_s: float = 10.0,
    max_duration_s: float = MAX_DURATION_S,
) -> AudioStream:
    """Open a recording for reading in blocks: channels averaged, resampled, memory bounded.

    All sound that the file holds is read, whatever length its header tells, and at the times at which a player plays
    it: recordings joined in one file follow one another, and before sound that starts late there is silence. Where
    channels cancel each other, one of them is read in place of their mean.

    Parameters
    ----------
    source : path, bytes of a file, or (array, sample rate in Hz); see `AudioSource`
    name : how to call the source in front of a person; by default its file name
    sample_rate_hz : of the blocks, 1,000 to 768,000
    block_s : length of a block in seconds, above 0
    max_duration_s : longest recording accepted, in seconds

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
    What a person should know is in `warnings`, by these codes: "invalid_samples" (NaN, infinite or beyond 1e12, read
    as 0), "cut_off" (the end of the file is missing), "damaged" (parts of it could not be decoded; both tell how much),
    "undecoded" (bytes behind the sound that are neither sound nor tags), "stereo_cancels" and "narrow_band". Silence
    and short recordings are not errors here.
    """
    if not _RATE_RANGE_HZ[0] <= sample_rate_hz <= _RATE_RANGE_HZ[1]:
        raise ValueError(f"sample_rate_hz must be 1000 to 768000, got {sample_rate_hz}")
    block_samples = round(block_s * sample_rate_hz)
    if block_samples < 1:
        raise ValueError(f"block_s must hold at least one sample, got {block_s}")
    return AudioStream(Decoder(source, name, max_duration_s), sample_rate_hz, block_samples)


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


def resampled_frames(decoder: Decoder, rate_hz: int, *, mono: bool) -> Iterator[Samples]:
    """Yield (frames, 1 or channels) at `rate_hz`, in pieces as they come."""
    mix = MonoMix(decoder.rate_hz)
    pieces: Iterator[Samples] = (mix.mix(frames) if mono else frames for frames in decoder.frames())
    if decoder.listener:
        pieces = _with_listener(pieces, decoder.rate_hz, *decoder.listener)
    yield from resampled(pieces, decoder.rate_hz, rate_hz, 1 if mono else decoder.channels)
    decoder.warnings += mix.warnings()


def _with_listener(
    pieces: Iterator[Samples], from_hz: int, to_hz: int, on_samples: Callable[[Samples], None]
) -> Iterator[Samples]:
    """The pieces themselves, (frames, 1); `on_samples` gets each at its own rate."""
    resampler = soxr.ResampleStream(from_hz, to_hz, 1)
    for piece in pieces:
        on_samples(resampler.resample_chunk(piece)[:, 0])
        yield piece
    on_samples(resampler.resample_chunk(np.empty((0, 1), np.float32), last=True)[:, 0])


def _band_warning(edge_hz: float) -> TrackWarning:
    missing = ": the treble is missing, so genres are less sure"
    if edge_hz < TELEPHONE_HZ:
        missing = ", as on a telephone: most treble is missing, so no genre is sure"
    return TrackWarning("narrow_band", f"there is no sound above {edge_hz / 1000:.1f} kHz{missing}")


def _resampled_blocks(decoder: Decoder, rate_hz: int, block_samples: int, edge: UpperEdge) -> Iterator[Samples]:
    """Yield (samples,) at `rate_hz`, every block but the last of `block_samples`."""
    waiting: list[Samples] = []
    count = total = 0
    for piece in resampled_frames(decoder, rate_hz, mono=True):
        waiting.append(piece[:, 0])
        edge.push(piece[:, 0])
        count += len(piece)
        total += len(piece)
        if count >= block_samples:
            joined = np.concatenate(waiting)
            whole = count - count % block_samples
            yield from np.split(joined[:whole], whole // block_samples)
            waiting, count = [joined[whole:]], count - whole
    if not total:
        raise refusal(decoder.name, "is shorter than one sample", "record or export it again")
    if (edge_hz := edge.hz) is not None:
        decoder.warnings.append(_band_warning(edge_hz))
    if count:
        yield np.concatenate(waiting)


class Decoder:
    """Frames of a source as they are, whichever reader they come from, checked and cleaned."""

    def __init__(self, source: AudioSource, name: str | None, max_duration_s: float) -> None:
        self.warnings: list[TrackWarning] = []
        self.listener: tuple[int, Callable[[Samples], None]] | None = None
        self._cleanup = ExitStack()
        self._max_duration_s = max_duration_s
        self._unread_bytes = 0
        path = os.fsdecode(source) if isinstance(source, str | os.PathLike) else None
        kind = "audio array" if isinstance(source, tuple) else "audio data" if path is None else "(no name)"
        default_name = path or kind
        self.name = safe_name(name or default_name)
        try:
            self._reader = self._reader_of(source, path)
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
        for block in self._reader.frames():
            delivered += len(block)
            if delivered > self._max_duration_s * self.rate_hz:
                raise self._too_long(f"is longer than {clock(self._max_duration_s)}")
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
            found = f"{unusable:,} of {delivered:,} samples were invalid (NaN or infinite): silenced"
            self.warnings.append(TrackWarning("invalid_samples", found))
        self.warnings += self._reader.warnings(delivered / self.rate_hz)
        if self._unread_bytes:
            size_kb = self._unread_bytes / 1000
            found = f"{size_kb:,.0f} kB behind the sound are no sound of a known kind: they were not heard"
            self.warnings.append(TrackWarning("undecoded", found))

    def _reader_of(self, source: AudioSource, path: str | None) -> Reader:
        if isinstance(source, tuple):
            self._bytes = None
            return ArrayReader(source, self.name)
        if path is not None:
            check_file(path, self.name)
        elif not isinstance(source, bytes):
            kind = type(source).__name__
            raise refusal(self.name, f"is of type {kind}", "give a path, bytes, or a tuple (array, rate)")
        elif not source:
            raise refusal(self.name, "is empty (0 bytes)", "export or upload it again")
        try:
            path = path or self._on_disk(source)  # type: ignore[arg-type]  # bytes
            with open(path, "rb") as file:
                parts, self._unread_bytes = parts_of(file)
        except OSError as error:
            raise refusal(self.name, f"cannot be opened ({error.strerror})", "check that it is still there") from error
        self._bytes = parts[-1].end
        is_joined = len(parts) > 1
        reader: Reader = JoinedReader(path, parts, self.name) if is_joined else PartReader(path, parts[0], self.name)
        self._cleanup.callback(reader.close)
        return reader

    def _on_disk(self, content: bytes) -> str:
        """Path of a temporary file that goes with `close`."""
        folder = self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="fluxbeat-"))
        path = os.path.join(folder, "sound")
        with open(path, "wb") as file:
            file.write(content)
        return path

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
        expected_s = 0.0 if self._reader.estimated else self.expected_s or 0.0
        # a header may tell of a million years: the file must have the bytes for them, at 2 kbit/s at least
        has_bytes = self._bytes is None or self._bytes >= 250 * expected_s
        if expected_s > self._max_duration_s and has_bytes:
            raise self._too_long(f"is {clock(expected_s)} long")

    def _too_long(self, found: str) -> AudioDecodeError:
        return refusal(self.name, found, f"the limit is {clock(self._max_duration_s)}; cut it into parts")
