"""Tags beside those that are written: one file may have several, and what they say of genre and tempo would be old.

A FLAC begins with ID3 now and then, an MP3 has two of its tags or one at its end, a WAV two chunks for them, in a third
a list of words (RIFF INFO) that players read, and in a fourth the tempo of a loop.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator, Mapping, Set
from typing import Any, BinaryIO

from mutagen._iff import IffChunk
from mutagen._riff import RiffFile, RiffListChunk
from mutagen.aiff import AIFFFile
from mutagen.id3 import ID3, BitPaddedInt, ID3NoHeaderError

from fluxbeat.audio.source import after_id3


def forget_in_id3(file: BinaryIO, names: Set[str]) -> None:
    """Take these fields out of every ID3v2 tag of a file; each tag keeps its place, its size and all else.

    Parameters
    ----------
    file : binary file
        Open for reading and writing.
    names : set of str
        In small letters, as `delete_fields` takes them.
    """
    for at, size in list(_id3_tags(file)):
        file.seek(at)
        content = io.BytesIO(file.read(size))
        try:
            tags = ID3(content, translate=False)
        except ID3NoHeaderError:
            continue
        if delete_fields(tags, names):
            content.seek(0)
            tags.save(content, v2_version=version_to_write(tags), padding=lambda info: max(info.padding, 0))
            if len(content.getvalue()) == size:
                file.seek(at)
                file.write(content.getvalue())


def delete_fields(tags: Any, names: Set[str]) -> bool:
    """Delete the ID3 frames of these names, and free texts that are called so; whether there were any."""
    called = {key: frame.desc if frame.FrameID == "TXXX" else frame.FrameID for key, frame in tags.items()}
    doubles = [key for key, name in called.items() if name.casefold() in names]
    for key in doubles:
        del tags[key]
    return bool(doubles)


def version_to_write(tags: Any) -> int:
    """ID3v2.3 and ID3v2.4 stay what they are, 3 or 4; older tags become 3."""
    if tags.version < (2, 3, 0):
        tags.update_to_v23()
    return 4 if tags.version >= (2, 4, 0) else 3


def pad_last_chunk(file: BinaryIO) -> None:
    """Where the last chunk of WAV or AIFF lacks the byte that makes its size even, add it: what is written behind it
    would not be found."""
    file_end = file.seek(0, os.SEEK_END)
    file.seek(0)
    form = ">I" if file.read(4) == b"FORM" else "<I"
    (size,) = struct.unpack(form, file.read(4))
    padded_size = file_end + 1 - 8
    if file_end % 2 and size in (padded_size, padded_size - 1):
        file.seek(4)
        file.write(struct.pack(form, padded_size))
        file.seek(file_end)
        file.write(b"\0")


def replace_in_wav(file: BinaryIO, words: Mapping[str, str], bpm: float | None) -> None:
    """Give words that stand in the lists of a WAV file another text, and a loop its tempo; nothing is added.

    Parameters
    ----------
    file : binary file
        Open for reading and writing, with sizes in its header that are true.
    words : mapping of str to str
        New text by the word's mark, such as `IGNR`.
    bpm : float or None
        Written where the makers of loops keep it (chunk `acid`).
    """
    for chunk in RiffFile(file).root.subchunks():
        if isinstance(chunk, RiffListChunk) and chunk.name == "INFO":
            for word in chunk.subchunks():
                room = chunk.data_offset + chunk.data_size - word.data_offset
                if word.id in words and room >= 0:
                    if word.data_size > room:  # what stands behind the list is none of it
                        word.data_size = room
                        word.size = word.HEADER_SIZE + room + word.padding()
                    text = words[word.id].encode() + b"\0"
                    word.resize(len(text))
                    word.write(text)
        elif chunk.id == "acid" and bpm is not None and chunk.data_size >= 24:
            loop = bytearray(chunk.read())
            if not loop[0] & 1:  # the flag of a sound that is no loop: its tempo means nothing
                struct.pack_into("<f", loop, 20, bpm)
                chunk.write(loop)


def _id3_tags(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Where each ID3v2 tag begins, and how many bytes it has without a footer."""
    at = 0
    while (end := after_id3(file, at)) > at:
        yield at, end - at
        at = end
    for chunk in _chunks(file):
        if chunk.id.upper() == "ID3":
            yield chunk.data_offset, chunk.data_size
    file_end = file.seek(0, os.SEEK_END)
    for end in (file_end, file_end - 128):  # one may stand at the end, before ID3v1
        file.seek(max(end - 10, 0))
        footer = file.read(10)
        if footer[:3] == b"3DI":
            size = 10 + int(BitPaddedInt(footer[6:10]))
            if at < end - 10 - size:
                yield end - 10 - size, size


def _chunks(file: BinaryIO) -> list[IffChunk]:
    """Those of a WAV or AIFF file; none of any other."""
    file.seek(0)
    kind = {b"RIFF": RiffFile, b"FORM": AIFFFile}.get(file.read(4))
    return kind(file).root.subchunks() if kind else []
