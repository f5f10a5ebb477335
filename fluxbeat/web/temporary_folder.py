"""All temporary files of a server in a folder of its own: gone when it ends, or where it was killed, at the next start.

A lock in the folder, which the system releases however a process ends, tells the folder of a server that runs from one
that was left. `tempfile.TemporaryDirectory` leaves its folder behind when the process is killed, and Gradio's
`delete_cache` forgets what it did not make itself: copies for the player, saved files, sounds of explanations.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

PREFIX = "fluxbeat-server-"
LOCK_FILE = "in-use"
GRADIO_VARIABLE = "GRADIO_TEMP_DIR"
FILE_ADDRESS = "/gradio_api/file="
"""What stands before the path of a file of the page in the address that Gradio serves it at."""
KEPT_S = 6 * 3600.0
"""How long a file may lie unchanged: a page that is still open then asks for its track again."""
SWEPT_EVERY_S = 1800.0
_own: list[FileLock] = []


def use_own_folder() -> None:
    """Let this process keep its temporary files in a folder of its own, and remove folders that servers left.

    From then on Python's temporary files and the page's uploads go there (those of the page not, where
    $GRADIO_TEMP_DIR names another place). What lies there for `KEPT_S` is removed. Called again, it changes nothing.

    Raises
    ------
    OSError
        If no temporary folder can be made.
    """
    if _own:
        return
    place = Path(tempfile.gettempdir())
    remove_left(place)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    _own.append(FileLock(folder / LOCK_FILE))
    _own[0].acquire(timeout=0)
    tempfile.tempdir = str(folder)
    os.environ.setdefault(GRADIO_VARIABLE, str(folder / "page"))
    threading.Thread(target=_sweep_on_and_on, args=(folder,), daemon=True, name="sweep").start()


def leave_own_folder() -> None:
    """Remove this process's folder; from then on temporary files go where the system wants them."""
    while _own:
        lock = _own.pop()
        folder = Path(lock.lock_file).parent
        shutil.rmtree(folder, ignore_errors=True)
        lock.release(force=True)
        tempfile.tempdir = None
        if os.environ.get(GRADIO_VARIABLE) == str(folder / "page"):
            del os.environ[GRADIO_VARIABLE]


def remove_left(place: Path) -> None:
    """Remove this account's folders of servers that run no more."""
    for folder in place.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if not folder.is_symlink() and (folder / LOCK_FILE).is_file():
                with FileLock(folder / LOCK_FILE, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)


def sweep(folder: Path, older_than_s: float) -> None:
    """Remove the files that nobody changed for so long, and folders within folders that are empty as long."""
    before_s = time.time() - older_than_s
    for at, _, names in os.walk(folder, topdown=False):
        for path in (Path(at, name) for name in names if name != LOCK_FILE):
            with suppress(OSError):
                if path.lstat().st_ctime < before_s:
                    path.unlink()
        with suppress(OSError):
            if folder not in (Path(at), Path(at).parent) and Path(at).lstat().st_ctime < before_s:
                Path(at).rmdir()


def _sweep_on_and_on(folder: Path) -> None:
    while folder.is_dir():
        sweep(folder, KEPT_S)
        time.sleep(SWEPT_EVERY_S)
