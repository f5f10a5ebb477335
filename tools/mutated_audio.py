"""Broken sound files by number: small music in every format that is read, damaged in a named way.

`MutatedAudio.file(number)` gives the same bytes at every call, in every process and in every order. Another ffmpeg may
write other seeds and so give other bytes: a finding is kept as a file, not as a number alone.
"""

from __future__ import annotations

import math
import re
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import soundfile

SEED_S = 1.5
_LARGEST_FILE = 2**20
_VIDEO = ("-f", "lavfi", "-i", "testsrc=duration=1.5:size=32x32:rate=5", "-map", "0:a", "-map", "1:v", "-c:v", "mpeg4")


@dataclass(frozen=True)
class Recipe:
    """How ffmpeg writes one format, and whether its header tells how long the sound is."""

    name: str
    ending: str
    options: tuple[str, ...]
    tells_length: bool = True


def _recipe(name: str, ending: str, options: str = "", tells_length: bool = True) -> Recipe:
    return Recipe(name, ending, tuple(options.split()), tells_length)


_VIDEO_TEXT = " ".join(_VIDEO)
RECIPES = (
    _recipe("wav-u8", "wav", "-c:a pcm_u8 -ar 8000"),
    _recipe("wav-s16", "wav", "-c:a pcm_s16le"),
    _recipe("wav-s24", "wav", "-c:a pcm_s24le -ac 1"),
    _recipe("wav-f32", "wav", "-c:a pcm_f32le -ac 1"),
    _recipe("wav-mulaw", "wav", "-c:a pcm_mulaw"),
    _recipe("wav-ms-adpcm", "wav", "-c:a adpcm_ms"),
    _recipe("wav-ima-adpcm", "wav", "-c:a adpcm_ima_wav"),
    _recipe("rf64", "wav", "-c:a pcm_s16le -rf64 always"),
    _recipe("w64", "w64", "-c:a pcm_s16le"),
    _recipe("aiff", "aiff", "-c:a pcm_s16be"),
    _recipe("aifc-f32", "aiff", "-c:a pcm_f32be -ac 1"),
    _recipe("au", "au", "-c:a pcm_s16be"),
    _recipe("caf", "caf", "-c:a pcm_s16be"),
    _recipe("caf-alac", "caf", "-c:a alac"),
    _recipe("flac", "flac"),
    _recipe("flac-24", "flac", "-sample_fmt s32 -ac 1"),
    _recipe("ogg-vorbis", "ogg", "-c:a libvorbis"),
    _recipe("ogg-flac", "oga", "-c:a flac"),
    _recipe("opus", "opus", "-c:a libopus -b:a 64k"),
    _recipe("mp3", "mp3", "-c:a libmp3lame -q:a 5"),
    _recipe("mp3-bare", "mp3", "-c:a libmp3lame -b:a 64k -write_xing 0 -id3v2_version 0", False),
    _recipe("mp2", "mp2", "-c:a mp2 -b:a 96k", False),
    _recipe("aac", "aac", "-c:a aac -b:a 64k", False),
    _recipe("m4a", "m4a", "-c:a aac -b:a 64k"),
    _recipe("m4a-faststart", "m4a", "-c:a aac -b:a 64k -movflags +faststart"),
    _recipe("m4a-alac", "m4a", "-c:a alac"),
    _recipe("mp4-fragmented", "mp4", "-c:a aac -b:a 64k -movflags +frag_keyframe+empty_moov", False),
    _recipe("mp4-video", "mp4", f"{_VIDEO_TEXT} -c:a aac -b:a 64k", False),
    _recipe("mov-pcm", "mov", "-c:a pcm_s16le"),
    _recipe("3gp-amr", "3gp", "-c:a libopencore_amrnb -ar 8000 -ac 1"),
    _recipe("amr", "amr", "-c:a libopencore_amrnb -ar 8000 -ac 1", False),
    _recipe("wma", "wma", "-c:a wmav2 -b:a 64k"),
    _recipe("ac3", "ac3", "-c:a ac3 -ar 32000 -b:a 96k", False),
    _recipe("eac3", "eac3", "-c:a eac3 -ar 32000 -b:a 96k", False),
    _recipe("dts", "dts", "-c:a dca -strict -2 -ar 32000 -b:a 192k", False),
    _recipe("webm-opus", "webm", "-c:a libopus -b:a 64k"),
    _recipe("mka-vorbis", "mka", "-c:a libvorbis"),
    _recipe("mkv-video", "mkv", f"{_VIDEO_TEXT} -c:a flac", False),
    _recipe("avi-video", "avi", f"{_VIDEO_TEXT} -c:a libmp3lame -b:a 64k", False),
    _recipe("flv", "flv", "-c:a libmp3lame -ar 22050 -b:a 64k", False),
    _recipe("mpegts", "ts", "-c:a aac -b:a 64k", False),
    _recipe("mpeg", "mpg", "-c:a mp2 -ar 32000 -b:a 96k", False),
    _recipe("tta", "tta", "-c:a tta"),
    _recipe("wavpack", "wv", "-c:a wavpack"),
    _recipe("dsf", "dsf"),
)


@dataclass(frozen=True)
class Seed:
    """One sound file in order; all seeds hold the same 1.5 s of music."""

    recipe: Recipe
    data: bytes


@dataclass(frozen=True)
class Mutant:
    """A broken file: the seed of a format after one or more strategies, of which the first is the main one."""

    number: int
    recipe: Recipe
    strategies: tuple[str, ...]
    data: bytes

    @property
    def file_name(self) -> str:
        """Its number, format and strategies, with the ending of its format."""
        return f"{self.number:06d}-{self.recipe.name}-{'+'.join(self.strategies)}.{self.recipe.ending}"


class MutatedAudio:
    """The maker; writing the seeds takes a few seconds.

    Parameters
    ----------
    folder : Path
        Where the seeds are written; those that are there already are used as they are.
    """

    def __init__(self, folder: Path) -> None:
        self.seeds = write_seeds(folder)

    def file(self, number: int) -> Mutant:
        """The broken file of this number (0 or above); every 45 numbers each format occurs, every 17 each strategy."""
        random = np.random.default_rng((20_261, number))
        seed = self.seeds[number % len(self.seeds)]
        names = [list(STRATEGIES)[number % len(STRATEGIES)]]
        if number >= len(self.seeds) * len(STRATEGIES) and random.random() < 0.35:  # first each alone, on each format
            names += random.choice(list(STRATEGIES), size=random.integers(1, 3)).tolist()
        data = seed.data
        for name in names:
            data = STRATEGIES[name](random, data, self.seeds)[:_LARGEST_FILE]
        if random.random() < 0.7:  # with wrong checksums a page is passed over before anything in it is believed
            data = with_right_ogg_checksums(data)
        return Mutant(number, seed.recipe, tuple(names), data)


def music(rate_hz: int = 16_000) -> np.ndarray:
    """A chord and a beat: (samples, 2), float, 1.5 s."""
    time_s = np.arange(round(SEED_S * rate_hz)) / rate_hz
    chord = sum(np.sin(2 * np.pi * hz * time_s) for hz in (220.0, 277.2, 329.6))
    beat = np.exp(-(time_s % 0.5) * 30) * np.sin(2 * np.pi * 80 * time_s)
    left = 0.12 * chord + 0.4 * beat
    return np.stack([left, 0.8 * left[::-1]], axis=1)


def write_seeds(folder: Path) -> list[Seed]:
    """Write the music in every format, without dates and random numbers in the files."""
    source = folder / "music.source.wav"
    if not source.exists():
        soundfile.write(source, music(), 16_000, subtype="PCM_16")
    exact = ("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact", "-flags:v", "+bitexact")
    tags = ("-metadata", "title=A title", "-metadata", "artist=Somebody")
    seeds = []
    for recipe in RECIPES:
        path = folder / f"{recipe.name}.{recipe.ending}"
        if not path.exists():
            if recipe.name == "dsf":
                path.write_bytes(dsf_file())
            else:
                program = (imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-nostdin", "-loglevel", "error", "-i", source)
                subprocess.run([*program, *recipe.options, *exact, *tags, path], check=True)
        seeds.append(Seed(recipe, path.read_bytes()))
    return seeds


def dsf_file(rate_hz: int = 256_000) -> bytes:
    """DSD, which ffmpeg reads but does not write: one bit a sample, as often 1 as the music is high."""
    level = np.repeat(music(16_000)[:, 0], rate_hz // 16_000)
    bits = np.random.default_rng(1).random(len(level)) < (level + 1) / 2
    data = np.packbits(bits, bitorder="little").tobytes()
    data += bytes(-len(data) % 4096)
    described = struct.pack("<4sQ6IQ2I", b"fmt ", 52, 1, 0, 1, 1, rate_hz, 1, len(bits), 4096, 0)
    head = struct.pack("<4sQQQ", b"DSD ", 28, 28 + 52 + 12 + len(data), 0)
    return head + described + struct.pack("<4sQ", b"data", 12 + len(data)) + data


def with_right_ogg_checksums(data: bytes) -> bytes:
    """The same with the checksum of every Ogg page made right."""
    if data[:4] != b"OggS":
        return data
    changed = bytearray(data)
    at = 0
    while (at := data.find(b"OggS", at)) >= 0 and at + 27 <= len(data):
        end = at + 27 + data[at + 26]
        end += sum(data[at + 27 : end])
        if end <= len(data):
            changed[at + 22 : at + 26] = bytes(4)
            checksum = 0
            for byte in changed[at:end]:
                checksum = (checksum << 8 & 0xFFFF_FFFF) ^ _OGG_TABLE[checksum >> 24 ^ byte]
            changed[at + 22 : at + 26] = struct.pack("<I", checksum)
        at += 4
    return bytes(changed)


def _ogg_table() -> list[int]:
    table = []
    for value in range(256):
        rest = value << 24
        for _ in range(8):
            rest = (rest << 1 ^ 0x04C1_1DB7 if rest & 0x8000_0000 else rest << 1) & 0xFFFF_FFFF
        table.append(rest)
    return table


_OGG_TABLE = _ogg_table()

Random = np.random.Generator
Strategy = Callable[[Random, bytes, list[Seed]], bytes]


def _span(random: Random, data: bytes, longest: int = 4096) -> tuple[int, int]:
    start = int(random.integers(0, max(1, len(data))))
    return start, min(len(data), start + int(random.integers(1, longest + 1)))


def bit_flips(random: Random, data: bytes, seeds: list[Seed]) -> bytes:
    """A few bits turned, anywhere."""
    return _flipped(random, data, len(data))


def header_bit_flips(random: Random, data: bytes, seeds: list[Seed]) -> bytes:
    """A few bits turned in the first 256 bytes."""
    return _flipped(random, data, min(256, len(data)))


def _flipped(random: Random, data: bytes, within: int) -> bytes:
    changed = bytearray(data)
    for place in random.integers(0, max(1, within), size=2 ** int(random.integers(0, 7))):
        if changed:
            changed[place] ^= 1 << int(random.integers(0, 8))
    return bytes(changed)


def noise_span(random: Random, data: bytes, seeds: list[Seed]) -> bytes:
    """A stretch of random bytes."""
    start, end = _span(random, data)
    return data[:start] + random.bytes(end - start) + data[end:]


def zero_span(random: Random, data: bytes, seeds: list[Seed]) -> bytes:
    """A stretch that was never written."""
    start, end = _span(random, data)
    return data[:start] + bytes(end - start) + data[end:]


def extreme_integers(random: Random, data: bytes, seeds: list[Seed]) -> bytes:
    """The least and greatest numbers at places where no one looked what stands there, most of them near the start."""
    for _ in range(int(random.integers(1, 9))):
        within = len(data) if random.random() < 0.3 else min(1024, len(data))
        at, width = int(random.integers(0, max(1, within))), int(random.choice([1, 2, 4, 8]))
        data = _with_number(data, at, width, _extreme(random, width), "<" if random.random() < 0.5 else ">")
    return data


def truncation(random: Random, data: bytes, seeds: list[Seed]) -> bytes:
    """The end is missing; in a third of the files nearly everything is."""
    keep = 600 if random.random() < 0.3 else len(data)
    return data[: int(random.integers(1, max(2, min(keep, len(data)))))]


def lost_head(random: Random, data: bytes, seeds: list[Seed]) -> bytes:
    """The beginning is missing."""
    return data[int(random.integers(1, max(2, len(data) // 2))) :]


def cut_out(random: Random, data: bytes, seeds: list[Seed]) -> bytes:
    """A stretch is missing."""
    start, end = _span(random, data)
    return data[:start] + data[end:]


def repeated_span(random: Random, data: bytes, seeds: list[Seed]) -> bytes:
    """A stretch comes many times."""
    start, end = _span(random, data, 1024)
    return data[:end] + data[start:end] * int(random.integers(1, 200)) + data[end:]


def shuffled_blocks(random: Random, data: bytes, seeds: list[Seed]) -> bytes:
    """The blocks of a disk in another order."""
    size = int(random.choice([64, 512, 4096]))
    blocks = [data[at : at + size] for at in range(0, len(data), size)]
    first = int(random.integers(0, 2))  # with the header in its place, or not
    order = [*range(min(first, len(blocks))), *(random.permutation(max(0, len(blocks) - first)) + first)]
    return b"".join(blocks[place] for place in order)


def spliced(random: Random, data: bytes, seeds: list[Seed]) -> bytes:
    """The head of this file and the rest of a file of another format."""
    other = seeds[int(random.integers(0, len(seeds)))].data
    return data[: int(random.integers(1, max(2, len(data))))] + other[int(random.integers(0, len(other))) :]


def file_in_file(random: Random, data: bytes, seeds: list[Seed]) -> bytes:
    """Another file in front of, within or behind this one."""
    other = seeds[int(random.integers(0, len(seeds)))].data
    at = int(random.choice([0, int(random.integers(0, len(data) + 1)), len(data)]))
    return data[:at] + other + data[at:]


def inserted_junk(random: Random, data: bytes, seeds: list[Seed]) -> bytes:
    """Zeros, ones, text or noise before, within or behind the file."""
    size = 2 ** int(random.integers(0, 18))
    junk = [bytes(size), b"\xff" * size, b"file:///etc/passwd\n#EXTM3U\n" * (size // 26 + 1), random.bytes(size)]
    at = int(random.choice([0, int(random.integers(0, len(data) + 1)), len(data)]))
    return data[:at] + junk[int(random.integers(0, 4))][:size] + data[at:]


@dataclass(frozen=True)
class Field:
    """A number in a header, found by a mark in front of it."""

    mark: bytes
    offset: int
    width: int
    order: str


def _fields(order: str, text: str) -> tuple[Field, ...]:
    """Lines of `mark offset:width ...`; a mark of hexadecimal digits begins with 0x."""
    found = []
    for line in text.strip().splitlines():
        mark, *places = line.split()
        raw = bytes.fromhex(mark[2:]) if mark.startswith("0x") else mark.replace("_", " ").encode()
        for place in places:
            offset, width = place.split(":")
            found.append(Field(raw, int(offset), int(width), order))
    return tuple(found)


_ATOMS = (
    "ftyp moov mvhd trak tkhd edts elst mdia mdhd hdlr minf dinf dref stbl stsd mp4a esds alac wave samr stts stsc "
    "stsz stco udta meta ilst mdat moof mfhd traf tfhd trun mvex trex free"
)
SIZES = _fields(
    "<",
    """
    RIFF 4:4
    RF64 4:4
    fmt_ 4:4 4:8
    data 4:4 4:8
    LIST 4:4
    INAM 4:4
    fact 4:4 8:4
    ds64 4:4 8:8 16:8 24:8 32:4
    0x666d7420f3acd311 16:8
    0x64617461f3acd311 16:8
    0x03766f72626973 7:4
    OpusTags 8:4 12:4
    OggS 26:1 6:8
    0x3026b27526a66fcf 16:8 24:4
    0xa1dcab8c47a9cf11 16:8 40:8 92:4 96:4
    0x9107dcb7b7a9cf11 16:8 64:4 68:4
    0x3626b2758e66cf11 16:8 40:8
    avih 4:4 20:4
    strh 4:4 40:4
    strf 4:4
    idx1 4:4
    movi -8:4
    TTA1 14:4
    wvpk 4:4 12:4 20:4
    DSD_ 4:8 12:8
    """,
) + _fields(
    ">",
    """
    FORM 4:4
    COMM 4:4 10:4
    SSND 4:4 8:4 12:4
    .snd 4:4 8:4
    desc 4:8
    data 4:8
    pakt 4:8 12:8 20:8
    kuki 4:8
    fLaC 5:2 6:2 22:4
    ID3 6:4
    TIT2 4:4
    TSSE 4:4
    Xing 8:4 12:4
    Info 8:4 12:4
    stts 8:4 12:4
    stsc 8:4 16:4
    stsz 8:4 12:4
    stco 8:4
    stsd 8:4
    dref 8:4
    elst 8:4 12:4 16:4
    trun 8:4
    mvhd 20:4
    mdhd 20:4
    0x1a45dfa3 4:1 4:8
    0x18538067 4:1 4:8
    0x1f43b675 4:1 4:8
    0x1654ae6b 4:1 4:8
    0x114d9b74 4:1 4:8
    0x1254c367 4:1 4:8
    0x63a2 2:1 2:8
    0xa3 1:1 1:2
    FLV 5:4 14:2
    """
    + "\n".join(f"{atom} -4:4" for atom in _ATOMS.split()),
)
SOUND = _fields(
    "<",
    """
    fmt_ 8:2 10:2 12:4 16:4 20:2 22:2
    0x666d7420f3acd311 24:2 26:2 28:4 36:2 38:2
    0x01766f72626973 11:1 12:4 28:1
    OpusHead 9:1 10:2 12:4 16:2 18:1
    0x9107dcb7b7a9cf11 78:2 80:2 82:4 90:2 92:2
    strf 8:2 10:2 12:4 20:2
    strh 28:4 32:4 52:4
    TTA1 4:2 6:2 8:2 10:4
    wvpk 8:2 24:4
    OggS 5:1
    """,
) + _fields(
    ">",
    """
    COMM 8:2 14:2 16:2 18:4
    .snd 12:4 16:4 20:4
    desc 12:8 20:4 24:4 28:4 32:4 36:4 40:4
    fLaC 8:2 10:2 18:4 20:2
    mp4a 20:2 22:2 28:4
    alac 20:2 22:2 28:4 32:4 36:4
    sowt 20:2 22:2 28:4
    mvhd 16:4
    mdhd 16:4
    0xb5 1:1 2:8
    0x9f81 2:1
    0x2ad7b1 3:1 4:2
    0x4489 3:8
    #!AMR 6:1
    """,
)


def _extreme(random: Random, width: int) -> int:
    top = 2 ** (8 * width)
    values = [0, 1, 2, top - 1, top - 2, top // 2, top // 2 - 1, top // 2 + 1, top // 4, min(65_535, top - 1)]
    values += [int(random.integers(0, min(top, 2**62))), int(random.integers(0, min(top, 70_000)))]
    return values[int(random.integers(0, len(values)))]


def _with_number(data: bytes, at: int, width: int, value: int, order: str) -> bytes:
    if at < 0 or at + width > len(data):
        return data
    return data[:at] + value.to_bytes(width, "little" if order == "<" else "big") + data[at + width :]


def _lying(random: Random, data: bytes, fields: tuple[Field, ...], huge: bool) -> bytes:
    present = [field for field in fields if field.mark in data]
    if not present:  # a stream of frames without a header
        return extreme_integers(random, data, [])
    for _ in range(int(random.integers(1, 4))):
        field = present[int(random.integers(0, len(present)))]
        places = [found.start() for found in re.finditer(re.escape(field.mark), data[:65_536])] or [0]
        at = places[int(random.integers(0, len(places)))]
        top = 2 ** (8 * field.width)
        large = (top - 1, top // 2 - 1, top // 2, top // 16, min(top - 1, 2**28))
        value = large[int(random.integers(0, len(large)))] if huge else _extreme(random, field.width)
        data = _with_number(data, at + field.offset, field.width, value, field.order)
    return data


def lying_sizes(random: Random, data: bytes, seeds: list[Seed]) -> bytes:
    """Sizes and counts in the headers that are not true."""
    return _lying(random, data, SIZES, huge=False)


def huge_sizes(random: Random, data: bytes, seeds: list[Seed]) -> bytes:
    """Sizes and counts in the headers that no memory holds."""
    return _lying(random, data, SIZES, huge=True)


def lying_sound(random: Random, data: bytes, seeds: list[Seed]) -> bytes:
    """Rates, channels, bits, codecs and block lengths that are not true."""
    return _lying(random, data, SOUND, huge=False)


def nested_tags(random: Random, data: bytes, seeds: list[Seed]) -> bytes:
    """Boxes in boxes, chunks in chunks, tags before tags, and long rows of them, by what the format allows."""
    depth = 2 ** int(random.integers(1, 13))
    if data[4:8] == b"ftyp":
        return _after(data, struct.unpack(">I", data[:4])[0], _nested_atoms(random, depth))
    if data[:4] in (b"RIFF", b"RF64"):
        return _after(data, 12, _nested_chunks(b"LIST", b"INFO", depth, "<"))
    if data[:4] == b"FORM":
        return _after(data, 12, _nested_chunks(b"FORM", b"AIFF", depth, ">"))
    if data[:4] == b"fLaC":
        image = struct.pack(">II", 0x0600_0020, 3) + b"\xff" * 28
        comment = struct.pack(">I", 0x0400_0008) + struct.pack("<II", 0, 2**31)
        block = (bytes([1, 0, 0, 0]), image, comment)[int(random.integers(0, 3))]
        return _after(data, 42, block * depth)
    if data[:4] == b"\x1a\x45\xdf\xa3":
        return data + _nested_ebml(depth)
    if data[:4] == b"OggS":
        return _chained_ogg(random, data, min(depth, 16))
    if data[:4] == b"caff":
        return _after(data, 8, struct.pack(">4sq", b"free", 0) * depth)
    return _nested_id3(random, depth) + data + b"APETAGEX" + struct.pack("<4I8x", 2000, 2**31, 2**31, 0) + b"TAG" * 43


def _after(data: bytes, at: int, added: bytes) -> bytes:
    return data[:at] + added + data[at:]


def _nested_atoms(random: Random, depth: int) -> bytes:
    kinds = (b"moov", b"trak", b"udta", b"meta", b"ilst", b"moof", b"wave")
    if random.random() < 0.5:  # in a row: tracks without end
        return b"".join(struct.pack(">I4s", 8, kinds[number % len(kinds)]) for number in range(depth))
    inner = b""
    for number in range(depth):
        inner = struct.pack(">I4s", 8 + len(inner), kinds[number % len(kinds)]) + inner
    return inner


def _nested_chunks(kind: bytes, form: bytes, depth: int, order: str) -> bytes:
    size = depth * 12
    return b"".join(struct.pack(f"{order}4sI4s", kind, size - 12 * n - 8, form) for n in range(depth))


def _nested_ebml(depth: int) -> bytes:
    inner = b""
    for _ in range(depth):
        inner = b"\x67\xc8\x01" + len(inner).to_bytes(7, "big") + inner
    return b"\x12\x54\xc3\x67\x01" + len(inner).to_bytes(7, "big") + inner


def _chained_ogg(random: Random, data: bytes, links: int) -> bytes:
    """Streams one after another, or page by page among each other, each with a number of its own."""
    copies = []
    for number in range(links):
        copy = bytearray(data)
        at = 0
        while (at := data.find(b"OggS", at)) >= 0 and at + 18 <= len(data):
            copy[at + 14 : at + 18] = struct.pack("<I", number)
            at += 4
        copies.append(bytes(copy))
    if random.random() < 0.5:
        return b"".join(copies)
    pages = [copy.split(b"OggS")[1:] for copy in copies]
    return b"".join(b"OggS" + page for row in zip(*pages, strict=True) for page in row)


def _nested_id3(random: Random, depth: int) -> bytes:
    """ID3 tags in a row, or chapters within chapters."""
    if random.random() < 0.5:
        return b"ID3\x04\0\0\0\0\0\0" * depth
    inner = b""
    for _ in range(min(depth, 600)):
        body = b"a\0" + bytes(16) + inner
        inner = b"CHAP" + _seven_bits(len(body)) + b"\0\0" + body
    return b"ID3\x04\0\0" + _seven_bits(len(inner)) + inner


def _seven_bits(value: int) -> bytes:
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


STRATEGIES: dict[str, Strategy] = {
    strategy.__name__: strategy
    for strategy in (
        bit_flips,
        header_bit_flips,
        noise_span,
        zero_span,
        extreme_integers,
        truncation,
        lost_head,
        cut_out,
        repeated_span,
        shuffled_blocks,
        spliced,
        file_in_file,
        inserted_junk,
        lying_sizes,
        huge_sizes,
        lying_sound,
        nested_tags,
    )
}
assert math.gcd(len(RECIPES), len(STRATEGIES)) == 1, "else some pairs of format and strategy would never meet"
