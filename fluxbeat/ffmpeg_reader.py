"""ffmpeg as a process of its own -> frames of float32: whatever libsndfile does not read."""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
import struct
import subprocess
import sys
import threading

import numpy as np

from fluxbeat.audio_readers import SAMPLES_PER_READ, Samples, cut_off, refusal
from fluxbeat.decoding_time import DecodingTime
from fluxbeat.errors import AudioDecodeError

_PATIENCE_S = 12.0
# Containers of recordings only: playlists (hls, concat, dash ...) name other files and addresses to open.
_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,ogg,"
    "tak,tta,w64,wav,wv"
)
_LARGEST_BLOCK = 2**28  # bytes; what a header may have it reserve at once
# What the kernel grants the process (Linux): it opens no file for writing that grows, and what gets out of hand ends.
_LIMITS = {"RLIMIT_DATA": 768 * 2**20, "RLIMIT_FSIZE": 0, "RLIMIT_CPU": 3600, "RLIMIT_CORE": 0}

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
        limits = ["-protocol_whitelist", "file", "-format_whitelist", _CONTAINERS, "-threads", "1"]
        limits += ["-max_alloc", str(_LARGEST_BLOCK)]
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
        self._time = DecodingTime(_PATIENCE_S, self._process.kill)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        try:
            self.rate_hz, self.channels = self._read_header()
        except BaseException:
            self.close()
            raise

    def skip(self, frames: int) -> None:
        """Drop frames that were delivered before ffmpeg took over."""
        at_once = 2**20 // self._frame_bytes
        while frames > 0 and (read := len(self._read_bytes(min(frames, at_once) * self._frame_bytes))):
            frames -= read // self._frame_bytes

    def read(self) -> Samples:
        data = self._read_bytes(SAMPLES_PER_READ // self.channels * self._frame_bytes)
        whole = len(data) - len(data) % self._frame_bytes
        return np.frombuffer(data[:whole], ">f4").astype(np.float32).reshape(-1, self.channels)

    def defect(self, decoded_s: float) -> str | None:
        self._await_end()
        # A video's length may be that of its picture: only with a complaint is less sound a sign of damage.
        if self.exact and self.expected_s is not None and (self._errors or not self._has_video):
            cut = cut_off(decoded_s, self.expected_s)
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
            still = f"gave no sound for {_PATIENCE_S:.0f} s while being decoded"
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

    for name, most in _LIMITS.items():
        kind = getattr(resource, name)
        try:
            _, hard = resource.prlimit(pid, kind)
            granted = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.prlimit(pid, kind, (granted, granted))
        except OSError as error:  # it has ended already, or a sandbox forbids it
            _log.debug("ffmpeg runs without %s: %s", name, error)
