"""A sound file made to do harm reaches nothing but itself, and ends in time and in little memory."""

from __future__ import annotations

import os
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
from mutated_audio import dsf_file, with_right_ogg_checksums

from fluxbeat.audio import decoding, decoding_time, ffmpeg_reader, readers
from fluxbeat.audio.decoding import load_audio, open_audio
from fluxbeat.audio.decoding_time import Patience
from fluxbeat.audio.ffmpeg_reader import find_ffmpeg
from fluxbeat.audio.playback import needs_playable_copy
from fluxbeat.audio.tags import read_tags
from fluxbeat.errors import AudioDecodeError

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
EVERY_FFMPEG = sorted({FFMPEG, find_ffmpeg()})
RATE_HZ = 32_000


def noise(seconds: float = 2.0, level: float = 0.3) -> np.ndarray:
    return np.random.default_rng(4).uniform(-level, level, round(seconds * RATE_HZ))


def written(path: Path, samples: np.ndarray, *options: str) -> Path:
    source = path.with_suffix(".source.wav")
    soundfile.write(source, samples, RATE_HZ, subtype="PCM_16")
    subprocess.run([FFMPEG, "-y", "-nostdin", "-loglevel", "error", "-i", source, *options, path], check=True)
    return path


@pytest.fixture(params=EVERY_FFMPEG, ids=lambda path: Path(path).name)
def each_ffmpeg(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(ffmpeg_reader, "find_ffmpeg", lambda: request.param)
    return str(request.param)


@pytest.fixture
def listener() -> Iterator[tuple[str, Any]]:
    """An address that a file may name, and a function that says whether somebody called there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)

        def called() -> bool:
            try:
                server.accept()
            except BlockingIOError:
                return False
            return True

        yield f"http://127.0.0.1:{server.getsockname()[1]}/song.wav", called


def atom(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def alias_of(target: Path) -> bytes:
    """A Macintosh alias record, by which a QuickTime film names the file that its sound lies in."""
    path = b"disk" + str(target).replace("/", ":").encode()
    record = bytearray(150)
    record[4:8] = struct.pack(">HH", 150, 2)
    record[10:15] = b"\x04disk"
    record[50:114] = bytes([len(target.name)]) + target.name.encode().ljust(63, b"\0")
    record[130:134] = struct.pack(">HH", 1, 1)
    return bytes(record) + struct.pack(">HH", 2, len(path)) + path + bytes(len(path) % 2) + b"\xff\xff\0\0"


def film_with_its_sound_elsewhere(film: bytes, kind: bytes, place: bytes) -> bytes:
    """The film with silence of its own and a reference to sound at another place."""
    at = film.index(b"mdat")
    size = struct.unpack(">I", film[at - 4 : at])[0]
    changed = bytearray(film[: at + 4] + bytes(size - 8) + film[at - 4 + size :])
    at = changed.index(b"dref") - 4
    old_size = struct.unpack(">I", changed[at : at + 4])[0]
    reference = atom(b"dref", struct.pack(">II", 0, 1) + atom(kind, bytes(4) + place))
    changed[at : at + old_size] = reference
    for parent in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        where = changed.rindex(parent, 0, at) - 4
        (size,) = struct.unpack(">I", changed[where : where + 4])
        changed[where : where + 4] = struct.pack(">I", size + len(reference) - old_size)
    return bytes(changed)


def loudest(source: Path | bytes) -> float:
    return float(np.abs(load_audio(source).samples).max())


def test_a_film_does_not_lead_to_the_file_that_it_names(tmp_path: Path, each_ffmpeg: str) -> None:
    secret = tmp_path / "secret.wav"
    soundfile.write(secret, noise(4.0), RATE_HZ, subtype="PCM_16")
    film = written(tmp_path / "film.mov", noise(), "-c:a", "pcm_s16le").read_bytes()
    trap = tmp_path / "trap.mov"
    trap.write_bytes(film_with_its_sound_elsewhere(film, b"alis", alias_of(secret)))
    follow = ["-enable_drefs", "1", "-i", str(trap), "-f", "f32le", "-"]
    followed = subprocess.run([each_ffmpeg, "-loglevel", "error", *follow], capture_output=True, check=True).stdout
    assert np.abs(np.frombuffer(followed, np.float32)).max() > 0.1, "the trap is none: this shows nothing"
    with pytest.raises(AudioDecodeError, match="holds no sound"):
        load_audio(trap)


@pytest.mark.parametrize("kind", [b"url ", b"alis", b"rmra"])
def test_no_address_within_a_film_is_called(
    tmp_path: Path, each_ffmpeg: str, listener: tuple[str, Any], kind: bytes
) -> None:
    url, called = listener
    film = written(tmp_path / "film.mov", noise(), "-c:a", "pcm_s16le").read_bytes()
    if kind == b"rmra":  # a film that is no more than a reference to another
        place = atom(b"rdrf", bytes(4) + b"url " + struct.pack(">I", len(url) + 1) + url.encode() + b"\0")
        film = film[:32] + atom(b"moov", atom(b"rmra", atom(b"rmda", place)))
    else:
        film = film_with_its_sound_elsewhere(film, kind, url.encode() + b"\0")
    try:
        assert loudest(film) == 0.0
    except AudioDecodeError as refusal:
        assert "damaged" in str(refusal) or "incomplete" in str(refusal)
    assert not called()


@pytest.mark.parametrize("ending", ["mka", "mp3", "flac", "wma", "ogg", "m4a"])
def test_no_address_within_tags_is_called(
    tmp_path: Path, each_ffmpeg: str, listener: tuple[str, Any], ending: str
) -> None:
    url, called = listener
    names = ("title", "WXXX", "WOAF", "METADATA_BLOCK_PICTURE", "location", "purl", "next_filename", "LICENSE")
    tags = [part for name in names for part in ("-metadata", f"{name}={url}")]
    path = written(tmp_path / f"song.{ending}", noise(), *tags)
    assert url.encode() in path.read_bytes() or url.encode("utf-16-le") in path.read_bytes()
    assert loudest(path) > 0.1
    assert not called()


@pytest.mark.parametrize("ending", ["vox", "gsm", "snd", "sd2", "ul", "raw", "au", "xi"])
def test_a_letter_with_the_name_of_a_sound_file_is_not_played_as_noise(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"letter.{ending}"
    path.write_bytes(b"Dear all, this is not music.\n" * 3000)
    with pytest.raises(AudioDecodeError, match="is damaged or not an audio file"):
        load_audio(path)


@pytest.mark.parametrize("kind", ["MAT5", "IRCAM", "PAF", "VOC", "SVX", "NIST", "HTK"])
def test_formats_of_libsndfile_that_nobody_uploads_are_not_tried_on_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "old.wav"
    soundfile.write(path, noise(), RATE_HZ, format=kind, subtype="PCM_16")
    with pytest.raises(AudioDecodeError, match="is damaged or not an audio file"):
        load_audio(path)


@pytest.mark.parametrize("hours", [26, 2 * 10**10])
def test_a_header_that_claims_millions_of_years_is_not_believed(tmp_path: Path, hours: int) -> None:
    data = bytearray(written(tmp_path / "song.opus", noise(), "-c:a", "libopus").read_bytes())
    last_page = data.rindex(b"OggS")
    data[last_page + 6 : last_page + 14] = struct.pack("<q", hours * 3600 * 48_000 + 48_000)
    assert load_audio(with_right_ogg_checksums(bytes(data))).duration_s == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(("ending", "codec"), [("ogg", "libvorbis"), ("oga", "flac"), ("opus", "libopus")])
def test_streams_one_after_another_are_all_analysed(tmp_path: Path, each_ffmpeg: str, ending: str, codec: str) -> None:
    """So a recorded radio station comes, a stream for each song."""
    songs = [
        written(tmp_path / f"{number}.{ending}", noise(), "-c:a", codec, "-serial_offset", str(number)).read_bytes()
        for number in (3, 1, 2)
    ]
    assert len({song[14:18] for song in songs}) == 3
    for source in (b"".join(songs), songs[0]):
        loaded = load_audio(source)
        assert loaded.duration_s == pytest.approx(6.0 if len(source) > len(songs[0]) else 2.0, abs=0.2)
        assert loaded.warnings == ()


@pytest.mark.parametrize("kind", ["AU", "RF64", "W64"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW"])
def test_what_a_long_header_promised_and_is_not_there_is_told(tmp_path: Path, kind: str, subtype: str) -> None:
    path = tmp_path / "song"
    soundfile.write(path, noise(4.0), RATE_HZ, format=kind, subtype=subtype)
    assert load_audio(path).warnings == ()
    whole = path.read_bytes()
    loaded = load_audio(whole[: len(whole) // 4])
    (warning,) = loaded.warnings
    assert warning.code == "cut_off"
    assert f"{loaded.duration_s:.1f} of 4.0 s" in warning.text


def test_a_recording_that_ends_within_a_packet_is_called_cut_off(each_ffmpeg: str) -> None:
    whole = dsf_file()
    assert load_audio(whole).warnings == ()
    loaded = load_audio(whole[:20_000])
    (warning,) = loaded.warnings
    assert warning.code == "cut_off"
    assert f"after {loaded.duration_s:.1f} s" in warning.text


def test_the_decoder_runs_under_limits_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "song.m4a", noise(60.0))
    names = ("RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_CPU")
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1])
    with open_audio(path, block_s=0.1) as stream:
        next(stream)
        (process,) = started
        granted = {name: resource.prlimit(process.pid, getattr(resource, name))[0] for name in names}
    assert granted["RLIMIT_DATA"] <= 2**30
    assert granted["RLIMIT_FSIZE"] == 0
    assert 0 < granted["RLIMIT_CPU"] <= 4 * 3600
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 0, "these are the child's limits, not ours"


def test_a_decoder_that_wants_all_memory_is_refused_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "song.m4a", noise())
    stand_in(tmp_path, monkeypatch, "time.sleep(0.3); greedy = bytearray(2**31); out.write(sound); out.flush()")
    with pytest.raises(AudioDecodeError, match="damaged or not an audio file"):
        load_audio(path)
    stand_in(tmp_path, monkeypatch, "time.sleep(0.3); modest = bytearray(2**27); out.write(sound); out.flush()")
    assert load_audio(path).duration_s == pytest.approx(1.0)


def test_sound_that_trickles_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never still for long enough to be called stalled, and yet it would take a day."""
    path = written(tmp_path / "song.m4a", noise())
    monkeypatch.setattr(ffmpeg_reader, "_PATIENCE", Patience(work_s=60.0, clock_s=1.0))
    stand_in(
        tmp_path,
        monkeypatch,
        "print('[info] Output #0', file=sys.stderr); out.write(sound[:24]); out.flush()\n"
        "while True: time.sleep(0.1); out.write(bytes(4)); out.flush()",
    )
    began = time.monotonic()
    with pytest.raises(AudioDecodeError, match=r'"song\.m4a" is decoded more slowly than it plays: convert it'):
        load_audio(path)
    assert time.monotonic() - began < 5.0


def test_a_decoder_that_works_without_end_is_ended_by_its_own_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "song.m4a", noise())
    monkeypatch.setattr(ffmpeg_reader, "_PATIENCE", Patience(work_s=0.5, clock_s=300.0))
    for works in ("while True: pass", "import subprocess; subprocess.run([sys.executable, '-c', 'while True: pass'])"):
        stand_in(tmp_path, monkeypatch, works)
        began = time.monotonic()
        with pytest.raises(AudioDecodeError, match=r'"song\.m4a" gave no sound for .* while being decoded'):
            load_audio(path)
        assert time.monotonic() - began < 60.0


def test_a_decoder_is_looked_at_a_few_times_a_second_however_often_it_gives_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "song.m4a", noise())
    stand_in(
        tmp_path,
        monkeypatch,
        "print('[info] Output #0', file=sys.stderr, flush=True); out.write(sound[:24]); out.flush()\n"
        "for _ in range(1000): time.sleep(0.001); out.write(bytes(4)); out.flush()",
    )
    looks, look = [], decoding_time._work_of_process

    def counted(pid: int) -> float:
        looks.append(pid)
        return look(pid)

    monkeypatch.setattr(decoding_time, "_work_of_process", counted)
    began = time.monotonic()
    load_audio(path)
    assert 1 <= len(looks) <= 10 + 20 * (time.monotonic() - began)  # before: twice for each of what came


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a pipe has the size that it has")
def test_the_decoder_works_ahead_while_what_it_gave_is_worked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, ahead = written(tmp_path / "song.m4a", noise()), tmp_path / "ahead"
    stand_in(
        tmp_path,
        monkeypatch,
        "print('[info] Output #0', file=sys.stderr, flush=True)\n"
        f"out.write(sound[:24] + bytes(600_000)); out.flush(); open({str(ahead)!r}, 'w').close()",
    )
    with open_audio(path):  # nothing is read but the header
        until = time.monotonic() + 20.0
        while not ahead.exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert ahead.exists()


def test_a_decoder_that_gets_little_of_the_processor_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "song.m4a", noise())
    monkeypatch.setattr(ffmpeg_reader, "_PATIENCE", Patience(work_s=0.5, clock_s=60.0))
    stand_in(tmp_path, monkeypatch, "time.sleep(2.0); out.write(sound); out.flush()")
    assert load_audio(path).duration_s == pytest.approx(1.0)


def test_libsndfile_is_waited_for_while_others_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "song.flac"
    soundfile.write(path, noise(), RATE_HZ)
    read = soundfile.SoundFile.read

    def slow(self: soundfile.SoundFile, *arguments: Any, **options: Any) -> np.ndarray:
        time.sleep(0.8)
        block: np.ndarray = read(self, *arguments, **options)
        return block

    monkeypatch.setattr(soundfile.SoundFile, "read", slow)
    monkeypatch.setattr(readers, "_LIBSNDFILE_PATIENCE", Patience(work_s=0.4, clock_s=60.0))
    monkeypatch.setattr(ffmpeg_reader, "find_ffmpeg", lambda: str(tmp_path / "none"))
    assert load_audio(path).duration_s == pytest.approx(2.0)


@pytest.mark.parametrize("as_bytes", [False, True])
def test_libsndfile_is_stopped_where_it_looks_for_a_page_for_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_bytes: bool
) -> None:
    """Each of the million marks begins a page of 6 kB whose checksum is wrong: measured, 3 s for each megabyte."""
    path = tmp_path / "song.ogg"
    written(path, noise(), "-c:a", "libvorbis")
    path.write_bytes(path.read_bytes()[:58] + b"OggS" * 2**20)
    monkeypatch.setattr(readers, "_LIBSNDFILE_PATIENCE", Patience(work_s=0.3, clock_s=60.0))
    monkeypatch.setattr(ffmpeg_reader, "_PATIENCE", Patience(work_s=0.7, clock_s=60.0))
    began = time.thread_time()
    with pytest.raises(AudioDecodeError, match=r"gave no sound for|damaged or not"):
        load_audio(path.read_bytes() if as_bytes else path)
    assert time.thread_time() - began < 3.0


def test_libsndfile_stopped_half_way_leaves_no_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "song.flac"
    soundfile.write(path, noise(120.0), RATE_HZ)
    unbroken = load_audio(path).samples
    read = soundfile.SoundFile.read

    def slow(self: soundfile.SoundFile, *arguments: Any, **options: Any) -> np.ndarray:
        if self.tell() > 0:
            time.sleep(0.8)
        block: np.ndarray = read(self, *arguments, **options)
        return block

    monkeypatch.setattr(soundfile.SoundFile, "read", slow)
    monkeypatch.setattr(decoding_time.DecodingTime, "decoded", lambda self, seconds: None)
    monkeypatch.setattr(readers, "_LIBSNDFILE_PATIENCE", Patience(work_s=60.0, clock_s=0.4))
    np.testing.assert_array_equal(load_audio(path).samples, unbroken)


def test_a_file_that_goes_away_while_it_is_opened_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "song.wav"
    soundfile.write(path, noise(), RATE_HZ)
    monkeypatch.setattr(decoding, "check_file", lambda path, name: os.unlink(path))
    with pytest.raises(AudioDecodeError, match=r'^"song\.wav" cannot be opened'):
        load_audio(path)


@pytest.mark.parametrize("as_bytes", [False, True])
def test_millions_of_empty_blocks_are_not_counted_through_for_a_title(tmp_path: Path, as_bytes: bool) -> None:
    path = written(tmp_path / "song.flac", noise(), "-metadata", "title=A title")
    assert read_tags(path.read_bytes() if as_bytes else path).title == "A title"
    whole = path.read_bytes()
    path.write_bytes(whole[:42] + b"\x01\0\0\0" * 2**20 + whole[42:])
    began = time.monotonic()
    assert read_tags(path.read_bytes() if as_bytes else path).title == ""
    assert time.monotonic() - began < 3.0
    assert load_audio(path).duration_s == pytest.approx(2.0, abs=0.1)


def test_millions_of_empty_boxes_are_not_walked_through_for_a_codec(tmp_path: Path) -> None:
    path = written(tmp_path / "song.m4a", noise(), "-movflags", "+faststart")
    whole = path.read_bytes()
    (first,) = struct.unpack(">I", whole[:4])
    path.write_bytes(whole[:first] + atom(b"free", b"") * 10_000 + whole[first:])
    assert not needs_playable_copy(path)
    path.write_bytes(whole[:first] + atom(b"free", b"") * 2**22 + whole[first:])
    began = time.monotonic()
    assert needs_playable_copy(path)
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize("size", [2**63 - 1, 2**63, 2**64 - 1])
def test_a_box_that_ends_beyond_all_files_is_not_gone_to(tmp_path: Path, size: int) -> None:
    path = tmp_path / "song.m4a"
    path.write_bytes(atom(b"ftyp", b"M4A \0\0\0\0") + struct.pack(">I4sQ", 1, b"mdat", size) + bytes(100))
    assert needs_playable_copy(path)


def test_a_line_of_many_megabytes_among_what_ffmpeg_says_is_no_burden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "song.m4a", noise())
    stand_in(tmp_path, monkeypatch, "sys.stderr.write('x' * 2**24); out.write(sound); out.flush()")
    assert load_audio(path).duration_s == pytest.approx(1.0)


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    """Put a program of our own in ffmpeg's place; `sound` is one second as ffmpeg would write it, `out` its output."""
    program = folder / "ffmpeg"
    program.write_text(
        f"#!{sys.executable}\nimport struct, sys, time\nout = sys.stdout.buffer\n"
        "sound = struct.pack('>6I', 0x2E736E64, 24, 0xFFFFFFFF, 6, 16000, 1) + bytes(64000)\n"
        f"{does}\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(ffmpeg_reader, "find_ffmpeg", lambda: str(program))
