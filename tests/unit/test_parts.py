"""Where recordings that stand one after another in one file begin and end."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from fluxbeat.audio import beginnings, parts
from fluxbeat.audio.parts import Part, parts_of
from fluxbeat.audio.source import places

MP3_FRAME = b"\xff\xfb\x90\x00" + bytes(413)
MP3 = MP3_FRAME * 20
ASF_NAME = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")


def adts_frame(content: bytes, second: int = 0xF1) -> bytes:
    size = 7 + len(content)
    return bytes([0xFF, second, 0x50, 0x80 | size >> 11, size >> 3 & 255, (size & 7) << 5 | 0x1F, 0xFC]) + content


def flac() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(44_100), 44_100, format="FLAC")
    return file.getvalue()


@pytest.mark.parametrize(
    "malformed",
    [b"\0\0\0\x20ftypM4A ", b"\0\0\0\x03ftypM4A " + b"x" * 5000, ASF_NAME, b"fLaC\0\0\0\x22", b"OggS\0\2"],
)
def test_no_part_is_empty(malformed: bytes) -> None:
    """Of each part a decoder is asked: a thousand empty ones kept a tiny file busy for minutes."""
    assert parts_of(io.BytesIO(malformed)) == ([Part(0, len(malformed))], 0)
    behind_music, _ = parts_of(io.BytesIO(MP3 + malformed))
    assert len(behind_music) <= 2
    assert all(part.end > part.begin for part in behind_music)


@pytest.mark.parametrize("back", [0, 4])
def test_parts_move_on_wherever_one_seems_to_end(monkeypatch: pytest.MonkeyPatch, back: int) -> None:
    monkeypatch.setattr(parts, "end_of_file", lambda file, begin, end: begin - back)
    assert parts_of(io.BytesIO(MP3)) == ([Part(0, len(MP3))], 0)


def test_the_next_file_is_looked_for_from_a_place_on_and_not_before_it() -> None:
    file = io.BytesIO(b"\0\0\0\x20ftypM4A " + bytes(20))
    assert beginnings.next_file(file, 0, 32) == 0
    assert beginnings.next_file(file, 2, 32) == 32


def test_two_bytes_like_those_of_mp3_do_not_split_aac() -> None:
    """Behind a tag MP3 may begin late, and only there: in AAC its marks stand by chance."""
    content = bytearray(600)
    content[20:24] = content[20 + 417 : 24 + 417] = MP3_FRAME[:4]
    aac = adts_frame(bytes(content)) + adts_frame(bytes(500)) * 10
    tag = b"ID3\x04\0\0\0\0\0\0"
    for sound in (aac, tag + aac):
        assert parts_of(io.BytesIO(sound))[0] == [Part(0, len(sound))]
    late = tag + bytes(100) + MP3
    assert parts_of(io.BytesIO(late + late))[0] == [Part(0, len(late)), Part(len(late), 2 * len(late))]


@pytest.mark.parametrize("mark", [b"\xff\xfb", b"\xff\xf1", b"\xff\xfd"])
def test_what_cannot_go_on_as_a_frame_is_passed_over(mark: bytes) -> None:
    """Megabytes of the two bytes with which frames begin took ten seconds, each place with a look into the file."""
    content = flac() + mark * 100_000
    assert sum(1 for _ in places(io.BytesIO(content), beginnings._BEGINNING, beginnings._FIRST_TWO)) < 100
    assert parts_of(io.BytesIO(content))[0][0].begin == 0


def test_tags_are_looked_behind_no_further_than_mp3_may_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    frame_at = beginnings.first_frame.__globals__["_mp3_frame_at"]

    def counted(data: bytes, at: int) -> object:
        nonlocal looks
        looks += 1
        return frame_at(data, at)

    monkeypatch.setitem(beginnings.first_frame.__globals__, "_mp3_frame_at", counted)
    assert not beginnings.begins_sound(io.BytesIO(b"ID3\x04\0\0\0\0\0\0" + b"\xff" * 2**16), 0, 2**16 + 10)
    assert looks <= beginnings.MOST_BEFORE_MP3
