"""A recording is the same music whatever file it comes in, and a file that is no music says so."""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
import soxr

from fluxbeat.audio import ffmpeg_reader
from fluxbeat.audio.bandwidth import UpperEdge
from fluxbeat.audio.decoding import SAMPLE_RATE_HZ, LoadedAudio, load_audio, open_audio
from fluxbeat.audio.ffmpeg_reader import find_ffmpeg
from fluxbeat.audio.playback import needs_playable_copy, playable_copy
from fluxbeat.audio.source import places
from fluxbeat.errors import AudioDecodeError

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
EVERY_FFMPEG = sorted({FFMPEG, find_ffmpeg()})
ROOT = Path(ffmpeg_reader.__file__).parents[1]


def tone(hz: float = 440.0, seconds: float = 2.0, rate_hz: int = 44_100, level: float = 0.3) -> np.ndarray:
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)


def pitch_hz(samples: np.ndarray, rate_hz: int = SAMPLE_RATE_HZ) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), n=8 * len(samples)))
    return float(np.argmax(spectrum) * rate_hz / (8 * len(samples)))


def level_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([FFMPEG, "-y", "-nostdin", "-loglevel", "error", *map(str, arguments)], check=True)


def write_wav(path: Path, samples: np.ndarray, rate_hz: int = 44_100, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate_hz, subtype=subtype, format="WAV")
    return path


def converted(path: Path, samples: np.ndarray, *options: str, rate_hz: int = 44_100) -> Path:
    """Write `samples` in the format of the path's ending, by ffmpeg."""
    ffmpeg("-i", write_wav(path.with_suffix(".source.wav"), samples, rate_hz), *options, path)
    return path


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Every process that reading audio starts."""
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def recorded(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", recorded)
    return started


@pytest.fixture
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize(
    ("ending", "container", "subtype"),
    [
        ("wav", "WAV", "PCM_U8"),
        ("wav", "WAV", "PCM_16"),
        ("wav", "WAV", "PCM_24"),
        ("wav", "WAV", "PCM_32"),
        ("wav", "WAV", "FLOAT"),
        ("wav", "WAV", "DOUBLE"),
        ("wav", "WAVEX", "PCM_24"),
        ("flac", "FLAC", "PCM_16"),
        ("flac", "FLAC", "PCM_24"),
        ("ogg", "OGG", "VORBIS"),
        ("opus", "OGG", "OPUS"),
        ("aiff", "AIFF", "PCM_16"),
        ("aiff", "AIFF", "PCM_24"),
    ],
)
def test_a_tone_survives_the_formats_of_libsndfile(
    tmp_path: Path, ending: str, container: str, subtype: str, processes: list[subprocess.Popen[bytes]]
) -> None:
    rate_hz = 48_000 if subtype == "OPUS" else 44_100
    path = tmp_path / f"tone.{ending}"
    soundfile.write(path, tone(rate_hz=rate_hz), rate_hz, format=container, subtype=subtype)
    loaded = load_audio(path)
    assert_is_the_tone(loaded)
    assert processes == []


VIDEO = ("-f", "lavfi", "-i", "testsrc=duration=2:size=64x64:rate=10", "-map", "0:a", "-map", "1:v")


def assert_is_the_tone(loaded: LoadedAudio) -> None:
    assert loaded.samples.dtype == np.float32
    assert loaded.samples.ndim == 1
    assert pitch_hz(loaded.samples) == pytest.approx(440.0, abs=0.5)
    assert loaded.duration_s == pytest.approx(2.0, abs=0.1)
    middle = loaded.samples[SAMPLE_RATE_HZ // 2 : -SAMPLE_RATE_HZ // 2]
    assert level_db(middle) == pytest.approx(level_db(tone()), abs=1.0)
    assert loaded.warnings == ()


@pytest.mark.parametrize("channels", range(1, 9))
@pytest.mark.parametrize("ending", ["flac", "mka"])
def test_channels_are_averaged(tmp_path: Path, channels: int, ending: str) -> None:
    chord = np.stack([tone(220.0 * (n + 1), seconds=0.5) for n in range(channels)], axis=1)
    path = tmp_path / f"chord.{ending}"
    if ending == "flac":
        soundfile.write(path, chord, 44_100, subtype="PCM_24")
    else:
        converted(path, chord, "-c:a", "pcm_s24le")
    with open_audio(path, sample_rate_hz=44_100) as stream:
        assert stream.channels == channels
        mono = np.concatenate(list(stream))
    np.testing.assert_allclose(mono, chord.mean(axis=1), atol=1e-4)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000])
def test_any_sample_rate_gives_the_same_music(tmp_path: Path, rate_hz: int) -> None:
    path = write_wav(tmp_path / "tone.wav", tone(rate_hz=rate_hz), rate_hz)
    with open_audio(path) as stream:
        assert stream.source_rate_hz == rate_hz
        assert stream.expected_duration_s == pytest.approx(2.0)
        samples = np.concatenate(list(stream))
    assert len(samples) == pytest.approx(2 * SAMPLE_RATE_HZ, abs=2)
    inner = slice(2_000, 40_000)
    np.testing.assert_allclose(samples[inner], tone(rate_hz=SAMPLE_RATE_HZ)[inner], atol=2e-3)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_32", "FLOAT"])
def test_path_bytes_and_array_are_the_same_recording(tmp_path: Path, subtype: str) -> None:
    stereo = np.stack([tone(440.0), tone(660.0)], axis=1)
    path = write_wav(tmp_path / "song.wav", stereo, subtype=subtype)
    if subtype == "PCM_U8":  # soundfile has no such type: the samples are the end of the file
        array: np.ndarray = np.frombuffer(path.read_bytes()[-2 * len(stereo) :], np.uint8).reshape(-1, 2)
    else:
        kind = {"PCM_16": "int16", "PCM_32": "int32", "FLOAT": "float32"}[subtype]
        array = soundfile.read(path, dtype=kind)[0]
    from_path = load_audio(path).samples
    np.testing.assert_array_equal(load_audio(str(path)).samples, from_path)
    np.testing.assert_array_equal(load_audio(path.read_bytes()).samples, from_path)
    np.testing.assert_array_equal(load_audio((array, 44_100)).samples, from_path)
    np.testing.assert_array_equal(load_audio((array.T, 44_100)).samples, from_path)


def test_an_array_is_read_and_never_written() -> None:
    array = np.array([[0.5, np.nan], [-0.5, 0.25]] * 100, np.float32)
    before = array.copy()
    loaded = load_audio((array, SAMPLE_RATE_HZ))
    np.testing.assert_array_equal(array, before)
    np.testing.assert_array_equal(loaded.samples[:2], np.array([0.25, -0.125], np.float32))


def test_full_scale_may_be_exceeded() -> None:
    assert np.max(load_audio((tone(level=3.0), SAMPLE_RATE_HZ)).samples) == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 96_000])
@pytest.mark.parametrize("block_s", [0.05, 0.7, 10.0])
def test_blocks_joined_are_the_whole(rate_hz: int, block_s: float) -> None:
    noise = np.random.default_rng(7).normal(scale=0.1, size=round(13.3 * rate_hz)).astype(np.float32)
    with open_audio((noise, rate_hz), block_s=block_s) as stream:
        blocks = list(stream)
    size = round(block_s * SAMPLE_RATE_HZ)
    assert {len(block) for block in blocks[:-1]} == {size}
    assert 0 < len(blocks[-1]) <= size
    whole = soxr.resample(noise, rate_hz, SAMPLE_RATE_HZ)
    joined = np.concatenate(blocks)
    assert abs(len(joined) - len(whole)) <= 1
    shared = min(len(joined), len(whole))
    np.testing.assert_allclose(joined[:shared], whole[:shared], atol=1e-6)


def test_an_mp3_that_does_not_tell_its_length_is_read_to_its_end(tmp_path: Path) -> None:
    loud_then_still = np.concatenate([np.random.default_rng(1).normal(scale=0.2, size=441_000), np.zeros(441_000)])
    path = converted(tmp_path / "vbr.mp3", loud_then_still, "-q:a", "2", "-write_xing", "0")
    estimate_s = soundfile.info(path).duration
    assert abs(estimate_s - 20.0) > 1.0, "libsndfile no longer guesses: the detour through ffmpeg may go"
    loaded = load_audio(path)
    assert loaded.duration_s == pytest.approx(20.0, abs=0.1)
    assert loaded.warnings == ()


def test_a_flac_of_unknown_length_is_read_to_its_end(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "tone.wav", tone())
    piped = subprocess.run([FFMPEG, "-loglevel", "error", "-i", source, "-f", "flac", "-"], capture_output=True)
    (tmp_path / "piped.flac").write_bytes(piped.stdout)
    assert_is_the_tone(load_audio(tmp_path / "piped.flac"))


def test_m4a_needs_no_installed_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = converted(tmp_path / "tone.m4a", tone())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("IMAGEIO_FFMPEG_EXE", raising=False)
    assert find_ffmpeg() == FFMPEG
    assert_is_the_tone(load_audio(path))


def test_without_any_ffmpeg_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = converted(tmp_path / "tone.m4a", tone())

    def none() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", none)
    with pytest.raises(AudioDecodeError, match="install ffmpeg or imageio-ffmpeg"):
        load_audio(path)


@pytest.mark.parametrize("prefix", ["concat:", "subfile,,start,0,end,0,,:", "http://127.0.0.1:9/", "-f lavfi -i sine "])
def test_a_name_is_only_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    monkeypatch.chdir(tmp_path)
    converted(tmp_path / "secret.m4a", tone())
    with pytest.raises(AudioDecodeError, match="does not exist"):
        load_audio(f"{prefix}secret.m4a")
    odd = Path(f"{prefix.replace('/', '')}odd.m4a")
    odd.write_bytes(Path("secret.m4a").read_bytes())
    assert_is_the_tone(load_audio(odd))


def test_a_missing_file_a_folder_and_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(AudioDecodeError, match=r'^"gone\.wav" does not exist: '):
        open_audio(tmp_path / "gone.wav")
    with pytest.raises(AudioDecodeError, match="is a folder"):
        open_audio(tmp_path)
    (tmp_path / "empty.mp3").touch()
    with pytest.raises(AudioDecodeError, match=r'^"empty\.mp3" is empty \(0 bytes\)'):
        open_audio(tmp_path / "empty.mp3")
    with pytest.raises(AudioDecodeError, match=r"is empty \(0 bytes\)"):
        open_audio(b"")
    with pytest.raises(AudioDecodeError, match="cannot be opened"):
        open_audio("nul\0.wav")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioDecodeError, match="is a device or a pipe"):
        open_audio(tmp_path / "pipe.wav")


def test_a_video_without_sound_says_so(tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=duration=1:size=64x64", "-c:v", "mpeg4", path)
    with pytest.raises(AudioDecodeError, match=r'"silent\.mp4" has no audio track'):
        load_audio(path)


def test_a_header_without_samples_is_no_recording(tmp_path: Path) -> None:
    for source in (write_wav(tmp_path / "none.wav", np.zeros(0)), (np.zeros(0), 44_100)):
        with pytest.raises(AudioDecodeError, match=r"holds no sound \(0 samples\)"):
            load_audio(source)


def test_silence_and_a_click_are_not_errors(tmp_path: Path) -> None:
    assert not load_audio(write_wav(tmp_path / "still.wav", np.zeros(44_100))).samples.any()
    assert len(load_audio((np.ones(10), SAMPLE_RATE_HZ)).samples) == 10


def test_invalid_samples_become_silence_with_a_warning(tmp_path: Path) -> None:
    samples = tone()
    samples[1000:1010], samples[2000], samples[3000] = np.nan, np.inf, -1e30
    path = write_wav(tmp_path / "holes.wav", samples, subtype="FLOAT")
    with open_audio(path, sample_rate_hz=44_100) as stream:
        read = np.concatenate(list(stream))
    (warning,) = stream.warnings
    assert warning.code == "invalid_samples"
    assert warning.text.startswith("12 of 88,200 samples")
    np.testing.assert_array_equal(read[1000:1010], 0)
    assert read[2000] == read[3000] == 0
    np.testing.assert_allclose(read[4000:], samples[4000:], atol=1e-6)
    with pytest.raises(AudioDecodeError, match="holds only invalid samples"):
        load_audio((np.full(5000, np.nan), 44_100))


def test_an_m4a_without_its_end_says_that_it_is_incomplete(tmp_path: Path) -> None:
    path = converted(tmp_path / "song.m4a", tone(seconds=5.0))
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(AudioDecodeError, match="incomplete MP4 or M4A: download"):
        load_audio(path)


@pytest.mark.parametrize("size", [0xFFFF_FFFF, 0xFFFF_FFD3])
def test_a_recorder_that_streams_its_wav_is_no_sign_of_damage(tmp_path: Path, size: int) -> None:
    data = write_wav(tmp_path / "take.wav", tone()).read_bytes()
    at = data.index(b"data") + 4
    assert_is_the_tone(load_audio(data[:at] + struct.pack("<I", size) + data[at + 4 :]))


def test_a_sound_track_shorter_than_its_image_is_whole(tmp_path: Path) -> None:
    options = [option.replace("duration=2", "duration=5") for option in VIDEO]
    path = converted(tmp_path / "clip.mp4", tone(), *options, "-c:v", "mpeg4")
    assert_is_the_tone(load_audio(path))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ((np.zeros((2, 3, 4)), 44_100), r"the shape \(2, 3, 4\)"),
        ((np.zeros(()), 44_100), r"the shape \(\)"),
        ((np.zeros(100, complex), 44_100), "type complex128"),
        ((np.zeros(100, bool), 44_100), "type bool"),
        ((np.zeros(100, np.int64), 44_100), "type int64"),
        ((np.array(["a", "b"]), 44_100), "type <U1"),
        ((np.zeros(100), 999), "sample rate of 999 Hz"),
        ((np.zeros(100), 768_001), "sample rate of 768,001 Hz"),
        ((np.zeros(100), -44_100), "sample rate of -44,100 Hz"),
        ((np.zeros(100), "44100"), "sample rate of type str"),
        ((np.zeros((1000, 65)), 44_100), "has 65 channels"),
        ((np.zeros((1000, 0)), 44_100), "has 0 channels"),
        ((44_100, np.zeros(100)), r"tuple of \(int, ndarray\)"),
        ((np.zeros(100),), r"tuple of \(ndarray\)"),
        (np.zeros(100), "of type ndarray"),
        (None, "of type NoneType"),
    ],
)
def test_a_bad_array_is_described(source: Any, found: str) -> None:
    with pytest.raises(AudioDecodeError, match=found):
        load_audio(source)


def test_a_file_of_65_channels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioDecodeError, match="has 65 channels: 1 to 64"):
        open_audio(write_wav(tmp_path / "many.wav", np.zeros((100, 65))))


@pytest.mark.parametrize("options", [{"sample_rate_hz": 10}, {"block_s": 0.0}])
def test_impossible_requests_are_the_callers_error(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        open_audio((np.zeros(100), 44_100), **options)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("song.mp3", "song.mp3"),
        ("C:\\Users\\me\\song.mp3", "song.mp3"),
        ("bad\x1b[31m\nname.mp3", "bad�[31m�name.mp3"),
        ("exe\u202e3pm.mp3", "exe�3pm.mp3"),
        ("Björk - Jóga 🎧.flac", "Björk - Jóga 🎧.flac"),
        ("a" * 4000 + ".mp3", "a" * 64 + "…" + "a" * 11 + ".mp3"),
        ("\udcff.wav", "�.wav"),
    ],
)
def test_names_are_made_fit_to_show(name: str, shown: str) -> None:
    with pytest.raises(AudioDecodeError) as caught:
        load_audio(b"no music", name=name)
    assert str(caught.value).startswith(f'"{shown}" is damaged')
    with open_audio((np.ones(100), 44_100), name=name) as stream:
        assert stream.name == shown


@pytest.mark.parametrize(
    ("ending", "options", "needed"),
    [
        ("mp3", (), False),
        ("wav", ("-c:a", "pcm_u8"), False),
        ("wav", ("-c:a", "pcm_s16le"), False),
        ("wav", ("-c:a", "pcm_s24le"), False),
        ("wav", ("-c:a", "pcm_f32le"), False),
        ("wav", ("-c:a", "adpcm_ms"), True),
        ("flac", (), False),
        ("ogg", ("-c:a", "libvorbis"), False),
        ("opus", (), False),
        ("aac", (), False),
        ("m4a", ("-c:a", "aac"), False),
        ("m4a", ("-c:a", "aac", "-movflags", "+faststart"), False),
        ("m4a", ("-c:a", "alac"), True),
        ("mp4", (*VIDEO, "-c:v", "mpeg4", "-c:a", "aac"), False),
        ("webm", (), False),
        ("mka", ("-c:a", "aac"), True),
        ("aiff", (), True),
        ("wma", (), True),
    ],
)
def test_a_copy_is_needed_for_what_browsers_cannot_play(
    tmp_path: Path, ending: str, options: tuple[str, ...], needed: bool
) -> None:
    path = converted(tmp_path / f"tone.{ending}", tone(seconds=0.5), *options)
    disguised = path.rename(tmp_path / ("tone.mp3" if needed else "tone.aiff"))
    assert needs_playable_copy(disguised) is needed


def test_asking_about_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AudioDecodeError, match="does not exist"):
        needs_playable_copy(tmp_path / "gone.aiff")


def test_a_copy_of_no_audio_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioDecodeError, match="not an audio file"):
        playable_copy(b"no music at all", tmp_path / "copy.mp3")
    assert not (tmp_path / "copy.mp3").exists()


def test_a_copy_is_there_only_when_it_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks meanwhile, or after a failure, must not be given half a track."""
    copy = tmp_path / "copies" / "song.playable.mp3"
    copy.parent.mkdir()
    half = tmp_path / "ffmpeg"
    half.write_text(
        f"#!{sys.executable}\nimport sys\nopen(sys.argv[-1].removeprefix('file:'), 'wb').write(b'half a track')\n"
        f"open({str(tmp_path / 'seen')!r}, 'w').write(str(__import__('os').path.exists({str(copy)!r})))\nsys.exit(1)\n"
    )
    half.chmod(half.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("fluxbeat.audio.playback.find_ffmpeg", lambda: str(half))
    with pytest.raises(AudioDecodeError, match="could not be copied to MP3"):
        playable_copy((tone(), 44_100), copy)
    assert (tmp_path / "seen").read_text() == "False"
    assert list(copy.parent.iterdir()) == []


def test_a_copy_has_the_times_of_the_analysis(tmp_path: Path) -> None:
    """A player follows the playhead: sound that starts late, or stands behind other sound, does so in the copy."""
    late = tmp_path / "late.mka"
    ffmpeg("-itsoffset", "2", "-i", write_wav(tmp_path / "tone.wav", tone()), "-c:a", "flac", late)
    analysed = load_audio(late)
    copied = load_audio(playable_copy(late, tmp_path / "copy.mp3"))
    assert copied.duration_s == pytest.approx(analysed.duration_s, abs=0.03)
    for loaded in (analysed, copied):
        onset_s = (np.abs(loaded.samples) > 0.1).argmax() / SAMPLE_RATE_HZ
        assert onset_s == pytest.approx(2.0, abs=0.03)


def test_import_is_quick_and_silent_and_so_is_the_copy_without_ffmpeg_on_path(tmp_path: Path) -> None:
    script = (
        "import sys, numpy, fluxbeat.audio.playback as playback\n"
        "assert not {'pydub', 'imageio_ffmpeg', 'librosa', 'torch'} & set(sys.modules)\n"
        "playback.playable_copy((numpy.ones((5000, 6)), 44_100), sys.argv[1])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-W", "always", "-c", script, tmp_path / "copy.mp3"],
        env=environment,
        capture_output=True,
    )
    assert (run.returncode, run.stderr) == (0, b"")
    assert soundfile.info(tmp_path / "copy.mp3").channels == 1


def test_a_w64_with_a_chunk_of_another_name_tells_that_it_is_cut_off(tmp_path: Path) -> None:
    """Sony's chunks of that format begin with any bytes; one of them may stand before the samples."""
    soundfile.write(tmp_path / "song.w64", tone(), 44_100, format="W64")
    whole = (tmp_path / "song.w64").read_bytes()
    at = whole.index(bytes.fromhex("64617461f3acd3118cd100c04f8edb8a"))
    summary = bytes.fromhex("bc945f925a52d21186dc00c04f8edb8a") + struct.pack("<Q", 32) + bytes(8)
    data = whole[:at] + summary + whole[at:]
    data = data[:16] + struct.pack("<Q", len(data)) + data[24:]
    assert_is_the_tone(load_audio(data))
    assert [warning.code for warning in load_audio(data[: len(data) // 2]).warnings] == ["cut_off"]


@pytest.mark.filterwarnings("error")
def test_single_samples_raise_no_warning_and_hide_no_mirror() -> None:
    """A single sample has a flat spectrum, which has no likeness to anything."""
    rate_hz = SAMPLE_RATE_HZ
    clicks, held = np.zeros(10 * rate_hz, np.float32), np.zeros(10 * rate_hz, np.float32)
    clicks[2048::rate_hz] = 1.0
    held[np.arange(80_000) * rate_hz // 8000] = np.random.default_rng(0).normal(scale=0.1, size=80_000)
    for samples, expected_hz in ((clicks, None), (np.concatenate([held, clicks[: 2 * rate_hz]]), 4000.0)):
        edge = UpperEdge(rate_hz)
        edge.push(samples)
        assert edge.hz == expected_hz


def test_marks_are_gone_through_as_they_come_however_many_there_are() -> None:
    content = b"RIFFWAVE" + b"RIFF" * 2**20
    tracemalloc.start()
    try:
        found = next(places(io.BytesIO(content), re.compile(rb"RIFFWAVE|WAVERIFF"), (b"RI", b"WA")))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found[0] == 0
    assert most < 3 * len(content)


def test_places_are_found_though_one_looks_elsewhere_in_between() -> None:
    content = b"".join(b"RIFFWAVE" + bytes(2**20) for _ in range(10))
    file, found = io.BytesIO(content), []
    for at, _ in places(file, re.compile(rb"RIFFWAVE"), [b"RI"]):
        file.seek(0)
        found.append(at)
    assert found == [number * (2**20 + 8) for number in range(10)]
