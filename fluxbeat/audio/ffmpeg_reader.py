"""ffmpeg as a process of its own -> frames of float32: whatever libsndfile does not read."""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from fluxbeat.audio.chunks import find_samples
from fluxbeat.audio.decoding_time import DecodingTime, Patience
from fluxbeat.audio.frames import frame_kind, promised_length
from fluxbeat.audio.readers import SAMPLES_PER_READ, Samples, cut_off, refusal
from fluxbeat.errors import AudioDecodeError, TrackWarning

_PATIENCE = Patience(work_s=12.0, clock_s=120.0)
# Containers of recordings only: playlists (hls, concat, dash ...) name other files and addresses to open.
_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,ogg,"
    "tak,tta,w64,wav,wv"
)
# What the kernel grants the process (Linux): it opens no file for writing that grows, and what gets out of hand ends.
_LIMITS = {"RLIMIT_DATA": 768 * 2**20, "RLIMIT_FSIZE": 0, "RLIMIT_CPU": 3600, "RLIMIT_CORE": 0}

# A packet that the end of the file cuts is only warned of; and times that begin anew cost no sound.
_COMPLAINT = re.compile(
    r"(?:\[[^]]* @ \w+\] )*\[(?:error|fatal|warning(?=\] .*corrupt input packet))\] (?!.*monotonically increasing)(.*)"
)
_LOST_PACKET = re.compile(r"Error while decoding stream|Error submitting packet|Decoding error")
_RESYNCHRONISES = {"mp3", "mp2", "aac", "ac3", "eac3"}
_PACKET_SAMPLES = {"mp3": 1152, "mp2": 1152, "aac": 1024, "flac": 4096, "alac": 4096, "ac3": 1536, "eac3": 1536}
# Their times begin at zero, whenever the sound does: silence until then, and in gaps, is part of what a player plays.
_WITH_TIMES = re.compile(rb"....(?:ftyp|moov|mdat|free|wide|skip)|\x1a\x45\xdf\xa3|\x30\x26\xb2\x75|FLV", re.DOTALL)
_IN_TIME = "aresample=async=1:first_pts=0"
# Their times are those of a clock, which may begin anew: only by how much the sound begins after the picture counts.
_WITH_CLOCK = re.compile(rb"G.{187}G|....G.{191}G|\x00\x00\x01\xba|RIFF....AVI ", re.DOTALL)

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
    """Blocks of one recording from an ffmpeg process: first audio track, float samples, no network, no playlists.

    Parameters
    ----------
    path : str
    begin, end : int
        Where in the file the recording lies.
    name : str
        What to call it in front of a person.
    like : tuple of int, optional
        Rate in Hz and channels to convert to; by default those of the recording.
    """

    def __init__(self, path: str, begin: int, end: int, name: str, like: tuple[int, int] | None = None) -> None:
        self._name = name
        try:
            with open(path, "rb") as file:
                file.seek(begin)
                head = file.read(256)
                is_mp3 = head[:3] == b"ID3" or frame_kind(head) == "MP3"
                self._promised_s, self._missing_bytes = promised_length(file, begin, end) if is_mp3 else (None, 0)
                samples = find_samples(file, begin, end)
                self._length_unknown = samples is not None and not samples.header_is_right
        except OSError as error:
            raise refusal(name, "is damaged or not an audio file", f"it cannot be opened ({error})") from error
        # "file:" keeps a name such as "concat:a|b" or "-x" from being more than a name
        self._place = f"subfile,,start,{begin},end,{end},,:file:{os.path.abspath(path)}"
        self._like = like
        ignoring = self._length_unknown and head[:4] == b"RIFF" and samples and len(samples.pieces) == 1
        options = ["-ignore_length", "1"] if ignoring else []
        if not _WITH_TIMES.match(head):
            self._start(options)
        else:
            self._start([*options, "-copyts"], _IN_TIME)
            if self._start_s > 600.0:  # a clock that runs on, as in a recorded broadcast, is no silence
                self.close()
                self._start(options)
        if self._has_video and _WITH_CLOCK.match(head):
            self.close()
            self._start([*options, "-copyts"], f"asetpts=STARTPTS+N/SR/TB-{self._start_s}/TB,{_IN_TIME}")

    def _start(self, reading: list[str], filters: str = "") -> None:
        self._reading, self._filters = reading, filters
        self._complaints = self._lost_packets = 0
        self._ends_within_packet = False
        self._messages: list[str] = []
        self._is_mov = self._has_video = self.estimated = False
        self._start_s, self._codec = 0.0, ""
        self._described = threading.Event()
        self._bytes_per_s: float = math.inf  # until the header tells
        self.expected_s: float | None = None
        limits = ["-protocol_whitelist", "file,subfile", "-format_whitelist", _CONTAINERS, "-threads", "1"]
        limits += ["-max_alloc", str(2**28)]  # bytes that a header may have it reserve at once
        command = [find_ffmpeg(), "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info", *limits, *reading]
        command += ["-i", self._place, "-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1"]
        if filters:
            command += ["-af", filters]
        if self._like:
            command += ["-ar", str(self._like[0]), "-ac", str(self._like[1])]
        # AU: its short header holds rate and channels and may leave the length open. Written not packet by packet.
        command += ["-c:a", "pcm_f32be", "-flush_packets", "0", "-f", "au", "pipe:1"]
        pipe = subprocess.PIPE
        environment = {key: value for key, value in os.environ.items() if key != "FFREPORT"}  # it would write a file
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, bufsize=0, env=environment,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise refusal(self._name, "needs ffmpeg, which does not start", "install ffmpeg again") from error
        _confine(self._process)
        self._time = DecodingTime(_PATIENCE, self._kill, self._process.pid)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        try:
            self.rate_hz, self.channels = self._read_header()
        except BaseException:
            self.close()
            raise

    def frames(self) -> Iterator[Samples]:
        # a second at a time: what is longer than the pipe would be waited for
        size = max(1, min(self.rate_hz, SAMPLES_PER_READ // self.channels)) * self._frame_bytes
        data = self._read_bytes(size)
        if not len(data) and self._is_mov:  # an edit list may have left nothing
            self.close()
            self._start([*self._reading, "-ignore_editlist", "1"], self._filters)
            data = self._read_bytes(size)
        while whole := len(data) - len(data) % self._frame_bytes:
            yield np.frombuffer(data[:whole], ">f4").astype(np.float32).reshape(-1, self.channels)
            data = self._read_bytes(size)

    def warnings(self, decoded_s: float) -> list[TrackWarning]:
        self._await_end()
        # a promised length alone may be wrong; where bytes are missing as well, the end of the file is
        is_cut = self._missing_bytes > 2048  # encoders count tags and the first frame, or not
        if self._promised_s and is_cut and (cut := cut_off(decoded_s, self._promised_s)):
            return cut
        # A video's length may be that of its picture, and an MP4's that of its chapters: only with a complaint is less
        # sound a sign of damage.
        announced_s = None if self.estimated or self._promised_s else self.expected_s
        of_sound = not (self._has_video or self._is_mov)
        complained = self._complaints or self._lost_packets or self._ends_within_packet
        if announced_s is not None and (complained or of_sound) and (cut := cut_off(decoded_s, announced_s)):
            return cut
        if self._ends_within_packet and not self._length_unknown:
            return [TrackWarning("cut_off", f"the file is cut off after {decoded_s:.1f} s: its end is missing")]
        # of those that find the next frame again, less is what stands between frames: a tag, half a frame
        least_loss_s = 0.1 if self._codec in _RESYNCHRONISES and not self._filters else 0.02
        lost_s = max(self._complaints, self._lost_packets) * _PACKET_SAMPLES.get(self._codec, 1024) / self.rate_hz
        full_s = self._promised_s or (announced_s if of_sound else None)
        if full_s and not self._filters and abs(full_s - decoded_s) < least_loss_s:
            return []  # what could not be decoded lies behind all that was promised
        if lost_s and full_s and full_s < 2 * decoded_s:  # more is too much to be true
            lost_s = max(lost_s, full_s - decoded_s)
        if lost_s < least_loss_s:
            return []
        text = f"parts of the file are damaged: about {lost_s:.1f} of {decoded_s + lost_s:.1f} s could not be decoded"
        return [TrackWarning("damaged", text)]

    def _kill(self) -> None:
        """End ffmpeg, and what it started itself where it is a wrapper script."""
        if sys.platform == "win32" or self._process.poll() is not None:
            self._process.kill()
        else:
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        self._time.close()
        self._kill()
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
        messages = " ".join(self._messages)
        _log.debug("ffmpeg refused %s: %s", self._name, messages)
        if "matches no streams" in messages:
            return refusal(self._name, "has no audio track", "choose a file with sound in it")
        if "moov atom not found" in messages:
            return refusal(self._name, "is an incomplete MP4 or M4A", "download or export it again")
        if re.search(r"[Dd]ecoder.*not found|No decoder|could not find codec", messages):
            return refusal(self._name, "is encrypted or in an unknown codec", "convert it to MP3, FLAC or WAV")
        cure = "choose a music file such as MP3, FLAC, WAV, OGG or M4A"
        return refusal(self._name, "is damaged or not an audio file", cure)

    def _read_bytes(self, size: int) -> memoryview:
        """Exactly `size` bytes, or fewer at the end."""
        data, filled = memoryview(bytearray(size)), 0
        while filled < size:
            with self._time.step():
                count = self._process.stdout.readinto(data[filled:])  # type: ignore[union-attr]
            if not count:
                break
            filled += count
            self._time.decoded(count / self._bytes_per_s)
        if self._time.ended:
            still = f"gave no sound for {self._time.waited_s:.0f} s while being decoded"
            found = "is decoded more slowly than it plays" if self._time.was_slow else still
            raise refusal(self._name, found, "convert it to MP3, FLAC or WAV")
        return data[:filled]

    def _await_end(self) -> None:
        with self._time.step():
            self._process.wait()
        self._listener.join()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with open(self._process.stderr.fileno(), encoding="utf-8", errors="replace", closefd=False) as lines:
            for line in iter(lambda: lines.readline(4096), ""):  # a tag may be one line of many megabytes
                if complaint := _COMPLAINT.match(line):
                    if "corrupt input packet" in complaint[1]:
                        self._ends_within_packet = True
                    elif _LOST_PACKET.match(complaint[1]):
                        self._lost_packets += 1
                    else:
                        self._complaints += 1
                    if len(self._messages) < 50:
                        self._messages.append(complaint[1])
                elif not self._described.is_set():
                    self._note(line)
        self._described.set()

    def _note(self, line: str) -> None:
        """What ffmpeg tells of the file before it decodes."""
        if known := re.match(r"\[info\]   Duration: (\d+):(\d\d):(\d\d\.\d+),(?: start: (-?[\d.]+),)?", line):
            self.expected_s = int(known[1]) * 3600 + int(known[2]) * 60 + float(known[3])
            self._start_s = float(known[4] or 0)
        elif "Estimating duration from bitrate" in line:
            self.estimated = True
        elif line.startswith("[info] Input #0, mov,"):
            self._is_mov = True
        elif re.match(r"\[info\]   Stream #0:\d+.*: Video: ", line) and "(attached pic)" not in line:
            self._has_video = True
        elif audio := re.match(r"\[info\]   Stream #0:\d+.*: Audio: (\w+)", line):
            self._codec = audio[1]
        elif line.startswith("[info] Output #0"):
            self._described.set()


def _confine(process: subprocess.Popen[bytes]) -> None:
    """Set the kernel's limits for a process that has just started, where the system can (Linux), and let it decode on
    while what it gave is worked on."""
    if sys.platform != "linux":
        return
    import fcntl
    import resource

    for name, most in _LIMITS.items():
        with suppress(OSError, ValueError):  # it has ended already, a sandbox forbids it, or what it has is less
            resource.prlimit(process.pid, getattr(resource, name), (most, most))
    with suppress(OSError):  # more than the system grants
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 2**20)  # type: ignore[arg-type]
