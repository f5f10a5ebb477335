"""Files that are there whole or not at all, whenever the power goes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fluxbeat.replacing import replacing


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """As `replacing`, but for a folder that need not be there yet, and on the disk before it takes its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        yield partial
        with open(partial, "rb") as written:
            os.fsync(written.fileno())
