"""Sound read by ffmpeg: the same music, whole or cut off; nothing outlives it, nothing a file names is opened."""

from __future__ import annotations

import gc
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from test_audio import (
    EVERY_FFMPEG,
    ROOT,
    VIDEO,
    assert_is_the_tone,
    converted,
    level_db,
    pitch_hz,
    processes,
    temporary_folder,
    tone,
    write_wav,
)

from fluxbeat.audio import ffmpeg_reader
from fluxbeat.audio.decoding import SAMPLE_RATE_HZ, load_audio, open_audio
from fluxbeat.audio.decoding_time import Patience
from fluxbeat.audio.playback import needs_playable_copy, playable_copy
from fluxbeat.errors import AudioDecodeError

__all__ = ["processes", "temporary_folder"]  # fixtures


def test_three_hours_are_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    minute = tone(rate_hz=8_000, seconds=60.0).astype(np.float32)
    with soundfile.SoundFile(path, "w", 8_000, 1, subtype="ULAW") as file:
        for _ in range(180):
            file.write(minute)
    script = (
        "import sys; from fluxbeat.audio.decoding import open_audio\n"
        "with open_audio(sys.argv[1]) as stream: samples = sum(len(block) for block in stream)\n"
        # not getrusage: a process inherits its parent's peak there
        "print(samples, next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", script, path], env=environment, capture_output=True, text=True, check=True
    )
    samples, peak = map(int, run.stdout.split())
    peak_mb = peak / 2**10
    assert samples == 3 * 3600 * SAMPLE_RATE_HZ
    assert peak_mb < 600


@pytest.mark.parametrize("way", ["with", "close", "forgotten", "error in the reader's loop"])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_no_process_and_no_file_outlives_an_early_end(
    tmp_path: Path, processes: list[subprocess.Popen[bytes]], temporary_folder: Path, way: str, as_bytes: bool
) -> None:
    path = converted(tmp_path / "long.m4a", tone(seconds=40.0))
    processes.clear()
    stream = open_audio(path.read_bytes() if as_bytes else path, block_s=0.5)
    next(stream)
    assert len(processes) == 1
    assert processes[0].returncode is None
    assert len(list(temporary_folder.iterdir())) == as_bytes
    if way == "close":
        stream.close()
        assert list(stream) == []
    elif way == "forgotten":
        del stream
        gc.collect()
    elif way == "with":
        with stream:
            next(stream)
    else:
        with pytest.raises(KeyError), stream:
            raise KeyError
    assert processes[0].returncode is not None
    assert list(temporary_folder.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(processes[0].pid, 0)


@pytest.mark.parametrize("program", EVERY_FFMPEG, ids=lambda path: Path(path).name)
@pytest.mark.parametrize("name", ["list.m3u8", "list.mp3", "list.ffconcat", "list.mpd", "list.sdp", "bytes"])
def test_a_playlist_opens_nothing_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, name: str
) -> None:
    monkeypatch.setattr(ffmpeg_reader, "find_ffmpeg", lambda: program)
    secret = write_wav(tmp_path / "secret.wav", tone())
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/song.wav"
        for target in (secret.name, f"file://{secret}", url):
            hls = f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n"
            concat = f"ffconcat version 1.0\nfile '{target}'\n"
            dash = (
                '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
                'mediaPresentationDuration="PT2S"><Period><AdaptationSet mimeType="audio/wav">'
                f'<Representation id="1"><BaseURL>{target}</BaseURL></Representation>'
                "</AdaptationSet></Period></MPD>"
            )
            sdp = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"
            for text in (hls, concat, dash, sdp):
                path = tmp_path / name
                path.write_text(text)
                with pytest.raises(AudioDecodeError, match="not an audio file"):
                    load_audio(text.encode() if name == "bytes" else path)
        with pytest.raises(BlockingIOError):  # nobody called
            server.accept()


@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize(("channels", "reads_before_it_fails"), [(2, 0), (2, 1), (2, 3), (3, 3), (6, 3), (7, 3)])
def test_ffmpeg_takes_over_in_mid_file_without_a_seam(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    temporary_folder: Path,
    channels: int,
    reads_before_it_fails: int,
    as_bytes: bool,
) -> None:
    noise = np.random.default_rng(3).normal(scale=0.1, size=(44_100 * (60 // channels), channels))
    path = write_wav(tmp_path / "noise.wav", noise)
    unbroken = load_audio(path).samples
    reads = 0
    read = soundfile.SoundFile.read

    def breaks(self: soundfile.SoundFile, *arguments: Any, **options: Any) -> np.ndarray:
        nonlocal reads
        reads += 1
        if reads > reads_before_it_fails:
            raise soundfile.LibsndfileError(3)
        block: np.ndarray = read(self, *arguments, **options)
        return block

    monkeypatch.setattr(soundfile.SoundFile, "read", breaks)
    loaded = load_audio(path.read_bytes() if as_bytes else path)
    np.testing.assert_array_equal(loaded.samples, unbroken)
    assert reads == reads_before_it_fails + 1
    assert loaded.warnings == ()
    assert list(temporary_folder.iterdir()) == []


def test_an_ffmpeg_that_hangs_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: list[subprocess.Popen[bytes]]
) -> None:
    path = converted(tmp_path / "tone.m4a", tone())
    hanging = tmp_path / "ffmpeg"
    hanging.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(600)\n")
    hanging.chmod(hanging.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(ffmpeg_reader, "_PATIENCE", Patience(work_s=60.0, clock_s=0.5))
    with pytest.raises(AudioDecodeError, match=r'"tone\.m4a" gave no sound for .* while being decoded'):
        load_audio(path)
    assert processes[-1].returncode is not None


@pytest.mark.parametrize("ending", ["wav", "aiff", "flac", "ogg", "opus", "mp3", "m4a", "wma"])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_truncated_file_gives_what_is_there_and_a_warning(tmp_path: Path, ending: str, as_bytes: bool) -> None:
    chirp = tone(seconds=10.0) + np.random.default_rng(2).normal(scale=0.05, size=441_000)
    path = converted(tmp_path / f"song.{ending}", chirp, *(("-movflags", "+faststart") if ending == "m4a" else ()))
    whole = path.read_bytes()
    assert load_audio(path).warnings == ()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    loaded = load_audio(path.read_bytes() if as_bytes else path)
    assert 2.0 < loaded.duration_s < 7.0
    assert pitch_hz(loaded.samples) == pytest.approx(440.0, abs=0.5)
    assert len(loaded.warnings) == 1
    assert loaded.warnings[0].code in ("cut_off", "damaged")


def test_too_long_is_reported_before_decoding_where_the_header_tells(tmp_path: Path) -> None:
    for path in (
        write_wav(tmp_path / "long.wav", tone(seconds=70)),
        converted(tmp_path / "long.m4a", tone(seconds=70)),
    ):
        with pytest.raises(AudioDecodeError, match=r'"long.*" is 1:10 long: the limit is 1:00'):
            open_audio(path, max_duration_s=60.0)
        assert load_audio(path, max_duration_s=71.0).duration_s == pytest.approx(70.0, abs=0.1)


def test_too_long_is_found_while_decoding_where_the_header_is_silent(tmp_path: Path) -> None:
    path = converted(tmp_path / "long.aac", tone(seconds=70))
    with open_audio(path, max_duration_s=60.0) as stream:
        next(stream)
        with pytest.raises(AudioDecodeError, match="is longer than 1:00: the limit is"):
            list(stream)


@pytest.mark.parametrize("ending", ["aiff", "wma"])
@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 96_000])
def test_the_copy_is_an_mp3_of_the_same_stereo_music(tmp_path: Path, ending: str, rate_hz: int) -> None:
    if ending == "wma" and rate_hz > 48_000:
        rate_hz = 22_050
    stereo = np.stack([tone(440.0, rate_hz=rate_hz), tone(660.0, rate_hz=rate_hz)], axis=1)
    source = converted(tmp_path / f"song.{ending}", stereo, rate_hz=rate_hz)
    copy = playable_copy(source, tmp_path / "copy.mp3")
    assert not needs_playable_copy(copy)
    samples, copy_rate_hz = soundfile.read(copy)
    assert copy_rate_hz == (rate_hz if rate_hz <= 48_000 else 44_100)
    assert len(samples) / copy_rate_hz == pytest.approx(2.0, abs=0.1)
    for channel, hz in enumerate((440.0, 660.0)):
        middle = samples[len(samples) // 4 : -len(samples) // 4, channel]
        assert pitch_hz(middle, copy_rate_hz) == pytest.approx(hz, abs=1.0)
        assert level_db(middle) == pytest.approx(level_db(tone()), abs=1.0)


@pytest.mark.parametrize(
    ("ending", "options"),
    [
        ("mp3", ("-b:a", "192k")),
        ("m4a", ("-c:a", "aac")),
        ("m4a", ("-c:a", "alac")),
        ("aac", ("-c:a", "aac")),
        ("webm", ("-c:a", "libopus", "-ar", "48000")),
        ("webm", (*VIDEO, "-c:v", "libvpx", "-c:a", "libvorbis")),
        ("mp4", (*VIDEO, "-c:v", "mpeg4", "-c:a", "aac")),
        ("mkv", (*VIDEO, "-c:v", "mpeg4", "-c:a", "flac")),
        ("wma", ("-c:a", "wmav2")),
    ],
    ids=lambda value: value if isinstance(value, str) else value[-1],
)
def test_a_tone_survives_the_formats_of_ffmpeg(tmp_path: Path, ending: str, options: tuple[str, ...]) -> None:
    path = converted(tmp_path / f"tone.{ending}", tone(), *options)
    assert_is_the_tone(load_audio(path))
    assert_is_the_tone(load_audio(path.read_bytes()))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("letter.mp3", b"Dear all, this is not music.\n" * 3000),
        ("picture.mp3", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0\x90wS\xde" + bytes(500)),
        ("zeros.wav", bytes(100_000)),
        ("noise.ogg", np.random.default_rng(5).bytes(200_000)),
        ("page.flac", b"<!doctype html><title>404</title>" * 50),
        ("data.raw", b'{"audio": false}' * 99),
        ("song.zip", b"PK\x03\x04" + bytes(1000)),
        ("head.wav", b"RIFF"),
    ],
)
def test_what_is_not_audio_is_called_so(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for source in (path, content):
        with pytest.raises(AudioDecodeError, match=rf'^"{name}" is damaged or not an audio file: choose'):
            load_audio(source, name=name)
