"""Any audio file, bytes or array -> mono float32 at one sample rate, whole or in blocks of bounded memory.

libsndfile decodes what it can; what it refuses, at once or half way, is decoded by ffmpeg through a pipe.
"""

from __future__ import annotations

import io
import logging
import math
import os
import re
import shutil
import stat
import struct
import subprocess
import tempfile
import threading
import time
import unicodedata
import warnings as python_warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from fluxbeat.errors import AudioDecodeError

SAMPLE_RATE_HZ = 22_050

AudioSource: TypeAlias = str | os.PathLike[str] | bytes | tuple[npt.NDArray[Any], int]
"""A path, the bytes of a file, or an array with its sample rate in Hz.

Arrays are (samples,), (samples, channels), or (channels, samples) where the first axis is at most 8 and
shorter than the second. uint8, int8, int16 and int32 are scaled to [-1, 1]; floats are used as they are.
"""

Samples: TypeAlias = npt.NDArray[np.float32]

_MAX_DURATION_S = 4 * 3600.0
_MAX_CHANNELS = 64
_RATE_RANGE_HZ = (1_000, 768_000)
_MP3_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_STEREO_COPY_LIMIT_S = 3600.0  # pydub holds the whole copy in memory: an hour of stereo is 0.6 GB
_SAMPLES_PER_READ = 2**19  # over all channels, so that 64 channels take no more memory than one
_LOUDEST = 1e12  # no recording is louder, and float32 sums of channels stay finite below it
_TRUNCATION_SLACK_S = 0.5  # containers round, and codecs pad, by less
_FFMPEG_STALL_S = 30.0
# Containers of recordings only: playlists (hls, concat, dash ...) name other files and addresses to open.
_FFMPEG_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,ogg,"
    "tak,tta,w64,wav,wv"
)

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

    def __init__(self, decoder: _Decoder, sample_rate_hz: int, block_samples: int) -> None:
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
    max_duration_s: float = _MAX_DURATION_S,
) -> AudioStream:
    """Open a recording for reading in blocks: channels averaged, resampled, memory bounded.

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
    Samples that are NaN, infinite or beyond 1e12 become 0 and a truncated file ends early: both leave a
    sentence in `warnings`. Silence and short recordings are not errors here.
    """
    if not _RATE_RANGE_HZ[0] <= sample_rate_hz <= _RATE_RANGE_HZ[1]:
        raise ValueError(f"sample_rate_hz must be 1000 to 768000, got {sample_rate_hz}")
    block_samples = round(block_s * sample_rate_hz)
    if block_samples < 1:
        raise ValueError(f"block_s must hold at least one sample, got {block_s}")
    return AudioStream(_Decoder(source, name, max_duration_s), sample_rate_hz, block_samples)


def load_audio(
    source: AudioSource,
    *,
    name: str | None = None,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    max_duration_s: float = _MAX_DURATION_S,
) -> LoadedAudio:
    """Read a whole recording as mono; parameters and errors are those of `open_audio`.

    Memory: 4 bytes for each sample, twice for a moment; 3 hours at 22,050 Hz are 0.95 GB.
    """
    with open_audio(
        source, name=name, sample_rate_hz=sample_rate_hz, max_duration_s=max_duration_s
    ) as stream:
        samples = np.concatenate(list(stream))
    return LoadedAudio(samples, sample_rate_hz, stream.name, tuple(stream.warnings))


def safe_name(name: str, limit: int = 80) -> str:
    """File name without folders and unprintable or direction-changing characters, at most `limit` letters."""
    name = re.split(r"[/\\]", name.rstrip("/\\"))[-1]
    if len(name) > limit:
        name = f"{name[: limit - 16]}…{name[-15:]}"
    joiners = "\u200c\u200d"  # part of emoji and of Persian and Indic spelling
    shown = (
        c if c in joiners or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} else "�"
        for c in name
    )
    return "".join(shown)


def find_ffmpeg() -> str:
    """Path of the ffmpeg on PATH, else of the one that the imageio-ffmpeg package ships.

    Raises
    ------
    AudioDecodeError
        There is neither.
    """
    found = shutil.which("ffmpeg")
    if found:
        return found
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise AudioDecodeError(
            "ffmpeg is missing, which reads this format: install ffmpeg or imageio-ffmpeg"
        ) from error


def needs_playable_copy(path: str | os.PathLike[str]) -> bool:
    """Whether browsers cannot play this file, judged by its content and not by the ending of its name.

    False for MP3, WAV (PCM of 8 to 32 bits, 32-bit float), FLAC, Ogg Vorbis, Opus, AAC, M4A, MP4 and WebM;
    True for all else, for instance AIFF, WMA and Apple Lossless.

    Raises
    ------
    AudioDecodeError
        The file is missing, empty or cannot be opened.
    """
    _check_file(path, safe_name(os.fspath(path)))
    with open(path, "rb") as file:
        return not _browser_plays(file)


def playable_copy(
    source: AudioSource,
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    max_duration_s: float = _MAX_DURATION_S,
) -> Path:
    """Write the recording as an MP3 that every browser plays, and return its path.

    Mono and stereo stay so, more channels are averaged to mono, and so are recordings above one hour, since
    the encoder (pydub) holds all of it in memory. The sample rate is the source's where MP3 knows it, else
    44,100 Hz. `name` and `max_duration_s` are those of `open_audio`.

    Raises
    ------
    AudioDecodeError
        As for `open_audio`, or there is no ffmpeg, or it could not write the copy.
    """
    decoder = _Decoder(source, name, max_duration_s)
    try:
        stereo = decoder.channels == 2 and (decoder.expected_s or math.inf) <= _STEREO_COPY_LIMIT_S
        rate_hz = decoder.rate_hz if decoder.rate_hz in _MP3_RATES_HZ else 44_100
        # Through a file, as joining blocks in memory would need the double.
        with tempfile.TemporaryFile() as pcm:
            for block in _resampled_frames(decoder, rate_hz, mono=not stereo):
                pcm.write((np.clip(block, -1, 1) * 32_767).astype("<i2").tobytes())
            pcm.seek(0)
            data = pcm.read()
    finally:
        decoder.close()
    with python_warnings.catch_warnings():
        # At import pydub warns where ffmpeg is not on PATH, and of audioop's end: neither matters here.
        python_warnings.simplefilter("ignore")
        from pydub import AudioSegment
        from pydub.exceptions import CouldntEncodeError
    segment = AudioSegment(data, sample_width=2, frame_rate=rate_hz, channels=2 if stereo else 1)
    segment.converter = find_ffmpeg()
    try:
        with open(path, "wb") as out:
            segment.export(out, format="mp3", bitrate="192k")
    except (CouldntEncodeError, OSError) as error:
        raise _refusal(
            decoder.name, "could not be copied to MP3", "check the free disk space and ffmpeg"
        ) from error
    return Path(path)


def _refusal(name: str, found: str, cure: str) -> AudioDecodeError:
    return AudioDecodeError(f'"{name}" {found}: {cure}')


def _check_file(path: str | os.PathLike[str], name: str) -> None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise _refusal(name, "does not exist", "check the folder and the spelling") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _refusal(name, f"cannot be opened ({reason})", "check the name and the permissions") from error
    if stat.S_ISDIR(status.st_mode):
        raise _refusal(name, "is a folder", "give one audio file")
    if not stat.S_ISREG(status.st_mode):
        raise _refusal(name, "is a device or a pipe", "give an ordinary file")
    if status.st_size == 0:
        raise _refusal(name, "is empty (0 bytes)", "export or download it again")
    if not os.access(path, os.R_OK):
        raise _refusal(name, "may not be read", "check its permissions")


def _cut_off(decoded_s: float, promised_s: float) -> str | None:
    if decoded_s >= promised_s - _TRUNCATION_SLACK_S:
        return None
    return f"the file is cut off: {decoded_s:.1f} of {promised_s:.1f} s could be decoded"


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _resampled_frames(decoder: _Decoder, rate_hz: int, *, mono: bool) -> Iterator[Samples]:
    """Yield (frames, 1 or channels) at `rate_hz`, in pieces as they come."""
    pieces = (f.mean(axis=1, keepdims=True, dtype=np.float32) if mono else f for f in decoder.frames())
    if decoder.rate_hz == rate_hz:
        yield from pieces
        return
    channels = 1 if mono else decoder.channels
    resampler = soxr.ResampleStream(decoder.rate_hz, rate_hz, channels)
    for piece in pieces:
        yield resampler.resample_chunk(piece)
    yield resampler.resample_chunk(np.empty((0, channels), np.float32), last=True)


def _resampled_blocks(decoder: _Decoder, rate_hz: int, block_samples: int) -> Iterator[Samples]:
    """Yield (samples,) at `rate_hz`, every block but the last of `block_samples`."""
    waiting: list[Samples] = []
    count = total = 0
    for piece in _resampled_frames(decoder, rate_hz, mono=True):
        waiting.append(piece[:, 0])
        count += len(piece)
        total += len(piece)
        if count >= block_samples:
            joined = np.concatenate(waiting)
            whole = count - count % block_samples
            yield from np.split(joined[:whole], whole // block_samples)
            waiting, count = [joined[whole:]], count - whole
    if not total:
        raise _refusal(decoder.name, "is shorter than one sample", "record or export it again")
    if count:
        yield np.concatenate(waiting)


class _Reader(Protocol):
    """A source of frames; `expected_s` is for progress, and binding if `exact`."""

    rate_hz: int
    channels: int
    expected_s: float | None
    exact: bool

    def read(self) -> Samples:
        """Next (frames, channels), with no frames at the end."""

    def defect(self, decoded_s: float) -> str | None:
        """Say, at the end and for a person, what is missing from the sound that was decoded."""

    def close(self) -> None: ...


class _Decoder:
    """Frames of a source as they are, whichever reader they come from, checked and cleaned."""

    def __init__(self, source: AudioSource, name: str | None, max_duration_s: float) -> None:
        self.warnings: list[str] = []
        self._cleanup = ExitStack()
        self._max_duration_s = max_duration_s
        self._path = os.fsdecode(source) if isinstance(source, str | os.PathLike) else None
        self._data = source if isinstance(source, bytes) else b""
        default_name = "audio array" if isinstance(source, tuple) else self._path or "audio data"
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
            raise _refusal(self.name, "holds no sound (0 samples)", "record or export it again")
        if not usable:
            raise _refusal(self.name, "holds only invalid samples (NaN or infinite)", "export it again")
        if unusable:
            self.warnings.append(
                f"{unusable:,} of {delivered:,} samples were invalid (NaN or infinite): silenced"
            )
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

    def _first_reader(self, source: AudioSource) -> _Reader:
        if isinstance(source, tuple):
            return _ArrayReader(source, self.name)
        if self._path is not None:
            _check_file(self._path, self.name)
        elif not isinstance(source, bytes):
            kind = type(source).__name__
            raise _refusal(self.name, f"is of type {kind}", "give a path, bytes, or a tuple (array, rate)")
        elif not source:
            raise _refusal(self.name, "is empty (0 bytes)", "export or upload it again")
        try:
            reader = _SoundfileReader(self._path or io.BytesIO(self._data))
        except (soundfile.SoundFileError, TypeError) as error:  # TypeError: a name that ends in .raw
            _log.debug("libsndfile refused %s: %s", self.name, error)
            return self._ffmpeg()
        self._cleanup.callback(reader.close)
        if reader.exact:
            return reader
        try:
            return self._ffmpeg()
        except AudioDecodeError:
            return reader

    def _ffmpeg(
        self, rate_hz: int | None = None, channels: int | None = None, skip_frames: int = 0
    ) -> _Reader:
        if self._path is None:
            # Not through a pipe: MP4 keeps its table of contents at the end, and must be sought.
            handle, self._path = tempfile.mkstemp(prefix="fluxbeat-")
            self._cleanup.callback(os.unlink, self._path)
            with os.fdopen(handle, "wb") as file:
                file.write(self._data)
        reader = _FfmpegReader(self._path, self.name, rate_hz, channels)
        self._cleanup.callback(reader.close)
        reader.skip(skip_frames)
        return reader

    def _check_format(self) -> None:
        low, high = _RATE_RANGE_HZ
        if not low <= self.rate_hz <= high:
            raise _refusal(
                self.name,
                f"has a sample rate of {self.rate_hz:,} Hz",
                f"it must be {low:,} to {high:,} Hz; convert it",
            )
        if not 1 <= self.channels <= _MAX_CHANNELS:
            raise _refusal(self.name, f"has {self.channels} channels", "1 to 64 can be read; mix it down")
        if self._reader.exact and self.expected_s is not None and self.expected_s > self._max_duration_s:
            raise self._too_long(f"is {_clock(self.expected_s)} long")

    def _too_long(self, found: str) -> AudioDecodeError:
        return _refusal(
            self.name, found, f"the limit is {_clock(self._max_duration_s)} (h:mm:ss); cut it into parts"
        )


class _ArrayReader:
    """Slices of an array; the array is never copied as a whole."""

    exact = True

    def __init__(self, source: tuple[npt.NDArray[Any], int], name: str) -> None:
        cure = "give (array, rate in Hz) with floats, uint8, int8, int16 or int32 as (samples, channels)"
        if len(source) != 2 or not isinstance(source[0], np.ndarray):
            kinds = ", ".join(type(item).__name__ for item in source)
            raise _refusal(name, f"is a tuple of ({safe_name(kinds)})", cure)
        array, rate_hz = source
        if not isinstance(rate_hz, int | np.integer) or isinstance(rate_hz, bool):
            raise _refusal(name, f"has a sample rate of type {type(rate_hz).__name__}", cure)
        if not (array.dtype.kind == "f" or array.dtype.name in {"uint8", "int8", "int16", "int32"}):
            raise _refusal(name, f"has samples of type {safe_name(str(array.dtype))}", cure)
        if array.ndim not in (1, 2):
            raise _refusal(name, f"has the shape {safe_name(str(array.shape))}", cure)
        if array.ndim == 1:
            array = array[:, np.newaxis]
        elif array.shape[0] <= 8 and array.shape[0] < array.shape[1]:
            array = array.T
        self.rate_hz, self.channels = int(rate_hz), array.shape[1]
        self.expected_s: float | None = len(array) / max(self.rate_hz, 1)
        self._array = array
        self._at = 0

    def read(self) -> Samples:
        frames = _SAMPLES_PER_READ // self.channels
        piece = self._array[self._at : self._at + frames]
        self._at += len(piece)
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, and is then silenced
            block = piece.astype(np.float32)
        if piece.dtype.kind == "u":
            return (block - 128) / np.float32(128)
        return block / np.float32(2 ** (8 * piece.dtype.itemsize - 1)) if piece.dtype.kind == "i" else block

    def defect(self, decoded_s: float) -> str | None:
        return None

    def close(self) -> None:
        pass


class _SoundfileReader:
    """Blocks from libsndfile."""

    def __init__(self, source: str | io.BytesIO) -> None:
        self._source = source
        self._file = soundfile.SoundFile(source)
        self.rate_hz: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.expected_s: float | None = None
        if self._file.frames < 2**62:  # else the file does not tell
            self.expected_s = self._file.frames / max(self.rate_hz, 1)
        # libsndfile guesses the length of an MP3 that has no table of it, and would cut it there.
        self.exact = self._file.format != "MP3" or _mp3_tells_its_length(source)

    def read(self) -> Samples:
        frames = _SAMPLES_PER_READ // self.channels
        block: Samples = self._file.read(frames, dtype="float32", always_2d=True)
        return block

    def defect(self, decoded_s: float) -> str | None:
        if self.expected_s is None or not self.exact:
            return None
        # libsndfile shortens a WAV or AIFF to what is there and keeps what the header said in its log.
        cut = re.search(r"^\s*(?:data|SSND) : (\d+) \(should be (\d+)\)", self._file.extra_info, re.MULTILINE)
        if cut is None:
            if self._file.format == "OGG" and not _ogg_is_whole(self._source):
                return f"the file is cut off after {decoded_s:.1f} s: its end is missing"
            return _cut_off(decoded_s, self.expected_s)
        promised, present = int(cut[1]), int(cut[2])
        if promised > 0xFFFF_0000 or not present:  # a recorder that streams writes such a size for "unknown"
            return None
        return _cut_off(decoded_s, self.expected_s * promised / present)

    def close(self) -> None:
        self._file.close()


@contextmanager
def _bytes_of(source: str | io.BytesIO) -> Iterator[BinaryIO]:
    """Open the file anew, or lend the bytes and put back where they were being read."""
    if isinstance(source, str):
        with open(source, "rb") as file:
            yield file
    else:
        at = source.tell()
        yield source
        source.seek(at)


def _mp3_tells_its_length(source: str | io.BytesIO) -> bool:
    with _bytes_of(source) as file:
        file.seek(_after_id3(file))
        first_frame = file.read(4096)
    return any(tag in first_frame for tag in (b"Xing", b"Info", b"VBRI"))


def _ogg_is_whole(source: str | io.BytesIO) -> bool:
    with _bytes_of(source) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 65_536))  # a page is at most as long
        tail = file.read()
    last_page = tail.rfind(b"OggS", 0, -5)
    return last_page >= 0 and bool(tail[last_page + 5] & 4)  # the flag "end of stream"


class _FfmpegReader:
    """Blocks from an ffmpeg process: first audio track, float samples, no network, no playlists."""

    def __init__(self, path: str, name: str, rate_hz: int | None, channels: int | None) -> None:
        self._name = name
        self._errors: list[str] = []
        self._has_video = False
        self._described = threading.Event()
        self._stalled = False
        self._deadline = math.inf
        self.expected_s: float | None = None
        self.exact = True
        limits = ["-protocol_whitelist", "file", "-format_whitelist", _FFMPEG_CONTAINERS, "-threads", "1"]
        # "file:" keeps a name such as "concat:a|b" or "-x" from being understood as more than a name.
        command = [find_ffmpeg(), "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info", *limits]
        command += [
            "-i",
            f"file:{os.path.abspath(path)}",
            "-map",
            "0:a:0",
            "-vn",
            "-sn",
            "-dn",
            "-map_metadata",
            "-1",
        ]
        if rate_hz is not None and channels is not None:
            command += ["-ar", str(rate_hz), "-ac", str(channels)]
        # AU: its short header holds rate and channels and may leave the length open.
        command += ["-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, bufsize=0
            )
        except OSError as error:
            raise _refusal(name, "needs ffmpeg, which does not start", "install ffmpeg again") from error
        self._over = threading.Event()
        self._helpers = [threading.Thread(target=run, daemon=True) for run in (self._listen, self._watch)]
        for helper in self._helpers:
            helper.start()
        try:
            self.rate_hz, self.channels = self._read_header()
        except BaseException:
            self.close()
            raise

    def skip(self, frames: int) -> None:
        """Drop frames that were delivered before ffmpeg took over."""
        while frames > 0 and (read := len(self._read_bytes(min(frames * self._frame_bytes, 2**20)))):
            frames -= read // self._frame_bytes

    def read(self) -> Samples:
        data = self._read_bytes(_SAMPLES_PER_READ // self.channels * self._frame_bytes)
        whole = len(data) - len(data) % self._frame_bytes
        return np.frombuffer(data[:whole], ">f4").astype(np.float32).reshape(-1, self.channels)

    def defect(self, decoded_s: float) -> str | None:
        self._await_end()
        # A video's length may be that of its picture: only with a complaint is less sound a sign of damage.
        if self.exact and self.expected_s is not None and (self._errors or not self._has_video):
            cut = _cut_off(decoded_s, self.expected_s)
            if cut:
                return cut
        return "parts of the file are damaged and were left out" if self._errors else None

    def close(self) -> None:
        self._over.set()
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._process.stdout.close()  # first: it also ends an ffmpeg that was started by a wrapper script
        for helper in self._helpers:
            helper.join()
        self._process.stderr.close()

    def _read_header(self) -> tuple[int, int]:
        header = self._read_bytes(24)
        if len(header) < 24:
            self._await_end()
            raise self._refused()
        _, data_at, _, _, rate_hz, channels = struct.unpack(">6I", header)
        self._frame_bytes = 4 * channels
        self._read_bytes(data_at - 24)
        self._described.wait(timeout=5.0)
        return rate_hz, channels

    def _refused(self) -> AudioDecodeError:
        said = " ".join(self._errors)
        _log.debug("ffmpeg refused %s: %s", self._name, said)
        if "matches no streams" in said:
            return _refusal(self._name, "has no audio track", "choose a file with sound in it")
        if "moov atom not found" in said:
            return _refusal(self._name, "is an incomplete MP4 or M4A", "download or export it again")
        if re.search(r"[Dd]ecoder.*not found|No decoder|could not find codec", said):
            return _refusal(
                self._name, "is encrypted or in an unknown codec", "convert it to MP3, FLAC or WAV"
            )
        cure = "choose a music file such as MP3, FLAC, WAV, OGG or M4A"
        return _refusal(self._name, "is damaged or not an audio file", cure)

    def _read_bytes(self, size: int) -> bytes:
        """Exactly `size` bytes, or fewer at the end."""
        data = bytearray()
        assert self._process.stdout is not None
        while len(data) < size:
            self._deadline = time.monotonic() + _FFMPEG_STALL_S
            piece = self._process.stdout.read(min(size - len(data), 65_536))
            self._deadline = math.inf
            if not piece:
                break
            data += piece
        if self._stalled:
            found = f"gave no sound for {_FFMPEG_STALL_S:.0f} s while being decoded"
            raise _refusal(self._name, found, "convert it to MP3, FLAC or WAV")
        return bytes(data)

    def _await_end(self) -> None:
        self._deadline = time.monotonic() + _FFMPEG_STALL_S
        self._process.wait()
        self._deadline = math.inf
        self._helpers[0].join()

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            if time.monotonic() > self._deadline:
                self._stalled = True
                self._process.kill()
                return

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with open(self._process.stderr.fileno(), encoding="utf-8", errors="replace", closefd=False) as lines:
            for line in lines:
                if complaint := re.match(r"(?:\[[^]]* @ \w+\] )*\[(?:error|fatal)\] (.*)", line):
                    if len(self._errors) < 50:
                        self._errors.append(complaint[1])
                elif self._described.is_set():
                    continue
                elif known := re.match(r"\[info\]   Duration: (\d+):(\d\d):(\d\d\.\d+),", line):
                    self.expected_s = int(known[1]) * 3600 + int(known[2]) * 60 + float(known[3])
                elif "Estimating duration from bitrate" in line:
                    self.exact = False
                elif re.match(r"\[info\]   Stream #0:\d+.*: Video: ", line) and "(attached pic)" not in line:
                    self._has_video = True
                elif line.startswith("[info] Output #0"):
                    self._described.set()
        self._described.set()


def _after_id3(file: BinaryIO) -> int:
    """Where the audio begins: behind an ID3 tag, if there is one at the start."""
    file.seek(0)
    head = file.read(10)
    if len(head) < 10 or head[:3] != b"ID3":
        return 0
    a, b, c, d = head[6:10]  # seven bits each
    return 10 + (a << 21 | b << 14 | c << 7 | d)


def _browser_plays(file: BinaryIO) -> bool:
    file.seek(_after_id3(file))
    head = file.read(65_536)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _is_plain_wav(head)
    if head[:4] == b"OggS" and len(head) > 26:
        return head[27 + head[26] :].startswith((b"\x01vorbis", b"OpusHead"))
    if head[4:8] == b"ftyp":
        return _has_playable_mp4_track(file)
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return b"webm" in head[:64]  # else Matroska
    is_mp3 = head[:1] == b"\xff" and head[1:2] != b"" and head[1] & 0xE6 == 0xE2
    is_aac = head[:1] == b"\xff" and head[1:2] != b"" and head[1] & 0xF6 == 0xF0
    return head[:4] == b"fLaC" or is_mp3 or is_aac


def _is_plain_wav(head: bytes) -> bool:
    at = head.find(b"fmt ")
    if at < 0 or len(head) < at + 34:
        return False
    codec, bits = struct.unpack_from("<H12xH", head, at + 8)
    if codec == 0xFFFE:  # "extensible": the codec stands further on
        (codec,) = struct.unpack_from("<H", head, at + 32)
    return (codec == 1 and bits in (8, 16, 24, 32)) or (codec == 3 and bits == 32)


def _has_playable_mp4_track(file: BinaryIO) -> bool:
    file.seek(0)
    while len(header := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", header)
        if size == 1:  # the size follows, in 64 bits
            size = int.from_bytes(file.read(8), "big") - 8
        if kind == b"moov":
            described = file.read(max(0, min(size - 8, 2**26)))
            codecs = re.findall(rb"stsd.{4}.{4}.{4}(.{4})", described, re.DOTALL)
            return any(codec in (b"mp4a", b"Opus", b"fLaC", b".mp3") for codec in codecs)
        if size < 8:  # 0: until the end of the file
            return False
        file.seek(size - 8, os.SEEK_CUR)
    return False
