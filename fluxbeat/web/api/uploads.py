"""The recording that came with a request, as a file for as long as the request lasts."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from anyio import to_thread
from fastapi import Depends, File, UploadFile

UNNAMED = "upload"


@dataclass(frozen=True)
class Upload:
    """A recording on this server's disk.

    Attributes
    ----------
    path : str
        Of its bytes; without the client's name or extension, which decide nothing.
    name : str
        What the client calls it.
    """

    path: str
    name: str


async def _received(
    file: Annotated[UploadFile, File(description="a recording in any usual audio format")],
) -> AsyncIterator[Upload]:
    with TemporaryDirectory(prefix="fluxbeat-upload-") as folder:
        path = Path(folder, "recording")
        with path.open("wb") as kept:
            await to_thread.run_sync(shutil.copyfileobj, file.file, kept, 1 << 20)
        await file.close()  # its bytes would else lie on the disk twice
        yield Upload(str(path), file.filename or UNNAMED)


ReceivedUpload = Annotated[Upload, Depends(_received)]
"""Parameter of a route that takes a recording as the multipart field `file`; gone when the answer is sent."""
