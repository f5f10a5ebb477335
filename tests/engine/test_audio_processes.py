"""Reading sound in processes: nothing outlives it, nothing a file names is opened, long files take little memory."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_audio import EVERY_FFMPEG, ROOT, converted, processes, temporary_folder, tone, write_wav

from fluxbeat.audio import ffmpeg_reader
from fluxbeat.audio.decoding import SAMPLE_RATE_HZ, load_audio, open_audio
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
