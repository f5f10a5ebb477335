"""All sound that a file holds is read, at the times at which a player plays it, and what is amiss is told."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from scipy.signal import butter, sosfilt

from fluxbeat.analysis.engine import analyze
from fluxbeat.audio.decoding import SAMPLE_RATE_HZ, LoadedAudio, load_audio, open_audio
from fluxbeat.audio.ffmpeg_reader import find_ffmpeg
from fluxbeat.audio.parts import parts_of
from fluxbeat.audio.playback import needs_playable_copy

RATE_HZ = 44_100
EXAMPLE = next((Path(__file__).parents[2] / "fluxbeat/web/ui/examples").glob("country*.mp3"))


def tone(hz: float, seconds: float, rate_hz: int = RATE_HZ, channels: int = 1) -> np.ndarray:
    wave = 0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)
    return np.repeat(wave[:, np.newaxis], channels, axis=1)


def rising(seconds: float, rate_hz: int = RATE_HZ) -> np.ndarray:
    """A tone that rises by 300 Hz a second from 300 Hz: its pitch tells the time."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return 0.3 * np.sin(2 * np.pi * (300 * time_s + 150 * time_s**2))


def pitch_hz(loaded: LoadedAudio, begin_s: float, end_s: float) -> float:
    cut = loaded.samples[round(begin_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ)]
    spectrum = np.abs(np.fft.rfft(cut * np.hanning(len(cut)), n=8 * len(cut)))
    return float(np.argmax(spectrum) * SAMPLE_RATE_HZ / (8 * len(cut)))


def onset_s(loaded: LoadedAudio) -> float:
    return float((np.abs(loaded.samples) > 0.1).argmax()) / SAMPLE_RATE_HZ


def codes(loaded: LoadedAudio) -> list[str]:
    return [warning.code for warning in loaded.warnings]


def made(path: Path, samples: np.ndarray, *options: str, rate_hz: int = RATE_HZ, before: tuple[str, ...] = ()) -> Path:
    """Sound in the format of the path's ending, by ffmpeg."""
    source = path.with_name(f"{path.name}.source.wav")
    soundfile.write(source, samples, rate_hz)
    command = [find_ffmpeg(), "-y", "-nostdin", "-loglevel", "error", *before, "-i", source, *options, path]
    subprocess.run(command, check=True)
    return path


def assert_is_rising(loaded: LoadedAudio, seconds: float) -> None:
    assert loaded.duration_s == pytest.approx(seconds, abs=0.06)
    for at_s in (0.4, seconds / 2, seconds - 0.4):
        assert pitch_hz(loaded, at_s - 0.1, at_s + 0.1) == pytest.approx(300 + 300 * at_s, abs=20)


# where each container keeps how long its samples are: a mark, the offset behind it and the form of the number
LENGTHS = {
    "WAV": (b"data", 0, "<I"), "RF64": (b"ds64", 12, "<Q"), "W64": (bytes.fromhex("8cd100c04f8edb8a"), 0, "<Q"),
    "AIFF": (b"SSND", 0, ">I"), "AU": (b".snd", 4, ">I"), "CAF": (b"data", 0, ">Q"),
}  # fmt: skip


def with_length(data: bytes, kind: str, told: int) -> bytes:
    """The file with another length of its samples in the header."""
    mark, offset, form = LENGTHS[kind]
    at = (data.rindex(mark, 0, 8192) if kind == "W64" else data.index(mark)) + len(mark) + offset
    return data[:at] + struct.pack(form, told) + data[at + struct.calcsize(form) :]


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW"])
@pytest.mark.parametrize("kind", LENGTHS)
def test_a_header_that_tells_of_a_third_hides_nothing(tmp_path: Path, kind: str, subtype: str) -> None:
    path = tmp_path / "song"
    soundfile.write(path, rising(3.0), RATE_HZ, format=kind, subtype=subtype)
    whole = path.read_bytes()
    for told in (len(whole) // 3, 0):
        for source in (whole, with_length(whole, kind, told)):
            loaded = load_audio(source)
            assert_is_rising(loaded, 3.0)
            assert codes(loaded) == []


@pytest.mark.parametrize("told", [0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0xFFFF_FFD3])
def test_a_length_that_a_streaming_recorder_writes_is_no_promise(tmp_path: Path, told: int) -> None:
    soundfile.write(tmp_path / "song.wav", rising(3.0), RATE_HZ)
    loaded = load_audio(with_length((tmp_path / "song.wav").read_bytes(), "WAV", told))
    assert_is_rising(loaded, 3.0)
    assert codes(loaded) == []


@pytest.mark.parametrize("told", [None, 0, 60_000, 0xFFFF_FFFF])
def test_chunks_behind_the_samples_are_not_sound(tmp_path: Path, told: int | None) -> None:
    soundfile.write(tmp_path / "song.wav", rising(3.0), RATE_HZ)
    data = (tmp_path / "song.wav").read_bytes()
    words = b"Polka" * 20_000
    chunks = b"LIST" + struct.pack("<I", 12 + len(words)) + b"INFOIGNR" + struct.pack("<I", len(words)) + words
    loaded = load_audio((data if told is None else with_length(data, "WAV", told)) + chunks)
    assert loaded.duration_s == pytest.approx(3.0, abs=0.001)
    assert codes(loaded) == []


@pytest.mark.parametrize("behind", [b"TAG" + bytes(125), bytes(50_000), b"PK\x03\x04" + b"zip" * 200, b"\r\n"])
def test_what_is_no_sound_behind_a_whole_file_is_left(tmp_path: Path, behind: bytes) -> None:
    soundfile.write(tmp_path / "song.wav", rising(3.0), RATE_HZ)
    loaded = load_audio((tmp_path / "song.wav").read_bytes() + behind)
    assert loaded.duration_s == pytest.approx(3.0, abs=0.001)
    assert codes(loaded) == []


def test_all_chunks_of_samples_are_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song.wav", rising(3.0), RATE_HZ)
    data = (tmp_path / "song.wav").read_bytes()
    at = data.index(b"data")
    head, samples = data[:at], data[at + 8 :]
    parts = [samples[:100_000], samples[100_000:150_000], samples[150_000:]]
    chunks = b"".join(b"data" + struct.pack("<I", len(part)) + part + b"note\x02\0\0\0ab" for part in parts)
    loaded = load_audio(head + chunks)
    assert_is_rising(loaded, 3.0)
    assert codes(loaded) == []


def in_chunks(data: bytes, mark: bytes, size: str, cuts: list[int], between: bytes, skipped: int = 0) -> bytes:
    """The file with its samples in several chunks, cut at these bytes, and others between them."""
    at = data.index(mark)
    head, samples = data[:at], data[at + 8 + skipped :]
    edges = zip([0, *cuts], [*cuts, len(samples)], strict=True)
    chunks = (samples[first:end] for first, end in edges)
    return head + between.join(mark + struct.pack(size, len(one) + skipped) + bytes(skipped) + one for one in chunks)


@pytest.mark.parametrize("between", [b"", b"LIST" + struct.pack("<I", 12) + b"INFOICMT" + bytes(4), b"JUNK" + bytes(4)])
@pytest.mark.parametrize(
    ("kind", "subtype", "cuts"),
    [
        ("WAV", "PCM_16", [0]),
        ("WAV", "PCM_16", [100_000]),
        ("WAV", "PCM_24", [0, 60_000, 300_000]),
        ("RF64", "PCM_16", [120_000]),
        ("WAV", "IMA_ADPCM", [20_480]),
        ("AIFF", "PCM_16", [120_000, 200_000]),
    ],
)
def test_chunks_of_samples_are_joined_whatever_stands_between(
    tmp_path: Path, kind: str, subtype: str, cuts: list[int], between: bytes
) -> None:
    soundfile.write(tmp_path / "song", rising(3.0), RATE_HZ, format=kind, subtype=subtype)
    data = (tmp_path / "song").read_bytes()
    mark, size, skipped = (b"SSND", ">I", 8) if kind == "AIFF" else (b"data", "<I", 0)
    if kind == "AIFF":
        between = between[:4] + between[4:8][::-1] + between[8:]
    loaded = load_audio(in_chunks(data, mark, size, cuts, between, skipped))
    assert_is_rising(loaded, 3.0)
    assert codes(loaded) == []


def test_samples_in_a_list_of_chunks_are_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song.wav", rising(3.0), RATE_HZ)
    data = (tmp_path / "song.wav").read_bytes()
    listed = b"wavl" + in_chunks(data, b"data", "<I", [100_000], b"")[data.index(b"data") :]
    loaded = load_audio(data[: data.index(b"data")] + b"LIST" + struct.pack("<I", len(listed)) + listed)
    assert_is_rising(loaded, 3.0)
    assert codes(loaded) == []


def test_a_last_chunk_of_untold_size_hides_none_before_it(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song.wav", np.repeat(rising(3.0)[:, None], 2, axis=1), RATE_HZ, subtype="PCM_24")
    data = bytearray(in_chunks((tmp_path / "song.wav").read_bytes(), b"data", "<I", [120_000], b""))
    struct.pack_into("<I", data, data.rindex(b"data") + 4, 0xFFFF_FFFF)
    loaded = load_audio(bytes(data))
    assert_is_rising(loaded, 3.0)
    assert np.abs(loaded.samples).max() < 0.31, "the header of the second chunk is no sound"
    assert codes(loaded) == []


def test_adpcm_of_untold_length_is_read_to_its_end(tmp_path: Path) -> None:
    data = made(tmp_path / "song.wav", rising(3.0), "-c:a", "adpcm_ms").read_bytes()
    assert_is_rising(load_audio(with_length(data, "WAV", 20_000)), 3.0)


@pytest.mark.parametrize(("share", "told"), [(0.3, []), (0.0, []), (3.0, ["cut_off"])])
def test_flac_is_read_to_its_end_whatever_its_header_tells(tmp_path: Path, share: float, told: list[str]) -> None:
    soundfile.write(tmp_path / "song.flac", rising(3.0), RATE_HZ)
    data = bytearray((tmp_path / "song.flac").read_bytes())
    data[22:26] = struct.pack(">I", round(3.0 * RATE_HZ * share))
    loaded = load_audio(bytes(data))
    assert_is_rising(loaded, 3.0)
    assert codes(loaded) == told
    assert not told or "3.0 of 9.0 s" in loaded.warnings[0].text


APE = b"APETAGEX" + struct.pack("<IIII", 2000, 48, 1, 0x8000_0000) + bytes(8)
"""The footer of tags of APEv2 with one of them, which is the same as their header."""
TAGS = APE + struct.pack("<II", 5, 0) + b"Genre\0Pol" + APE
AT_THE_END = {
    "ID3v1": b"TAG" + b"Polka" * 25,
    "APEv2": TAGS,
    "both": TAGS + b"TAG" + bytes(125),
    "zeros": bytes(50_000),
}
ENDINGS = {
    "flac": (), "wv": (), "tta": (), "ac3": (), "mp3": ("-b:a", "128k"), "aac": (), "au": (), "caf": (), "w64": (),
    "opus": (), "ogg": ("-c:a", "libvorbis"), "wma": (), "aiff": (), "mka": ("-c:a", "flac"),
}  # fmt: skip


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_whole_file_with_tags_at_its_end_is_whole(tmp_path: Path, ending: str) -> None:
    data = made(tmp_path / f"song.{ending}", rising(3.0), *ENDINGS[ending]).read_bytes()
    for name, tags in AT_THE_END.items():
        loaded = load_audio(data + tags)
        assert loaded.duration_s == pytest.approx(3.0, abs=0.08), name
        assert codes(loaded) == [], name


def test_a_flac_of_untrue_length_with_a_tag_at_its_end_is_whole(tmp_path: Path) -> None:
    data = bytearray(made(tmp_path / "song.flac", rising(3.0)).read_bytes())
    data[22:26] = struct.pack(">I", RATE_HZ)
    loaded = load_audio(bytes(data) + AT_THE_END["ID3v1"])
    assert_is_rising(loaded, 3.0)
    assert codes(loaded) == []


def test_mp3_within_wav_is_no_damage(tmp_path: Path) -> None:
    data = bytearray(made(tmp_path / "song.wav", rising(3.0), "-c:a", "libmp3lame").read_bytes())
    struct.pack_into("<I", data, data.index(b"data") + 4, len(data) // 3)
    loaded = load_audio(bytes(data))
    assert loaded.duration_s == pytest.approx(3.0, abs=0.08)
    assert codes(loaded) == []


def with_xing(data: bytes, *, frames: float = 1.0, vbri: bool = False) -> bytes:
    """An MP3 whose first frame tells of another number of frames, or tells it as the Fraunhofer encoder does."""
    at = data.index(b"Info" if b"Info" in data[:4096] else b"Xing")
    (count,) = struct.unpack_from(">I", data, at + 8)
    count = round(count * frames)
    if vbri:
        begin = data.rindex(b"\xff\xfb", 0, at) + 36
        told = b"VBRI" + struct.pack(">HHHII", 1, 0, 100, len(data), count) + bytes(8)
        return data[:begin] + told + data[begin + len(told) :]
    return data[: at + 8] + struct.pack(">I", count) + data[at + 12 :]


@pytest.mark.parametrize("vbri", [False, True])
@pytest.mark.parametrize("frames", [1 / 3, 0.0, 1.0, 3.0])
def test_mp3_is_read_to_its_end_whatever_its_first_frame_tells(tmp_path: Path, frames: float, vbri: bool) -> None:
    data = made(tmp_path / "song.mp3", rising(4.0), "-q:a", "2", "-ac", "2").read_bytes()
    loaded = load_audio(with_xing(data, frames=frames, vbri=vbri))
    assert_is_rising(loaded, 4.0)
    assert codes(loaded) == []


def test_an_mp3_without_its_end_tells_how_much_is_missing(tmp_path: Path) -> None:
    data = made(tmp_path / "song.mp3", rising(4.0), "-b:a", "128k").read_bytes()
    (warning,) = load_audio(data[: len(data) // 2]).warnings
    assert warning.code == "cut_off"
    assert "of 4.0 s" in warning.text


def test_nothing_of_decoders_reaches_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = made(tmp_path / "song.mp3", rising(4.0, 22_050), "-b:a", "64k", rate_hz=22_050).read_bytes()
    noise = np.random.default_rng(1).bytes(3000)
    half = len(whole) // 2
    for data in (whole[:half], whole[:half] + noise + whole[half:], whole + b"TAG" + bytes(125), whole + whole[4000:]):
        load_audio(data)
    assert capfd.readouterr() == ("", "")


def test_damage_in_the_middle_tells_how_much_it_cost(tmp_path: Path) -> None:
    whole = made(tmp_path / "song.mp3", rising(6.0), "-b:a", "128k").read_bytes()
    half = len(whole) // 2
    noise = np.random.default_rng(1).bytes(16_000)
    loaded = load_audio(whole[:half] + noise + whole[half + 16_000 :])
    assert codes(loaded) == ["damaged"]
    lost_s = 6.0 - loaded.duration_s
    assert 0.8 < lost_s < 1.5
    assert f"about {lost_s:.1f} of 6.0 s" in loaded.warnings[0].text
    assert pitch_hz(loaded, 0.9, 1.1) == pytest.approx(600, abs=20)


JOINED = {
    "mp3": ("-b:a", "128k"), "ogg": ("-c:a", "libvorbis"), "opus": ("-c:a", "libopus"), "oga": ("-c:a", "flac"),
    "flac": (), "wav": (), "aiff": (), "w64": (), "m4a": ("-c:a", "aac"), "webm": ("-c:a", "libopus"), "wma": (),
    "mka": ("-c:a", "libvorbis"), "aac": ("-b:a", "96k"), "caf": (), "wv": (), "tta": (), "au": (), "ac3": (),
    "mp2": (),
}  # fmt: skip


SERIALS = ("ogg", "oga", "opus")
"""Chained streams may have the same serial number, or another."""


@pytest.mark.parametrize(
    ("ending", "serial"),
    [(ending, "1") for ending in JOINED if ending not in ("wma", "webm")] + [(ending, "2") for ending in SERIALS],
)
def test_joined_files_are_analysed_one_after_another(tmp_path: Path, ending: str, serial: str) -> None:
    number = (lambda one: ("-serial_offset", one)) if ending in SERIALS else lambda one: ()
    first = made(tmp_path / f"a.{ending}", tone(440, 2.0), *JOINED[ending], *number("1"))
    second = made(tmp_path / f"b.{ending}", tone(880, 2.0), *JOINED[ending], *number(serial))
    loaded = load_audio(first.read_bytes() + second.read_bytes())
    assert loaded.duration_s == pytest.approx(4.0, abs=0.1)
    assert pitch_hz(loaded, 0.5, 1.5) == pytest.approx(440, abs=2)
    assert pitch_hz(loaded, 2.5, 3.5) == pytest.approx(880, abs=2)
    assert codes(loaded) == []


@pytest.mark.parametrize(("rates_hz", "channels"), [((44_100, 48_000), (1, 2)), ((48_000, 22_050), (2, 1))])
@pytest.mark.parametrize("ending", ["mp3", "ogg", "flac", "wav"])
def test_joined_files_may_differ_in_rate_and_channels(
    tmp_path: Path, ending: str, rates_hz: tuple[int, int], channels: tuple[int, int]
) -> None:
    files = [
        made(tmp_path / f"{n}.{ending}", tone(hz, 2.0, rate_hz, count), *JOINED[ending], rate_hz=rate_hz).read_bytes()
        for n, (hz, rate_hz, count) in enumerate(zip((440, 880), rates_hz, channels, strict=True))
    ]
    loaded = load_audio(b"".join(files))
    assert loaded.duration_s == pytest.approx(4.0, abs=0.1)
    assert pitch_hz(loaded, 0.5, 1.5) == pytest.approx(440, abs=2)
    assert pitch_hz(loaded, 2.5, 3.5) == pytest.approx(880, abs=2)
    level = [np.abs(loaded.samples[round(at_s * SAMPLE_RATE_HZ) :][:11_025]).max() for at_s in (0.8, 2.8)]
    assert level == pytest.approx([0.3, 0.3], abs=0.05)
    assert codes(loaded) == []


def test_frames_are_found_behind_many_megabytes_of_what_looks_like_their_marks(tmp_path: Path) -> None:
    noise = np.random.default_rng(4).uniform(-1, 1, (30 * RATE_HZ, 2))
    soundfile.write(tmp_path / "noise.flac", noise, RATE_HZ)
    behind = made(tmp_path / "tone.aac", tone(440, 2.0), "-b:a", "96k").read_bytes()
    loaded = load_audio((tmp_path / "noise.flac").read_bytes() + behind)
    assert loaded.duration_s == pytest.approx(32.0, abs=0.1)
    assert pitch_hz(loaded, 30.5, 31.5) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("ending", ["flac", "ogg"])
def test_long_silence_is_one_recording_though_all_its_frames_are_alike(tmp_path: Path, ending: str) -> None:
    """Frames of FLAC begin as those of AAC may, and where each has 14 bytes, one stands wherever one is looked for."""
    silence = np.zeros(440 * 8000)
    path = made(tmp_path / f"song.{ending}", silence, "-c:a", "flac", "-frame_size", "256", rate_hz=8000)
    with path.open("rb") as file:
        assert len(parts_of(file)[0]) == 1
    loaded = load_audio(path, sample_rate_hz=8000)
    assert loaded.duration_s == 440.0
    assert codes(loaded) == []


def test_of_joined_files_the_one_whose_channels_cancel_is_told(tmp_path: Path) -> None:
    one, two = tone(440, 2.0), tone(880, 4.0, channels=2) * [1, -1]
    files = [made(tmp_path / f"{n}.flac", samples).read_bytes() for n, samples in enumerate((one, two))]
    loaded = load_audio(b"".join(files))
    assert pitch_hz(loaded, 2.5, 3.5) == pytest.approx(880, abs=2)
    assert codes(loaded) == ["stereo_cancels"]
    assert "recording 2 of 2" in loaded.warnings[0].text


def test_of_joined_files_the_broken_one_is_named(tmp_path: Path) -> None:
    whole = made(tmp_path / "a.ogg", tone(440, 2.0), "-c:a", "libvorbis").read_bytes()
    loaded = load_audio(whole + whole[: len(whole) // 2] + whole)
    assert codes(loaded) == ["cut_off"]
    assert "recording 2 of 3" in loaded.warnings[0].text


@pytest.mark.parametrize("ending", [*ENDINGS, "wav", "m4a", "mp2"])
def test_what_lies_behind_the_sound_and_is_none_is_told(tmp_path: Path, ending: str) -> None:
    whole = made(tmp_path / f"song.{ending}", rising(3.0), *ENDINGS.get(ending, ())).read_bytes()
    packed = b"PK\x03\x04\x14\0\0\0\x08\0" + np.random.default_rng(1).bytes(60_000)
    loaded = load_audio(whole + packed)
    assert loaded.duration_s == pytest.approx(3.0, abs=0.08)
    assert codes(loaded) == ["undecoded"]
    assert "60 kB behind the sound" in loaded.warnings[0].text


@pytest.mark.parametrize("ending", ["ogg", "opus"])
@pytest.mark.parametrize("size", [5_000, 300_000])
def test_behind_the_last_page_of_ogg_nothing_is_sound(tmp_path: Path, ending: str, size: int) -> None:
    whole = made(tmp_path / f"song.{ending}", rising(3.0), *ENDINGS[ending]).read_bytes()
    loaded = load_audio(whole + np.random.default_rng(2).bytes(size))
    assert loaded.duration_s == pytest.approx(3.0, abs=0.08)
    assert codes(loaded) == ["undecoded"]
    assert f"{size // 1000} kB behind the sound" in loaded.warnings[0].text


@pytest.mark.parametrize(
    "endings",
    [
        ("flac", "mp3"), ("mp3", "flac"), ("mp3", "ogg"), ("mp3", "wav"), ("ogg", "m4a"), ("m4a", "wav"),
        ("wav", "mp3"), ("wav", "flac"), ("aiff", "ogg"), ("caf", "mp3"), ("w64", "flac"), ("au", "mp3"),
        ("wma", "mp3"), ("wv", "mp3"), ("mka", "flac"), ("aac", "mp3"), ("ac3", "wav"), ("flac", "mp3", "wav"),
        # streams of frames without a header, and others between two of a kind
        ("flac", "aac"), ("flac", "ac3"), ("flac", "mp2"), ("mp3", "aac"), ("mp3", "ac3"), ("mp3", "mp2"),
        ("wav", "aac"), ("wav", "ac3"), ("wav", "mp2"), ("aac", "ac3"), ("wav", "aac", "wav"), ("ogg", "ac3", "ogg"),
        ("flac", "mp3", "flac"), ("mp3", "flac", "mp3"), ("flac", "aac", "flac"), ("ogg", "mp3", "ogg"),
        ("wv", "flac", "wv"), ("flac", "flac", "mp3", "flac"),
    ],
    ids="-".join,
)  # fmt: skip
def test_joined_files_of_different_kinds_are_all_read(tmp_path: Path, endings: tuple[str, ...]) -> None:
    pitches_hz = (440, 880, 1320, 660)[: len(endings)]
    files = [
        made(tmp_path / f"{hz}.{ending}", tone(hz, 2.0), *JOINED[ending]).read_bytes()
        for hz, ending in zip(pitches_hz, endings, strict=True)
    ]
    loaded = load_audio(b"".join(files))
    assert loaded.duration_s == pytest.approx(2.0 * len(files), abs=0.1)
    for number, hz in enumerate(pitches_hz):
        assert pitch_hz(loaded, 2 * number + 0.5, 2 * number + 1.5) == pytest.approx(hz, abs=2)
    assert codes(loaded) == []


LATE = {
    "m4a": ("-c:a", "aac"), "mka": ("-c:a", "libvorbis"), "webm": ("-c:a", "libopus"), "wma": ("-c:a", "wmav2"),
}  # fmt: skip


@pytest.mark.parametrize("delay_s", [0.7, 3.0])
@pytest.mark.parametrize("ending", LATE)
def test_sound_that_a_container_starts_late_is_late(tmp_path: Path, ending: str, delay_s: float) -> None:
    path = made(tmp_path / f"late.{ending}", tone(440, 2.0), *LATE[ending], before=("-itsoffset", str(delay_s)))
    loaded = load_audio(path)
    assert onset_s(loaded) == pytest.approx(delay_s, abs=0.06)
    assert loaded.duration_s == pytest.approx(delay_s + 2.0, abs=0.1)
    assert codes(loaded) == []


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov"])
def test_sound_that_begins_after_its_image_is_late(tmp_path: Path, ending: str) -> None:
    source = tmp_path / "tone.wav"
    soundfile.write(source, tone(440, 2.0), RATE_HZ)
    image = ["-f", "lavfi", "-i", "testsrc=duration=5:size=64x64:rate=5"]
    command = [find_ffmpeg(), "-nostdin", "-loglevel", "error", *image, "-itsoffset", "2", "-i", source]
    path = tmp_path / f"clip.{ending}"
    subprocess.run([*command, "-c:v", "mpeg4", "-c:a", "aac", path], check=True)
    loaded = load_audio(path)
    assert onset_s(loaded) == pytest.approx(2.0, abs=0.06)
    assert codes(loaded) == []


FILMS = {
    "ts": ("-c:v", "mpeg2video", "-c:a", "mp2"), "m2ts": ("-c:v", "mpeg2video", "-c:a", "ac3"),
    "mpg": ("-c:v", "mpeg1video", "-c:a", "mp2"), "avi": ("-c:v", "mpeg4", "-c:a", "libmp3lame"),
}  # fmt: skip


def film(path: Path, delay_s: float) -> Path:
    """Four seconds of picture, and two of a tone that begins so late."""
    source = path.with_name("tone.wav")
    soundfile.write(source, tone(440, 2.0), RATE_HZ)
    image = ["-f", "lavfi", "-i", "testsrc=duration=4:size=64x64:rate=25", "-itsoffset", str(delay_s), "-i", source]
    command = [find_ffmpeg(), "-y", "-nostdin", "-loglevel", "error", *image, *FILMS[path.suffix[1:]], path]
    subprocess.run(command, check=True)
    if path.suffix == ".avi":  # ffmpeg leaves the start at 0: the ninth number of the header of the sound's stream
        data = bytearray(path.read_bytes())
        at = data.index(b"auds") + 28
        scale, rate = struct.unpack_from("<II", data, at - 8)
        struct.pack_into("<I", data, at, round(delay_s * rate / scale))
        path.write_bytes(data)
    return path


@pytest.mark.parametrize("ending", FILMS)
def test_sound_that_begins_after_the_image_of_a_running_clock_is_late(tmp_path: Path, ending: str) -> None:
    late = load_audio(film(tmp_path / f"late.{ending}", 1.5))
    assert onset_s(late) == pytest.approx(1.5, abs=0.06)
    assert late.duration_s == pytest.approx(3.5, abs=0.1)
    at_once = load_audio(film(tmp_path / f"once.{ending}", 0.0))
    assert onset_s(at_once) == pytest.approx(0.0, abs=0.06)
    assert codes(late) == codes(at_once) == []


def test_a_clock_that_begins_anew_costs_no_sound(tmp_path: Path) -> None:
    recorded = film(tmp_path / "part.ts", 0.5).read_bytes()
    assert load_audio(recorded + recorded).duration_s == pytest.approx(0.5 + 2 * 2.0, abs=0.2)


def test_an_edit_list_that_leaves_out_the_beginning_is_followed(tmp_path: Path) -> None:
    whole = made(tmp_path / "whole.m4a", rising(4.0), "-c:a", "aac")
    cut = tmp_path / "cut.m4a"
    command = [find_ffmpeg(), "-nostdin", "-loglevel", "error", "-ss", "1.5", "-i", whole, "-c", "copy", cut]
    subprocess.run(command, check=True)
    loaded = load_audio(cut)
    assert loaded.duration_s == pytest.approx(2.5, abs=0.1)
    assert pitch_hz(loaded, 0.9, 1.1) == pytest.approx(300 + 300 * 2.5, abs=20)
    assert codes(loaded) == []


def test_an_edit_list_that_leaves_all_out_is_not_followed(tmp_path: Path) -> None:
    data = bytearray(made(tmp_path / "song.m4a", rising(3.0), "-c:a", "aac").read_bytes())
    struct.pack_into(">I", data, data.index(b"elst") + 12, 0)
    loaded = load_audio(bytes(data))
    assert_is_rising(loaded, 3.0)
    assert codes(loaded) == []


@pytest.mark.parametrize(
    ("ending", "options"), [("mp3", ("-b:a", "128k")), ("m4a", ("-c:a", "aac")), ("opus", ()), ("ogg", ())]
)
def test_the_delay_of_the_encoder_is_taken_out(tmp_path: Path, ending: str, options: tuple[str, ...]) -> None:
    silent_then_tone = np.concatenate([np.zeros((22_050, 1)), tone(440, 1.0)])
    loaded = load_audio(made(tmp_path / f"song.{ending}", silent_then_tone, *options))
    assert onset_s(loaded) == pytest.approx(0.5, abs=0.006)


def stereo_music(seconds: float = 6.0) -> np.ndarray:
    """An example's first seconds, with a middle and two sides: (samples, 2)."""
    mono, rate_hz = soundfile.read(EXAMPLE, frames=round(2 * seconds * RATE_HZ), always_2d=True)
    mono = soxr.resample(mono.mean(axis=1), rate_hz, RATE_HZ)[: round(seconds * RATE_HZ)]
    side = 0.3 * np.roll(mono, 4000)
    return np.stack([mono + side, mono - side], axis=1) / 2


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def test_stereo_whose_channels_cancel_is_analysed_and_told() -> None:
    stereo = stereo_music()
    plain = load_audio((stereo, RATE_HZ))
    turned = load_audio((stereo * [1, -1], RATE_HZ))
    exact = load_audio((stereo[:, :1] * [1, -1], RATE_HZ))
    assert codes(plain) == []
    assert codes(turned) == codes(exact) == ["stereo_cancels"]
    left = load_audio((stereo[:, 0], RATE_HZ)).samples
    np.testing.assert_allclose(np.abs(exact.samples), np.abs(left), atol=1e-5)
    sides = [left, -load_audio((stereo[:, 1], RATE_HZ)).samples]
    assert min(np.abs(turned.samples - side).max() for side in sides) < 1e-5


def test_channels_that_cancel_for_a_part_are_analysed_there_too() -> None:
    stereo = np.concatenate([stereo_music(), stereo_music() * [1, -1], stereo_music()])
    loaded = load_audio((stereo, RATE_HZ))
    assert codes(loaded) == ["stereo_cancels"]
    assert "in 6 of 18 s" in loaded.warnings[0].text
    part = 6 * SAMPLE_RATE_HZ
    levels = [rms(loaded.samples[n * part + 22_050 : (n + 1) * part - 22_050]) for n in range(3)]
    assert levels[1] == pytest.approx(levels[0], rel=0.25)
    assert levels[2] == pytest.approx(levels[0], rel=0.01)


@pytest.mark.parametrize("turn_s", [0.3, 0.5])
def test_channels_whose_phase_turns_again_and_again_are_analysed_all_along(turn_s: float) -> None:
    stereo = stereo_music(12.0)
    turned = np.arange(len(stereo)) // round(turn_s * RATE_HZ) % 2 == 1
    loaded = load_audio((np.where(turned[:, None], stereo[:, :1] * [1, -1], stereo[:, :1]), RATE_HZ))
    assert codes(loaded) == ["stereo_cancels"]
    assert re.search("in [56] of 12 s", loaded.warnings[0].text)
    left = load_audio((stereo[:, 0], RATE_HZ)).samples
    assert np.abs(np.abs(loaded.samples) - np.abs(left)).max() < 1e-3


def test_a_bass_that_cancels_alone_is_told() -> None:
    stereo = stereo_music()
    bass = tone(55, 6.0)
    for plain in (stereo + bass, stereo, stereo + bass * [1, 0], stereo + 0.01 * bass * [1, -1]):
        assert codes(load_audio((plain, RATE_HZ))) == []
    treble = sosfilt(butter(4, 250, "highpass", fs=RATE_HZ, output="sos"), stereo, axis=0)
    loaded = load_audio((treble + 0.6 * rms(treble) / rms(bass) * bass * [1, -1], RATE_HZ))
    assert codes(loaded) == ["stereo_cancels"]
    assert "in the bass" in loaded.warnings[0].text


def test_wide_stereo_and_one_channel_alone_are_averaged() -> None:
    rng = np.random.default_rng(2)
    apart = rng.normal(scale=0.1, size=(6 * RATE_HZ, 2))
    centre = np.zeros((6 * RATE_HZ, 6))
    centre[:, 2] = apart[:, 0]
    for channels in (apart, centre, apart * [1, 0]):
        loaded = load_audio((channels, RATE_HZ))
        assert codes(loaded) == []
        expected = load_audio((channels.mean(axis=1), RATE_HZ)).samples
        np.testing.assert_allclose(loaded.samples, expected, atol=1e-5)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000])
def test_a_band_that_ends_low_is_told_also_in_a_file_of_full_rate(rate_hz: int) -> None:
    music = load_audio(EXAMPLE).samples
    narrow = soxr.resample(music, SAMPLE_RATE_HZ, rate_hz)
    for source in ((narrow, rate_hz), (soxr.resample(narrow, rate_hz, RATE_HZ), RATE_HZ)):
        with open_audio(source) as stream:
            list(stream)
        assert [warning.code for warning in stream.warnings] == ["narrow_band"]
        assert stream.upper_edge_hz == pytest.approx(rate_hz / 2, rel=0.12)


@pytest.mark.parametrize("order", [4, 6, 10])
def test_a_telephone_with_gentle_filters_is_told(order: int) -> None:
    music = soxr.resample(load_audio(EXAMPLE).samples, SAMPLE_RATE_HZ, RATE_HZ)
    band = butter(order, [300, 3_400], "bandpass", fs=RATE_HZ, output="sos")
    for filtered in (sosfilt(butter(order, 3_400, fs=RATE_HZ, output="sos"), music), sosfilt(band, music)):
        with open_audio((filtered, RATE_HZ)) as stream:
            list(stream)
        assert [warning.code for warning in stream.warnings] == ["narrow_band"]
        assert 3_000 <= stream.upper_edge_hz <= 4_400
        assert "as on a telephone" in stream.warnings[0].text


@pytest.mark.parametrize(("low_hz", "rate_hz"), [(8_000, 48_000), (8_000, 44_100), (11_025, 44_100)])
def test_a_low_rate_is_told_also_where_its_samples_were_held(low_hz: int, rate_hz: int) -> None:
    music = load_audio(EXAMPLE).samples
    narrow = soxr.resample(music, SAMPLE_RATE_HZ, low_hz)
    at = np.arange(round(len(narrow) * rate_hz / low_hz)) * low_hz / rate_hz
    for widened in (narrow[at.astype(int)], np.interp(at, np.arange(len(narrow)), narrow)):
        with open_audio((widened, rate_hz)) as stream:
            list(stream)
        assert [warning.code for warning in stream.warnings] == ["narrow_band"]
        assert stream.upper_edge_hz == pytest.approx(low_hz / 2, rel=0.12)


@pytest.mark.parametrize("example", sorted(EXAMPLE.parent.glob("*.mp3")), ids=lambda path: path.stem)
def test_music_of_full_band_has_no_edge(example: Path) -> None:
    assert codes(load_audio(example)) == []


def test_a_tone_has_no_treble_to_miss() -> None:
    assert codes(load_audio((tone(440, 3.0)[:, 0], RATE_HZ))) == []


def test_what_a_browser_would_play_in_part_is_copied_for_it(tmp_path: Path) -> None:
    plain = tmp_path / "song.wav"
    soundfile.write(plain, rising(2.0), RATE_HZ)
    untrue, joined = tmp_path / "untrue.wav", tmp_path / "joined.wav"
    untrue.write_bytes(with_length(plain.read_bytes(), "WAV", 20_000))
    joined.write_bytes(plain.read_bytes() * 2)
    assert [needs_playable_copy(path) for path in (plain, untrue, joined)] == [False, True, True]


def test_no_genre_is_sure_where_the_treble_is_missing() -> None:
    music = load_audio(EXAMPLE).samples
    narrow = soxr.resample(music, SAMPLE_RATE_HZ, 8_000)
    whole, telephone = analyze((music, SAMPLE_RATE_HZ), "cnn"), analyze((narrow, 8_000), "cnn")
    assert not whole.warned("narrow_band")
    assert telephone.warned("narrow_band")
    assert not any(genre.active for genre in telephone.genres)
    assert not any(segment.labels for segment in telephone.segments)


def test_a_moment_of_sound_has_neither_genre_nor_tempo() -> None:
    for samples in (load_audio(EXAMPLE).samples[:1], load_audio(EXAMPLE).samples[: round(0.9 * SAMPLE_RATE_HZ)]):
        found = analyze((samples, SAMPLE_RATE_HZ), "cnn")
        assert found.warned("too_short")
        assert not any(genre.active for genre in found.genres)
        assert found.tempo.bpm is None


def test_silence_within_a_track_is_silence_in_timeline_and_segments() -> None:
    music = load_audio(EXAMPLE).samples[: 12 * SAMPLE_RATE_HZ]
    found = analyze((np.concatenate([music, np.zeros(15 * SAMPLE_RATE_HZ), music]), SAMPLE_RATE_HZ), "cnn")
    (silent,) = [segment for segment in found.segments if segment.kind == "silence"]
    assert silent.start_s == pytest.approx(12.0, abs=1.0)
    assert silent.end_s == pytest.approx(27.0, abs=1.0)
    assert silent.labels == ()
    inside = (found.timeline.start_s >= 12.1) & (found.timeline.start_s + found.timeline.window_s <= 26.9)
    assert inside.any()
    assert not found.timeline.probability[inside].any()
