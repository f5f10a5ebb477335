"""Files that are there whole or not at all, whenever the power goes."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial"


@contextmanager
def atomic_write(path: Path, *, parents: bool = False) -> Iterator[Path]:
    """Write a file beside its place and move it there when it is whole and on the disk.

    Several threads and processes may write the same file at once: the last one stays.

    Parameters
    ----------
    path : Path
        Where the file shall be; what is there stays until the block ends without error.
    parents : bool
        Make the folder where it is missing.

    Yields
    ------
    Path
        Where to write: in the same folder, under a name of its own that ends in `PARTIAL`.

    Raises
    ------
    OSError
        If the file cannot be written, flushed or moved; nothing is left beside `path` then.
    """
    if parents:
        path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{uuid.uuid4().hex}{PARTIAL}")
    try:
        yield partial
        with open(partial, "rb") as written:
            os.fsync(written.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
