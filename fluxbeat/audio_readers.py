"""Arrays, libsndfile and ffmpeg -> frames of float32 as the source holds them, and what is missing from them."""

from __future__ import annotations

import io
import logging
import math
import os
import re
import shutil
import struct
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile

from fluxbeat.decoding_time import DecodingTime
from fluxbeat.errors import AudioDecodeError

Samples: TypeAlias = npt.NDArray[np.float32]

_SAMPLES_PER_READ = 2**19  # over all channels, so that 64 channels take no more memory than one
_TRUNCATION_SLACK_S = 0.5  # containers round, and codecs pad, by less
_LIBSNDFILE_PATIENCE_S = 3.0  # then ffmpeg may try
_FFMPEG_PATIENCE_S = 12.0
# Containers of recordings only: playlists (hls, concat, dash ...) name other files and addresses to open.
_FFMPEG_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,ogg,"
    "tak,tta,w64,wav,wv"
)
_FFMPEG_LARGEST_BLOCK = 2**28  # bytes; what a header may have it reserve at once
# What the kernel grants the process (Linux): it opens no file for writing that grows, and what gets out of hand ends.
_FFMPEG_LIMITS = {"RLIMIT_DATA": 768 * 2**20, "RLIMIT_FSIZE": 0, "RLIMIT_CPU": 3600, "RLIMIT_CORE": 0}
# libsndfile also guesses at names and takes text for sound, and its readers of rare formats are little tried.
_LIBSNDFILE_BEGINNINGS = re.compile(
    rb"RIFF....WAVE|RIFX....WAVE|RF64....WAVE|riff\x2e\x91\xcf\x11|FORM....AIF[FC]|fLaC|OggS|caff|\.snd|dns\.|\xff[\xe0-\xff]",
    re.DOTALL,
)
_BYTES_PER_SAMPLE = {"PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
_BYTES_PER_SAMPLE |= {"ULAW": 1, "ALAW": 1}

# A packet that the end of the file cuts is only warned of; and times that begin anew cost no sound.
_COMPLAINT = re.compile(
    r"(?:\[[^]]* @ \w+\] )*\[(?:error|fatal|warning(?=\] .*corrupt input packet))\] (?!.*monotonically increasing)(.*)"
)

_log = logging.getLogger(__name__)


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


class Reader(Protocol):
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


class ArrayReader:
    """Slices of an array; the array is never copied as a whole."""

    exact = True

    def __init__(self, source: tuple[npt.NDArray[Any], int], name: str) -> None:
        cure = "give (array, rate in Hz) with floats, uint8, int8, int16 or int32 as (samples, channels)"
        if len(source) != 2 or not isinstance(source[0], np.ndarray):
            kinds = ", ".join(type(item).__name__ for item in source)
            raise refusal(name, f"is a tuple of ({safe_name(kinds)})", cure)
        array, rate_hz = source
        if not isinstance(rate_hz, int | np.integer) or isinstance(rate_hz, bool):
            raise refusal(name, f"has a sample rate of type {type(rate_hz).__name__}", cure)
        if not (array.dtype.kind == "f" or array.dtype.name in {"uint8", "int8", "int16", "int32"}):
            raise refusal(name, f"has samples of type {safe_name(str(array.dtype))}", cure)
        if array.ndim not in (1, 2):
            raise refusal(name, f"has the shape {safe_name(str(array.shape))}", cure)
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


class SoundfileReader:
    """Blocks from libsndfile: WAV and its kin, AIFF, AU, CAF, FLAC, Ogg and MP3, told by their first bytes."""

    def __init__(self, source: str | io.BytesIO) -> None:
        self._source = source
        try:
            with _bytes_of(source) as file:
                file.seek(after_id3(file))
                if not _LIBSNDFILE_BEGINNINGS.match(file.read(16)):
                    raise soundfile.SoundFileError("begins like none of the formats that libsndfile is to read")
            self._input = _FileInput(source) if isinstance(source, str) else _BytesInput(source.getvalue())
        except OSError as error:
            raise soundfile.SoundFileError(f"cannot be opened: {error}") from error
        self._time = DecodingTime(_LIBSNDFILE_PATIENCE_S, self._input.end)
        try:
            with self._in_time():
                self._file = soundfile.SoundFile(self._input.opened, closefd=False)
            self._describe(source)
        except BaseException:
            self._time.close()
            self._input.close()
            raise

    def _describe(self, source: str | io.BytesIO) -> None:
        self.kind: str = self._file.format
        self.rate_hz: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.frames: int = self._file.frames
        self.block_frames = max(1, _SAMPLES_PER_READ // self.channels)
        self.expected_s: float | None = None
        if self.frames < 2**62:  # else the file does not tell
            self.expected_s = self.frames / max(self.rate_hz, 1)
        # libsndfile guesses the length of an MP3 that has no table of it, and would cut it there.
        self.exact = self.kind != "MP3" or _mp3_tells_its_length(source)
        # Of streams one after another, as radio is recorded, it reads the first.
        if self.kind == "OGG" and _ogg_is_chained(source):
            self.exact = False

    def seek(self, frame: int) -> None:
        """Go on reading there.

        Raises
        ------
        soundfile.SoundFileError
            The file has no such place, or libsndfile is at it for too long.
        """
        with self._in_time():
            self._file.seek(frame)

    def read(self, frames: int | None = None) -> Samples:
        """Next (frames, channels), `block_frames` where not told, fewer at the end."""
        with self._in_time():
            block: Samples = self._file.read(frames or self.block_frames, dtype="float32", always_2d=True)
        self._time.decoded(len(block) / max(self.rate_hz, 1))
        return block

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        with self._time.step():
            yield
        if self._time.ended:
            raise soundfile.SoundFileError("libsndfile was at it for too long")

    def defect(self, decoded_s: float) -> str | None:
        if self.expected_s is None or not self.exact:
            return None
        if self.kind == "OGG" and not _ogg_is_whole(self._source):
            return f"the file is cut off after {decoded_s:.1f} s: its end is missing"
        return _cut_off(decoded_s, self.expected_s * self._promised_share())

    def _promised_share(self) -> float:
        """How many times the sound that is there the header promised: libsndfile tells it in its log alone."""
        said = re.search(
            r"^\s*(?:data|SSND|Data [Ss]ize)\s*: (\d+)(?: \(should be (\d+)\))?$", self._file.extra_info, re.MULTILINE
        )
        if said is None:
            return 1.0
        promised = int(said[1])
        unknown = 0xFFFF_0000  # a recorder that streams writes such a size
        if said[2] is not None:
            present = int(said[2])
        elif self.kind in ("RF64", "W64"):  # their log says no more than the header
            present = self.frames * self.channels * _BYTES_PER_SAMPLE.get(self._file.subtype, 0)
            promised -= 24 if self.kind == "W64" else 0
            unknown = 2**62
        else:
            return 1.0
        return promised / present if present and promised <= unknown else 1.0

    def close(self) -> None:
        self._time.close()
        self._file.close()
        self._input.close()


class _FileInput:
    """A file whose end can be brought about from another thread, which makes libsndfile return."""

    def __init__(self, path: str) -> None:
        self.opened = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))

    def end(self) -> None:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, self.opened, inheritable=False)
        os.close(nothing)

    def close(self) -> None:
        if self.opened >= 0:
            os.close(self.opened)
        self.opened = -1


class _BytesInput(io.BytesIO):
    """Bytes of which the same is true."""

    _ended = False

    @property
    def opened(self) -> _BytesInput:
        return self

    def end(self) -> None:
        self._ended = True

    def readinto(self, buffer: Any) -> int:
        return 0 if self._ended else super().readinto(buffer)


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
        file.seek(after_id3(file))
        first_frame = file.read(4096)
    return any(tag in first_frame for tag in (b"Xing", b"Info", b"VBRI"))


def _ogg_is_whole(source: str | io.BytesIO) -> bool:
    last_page = _last_ogg_page(source)
    return len(last_page) > 5 and bool(last_page[5] & 4)  # the flag "end of stream"


def _ogg_is_chained(source: str | io.BytesIO) -> bool:
    """Whether the last page belongs to another stream than the first."""
    with _bytes_of(source) as file:
        file.seek(after_id3(file))
        first_page = file.read(18)
    last_page = _last_ogg_page(source)
    return bool(last_page) and first_page[14:18] != last_page[14:18]


def _last_ogg_page(source: str | io.BytesIO) -> bytes:
    with _bytes_of(source) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 65_536))  # a page is at most as long
        tail = file.read()
    at = tail.rfind(b"OggS", 0, -14)
    return tail[at:] if at >= 0 else b""


def after_id3(file: BinaryIO) -> int:
    """Where the audio begins: behind an ID3 tag, if there is one at the start."""
    file.seek(0)
    head = file.read(10)
    if len(head) < 10 or head[:3] != b"ID3":
        return 0
    a, b, c, d = head[6:10]  # seven bits each
    return 10 + (a << 21 | b << 14 | c << 7 | d)


class FfmpegReader:
    """Blocks from an ffmpeg process: first audio track, float samples, no network, no playlists."""

    def __init__(self, path: str, name: str, rate_hz: int | None, channels: int | None) -> None:
        self._name = name
        self._errors: list[str] = []
        self._has_video = False
        self._described = threading.Event()
        self._bytes_per_s: float = math.inf  # until the header tells
        self.expected_s: float | None = None
        self.exact = True
        limits = ["-protocol_whitelist", "file", "-format_whitelist", _FFMPEG_CONTAINERS, "-threads", "1"]
        limits += ["-max_alloc", str(_FFMPEG_LARGEST_BLOCK)]
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
        environment = {key: value for key, value in os.environ.items() if key != "FFREPORT"}  # it would write a file
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, bufsize=0, env=environment
            )
        except OSError as error:
            raise refusal(name, "needs ffmpeg, which does not start", "install ffmpeg again") from error
        _confine(self._process.pid)
        self._time = DecodingTime(_FFMPEG_PATIENCE_S, self._process.kill)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
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
        self._time.close()
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._process.stdout.close()  # first: it also ends an ffmpeg that was started by a wrapper script
        self._listener.join()
        self._process.stderr.close()

    def _read_header(self) -> tuple[int, int]:
        header = self._read_bytes(24)
        if len(header) < 24:
            self._await_end()
            raise self._refused()
        _, data_at, _, _, rate_hz, channels = struct.unpack(">6I", header)
        self._frame_bytes = 4 * channels
        self._bytes_per_s = max(1, rate_hz * self._frame_bytes)
        self._read_bytes(data_at - 24)
        self._described.wait(timeout=5.0)
        return rate_hz, channels

    def _refused(self) -> AudioDecodeError:
        said = " ".join(self._errors)
        _log.debug("ffmpeg refused %s: %s", self._name, said)
        if "matches no streams" in said:
            return refusal(self._name, "has no audio track", "choose a file with sound in it")
        if "moov atom not found" in said:
            return refusal(self._name, "is an incomplete MP4 or M4A", "download or export it again")
        if re.search(r"[Dd]ecoder.*not found|No decoder|could not find codec", said):
            return refusal(self._name, "is encrypted or in an unknown codec", "convert it to MP3, FLAC or WAV")
        cure = "choose a music file such as MP3, FLAC, WAV, OGG or M4A"
        return refusal(self._name, "is damaged or not an audio file", cure)

    def _read_bytes(self, size: int) -> bytes:
        """Exactly `size` bytes, or fewer at the end."""
        data = bytearray()
        assert self._process.stdout is not None
        while len(data) < size:
            with self._time.step():
                piece = self._process.stdout.read(min(size - len(data), 65_536))
            if not piece:
                break
            data += piece
            self._time.decoded(len(piece) / self._bytes_per_s)
        if self._time.ended:
            still = f"gave no sound for {_FFMPEG_PATIENCE_S:.0f} s while being decoded"
            found = "is decoded more slowly than it plays" if self._time.was_slow else still
            raise refusal(self._name, found, "convert it to MP3, FLAC or WAV")
        return bytes(data)

    def _await_end(self) -> None:
        with self._time.step():
            self._process.wait()
        self._listener.join()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with open(self._process.stderr.fileno(), encoding="utf-8", errors="replace", closefd=False) as lines:
            for line in iter(lambda: lines.readline(4096), ""):  # a tag may be one line of many megabytes
                if complaint := _COMPLAINT.match(line):
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


def _confine(pid: int) -> None:
    """Set the kernel's limits for a process that has just started, where the system can (Linux)."""
    if sys.platform != "linux":
        return
    import resource

    for name, most in _FFMPEG_LIMITS.items():
        kind = getattr(resource, name)
        try:
            _, hard = resource.prlimit(pid, kind)
            granted = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.prlimit(pid, kind, (granted, granted))
        except OSError as error:  # it has ended already, or a sandbox forbids it
            _log.debug("ffmpeg runs without %s: %s", name, error)


def _cut_off(decoded_s: float, promised_s: float) -> str | None:
    if decoded_s >= promised_s - _TRUNCATION_SLACK_S:
        return None
    return f"the file is cut off: {decoded_s:.1f} of {promised_s:.1f} s could be decoded"


def refusal(name: str, found: str, cure: str) -> AudioDecodeError:
    """The error that says which source, what was found and what to do."""
    return AudioDecodeError(f'"{name}" {found}: {cure}')


def safe_name(name: str, limit: int = 80) -> str:
    """File name without folders and unprintable or direction-changing characters, at most `limit` letters."""
    name = re.split(r"[/\\]", name.rstrip("/\\"))[-1]
    if len(name) > limit:
        name = f"{name[: limit - 16]}…{name[-15:]}"
    joiners = "\u200c\u200d"  # part of emoji and of Persian and Indic spelling
    shown = (c if c in joiners or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} else "�" for c in name)
    return "".join(shown)
