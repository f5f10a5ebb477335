"""All temporary files of a server in a folder of its own: gone when it ends, or where it was killed, at the next start.

The folder lies among the system's temporary files. A lock in it, which the system releases however a process ends,
tells the folder of a server that runs from one that was left; nothing else there is ever touched.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

from filelock import FileLock, Timeout

from fluxbeat.errors import FluxBeatError

PREFIX = "fluxbeat-server-"
LOCK_FILE = "in-use"
PAGE_FOLDER = "page"
GRADIO_VARIABLE = "GRADIO_TEMP_DIR"
KEPT_S = 6 * 3600.0
"""How long a file may lie unchanged: a page that is still open then asks for its track again."""
SWEPT_EVERY_S = 1800.0
_taking = threading.Lock()
_own: list[tuple[Path, FileLock]] = []


def use_own_folder() -> Path:
    """Let this process keep its temporary files in a folder of its own, and remove folders that servers left.

    From then on Python's temporary files and the page's uploads go there (those of the page not, where
    $GRADIO_TEMP_DIR names another place). What lies there for `KEPT_S` is removed. Called again, it changes nothing.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FluxBeatError
        If no temporary folder can be made.
    """
    with _taking:
        if not _own:
            try:
                place = Path(tempfile.gettempdir())
                remove_left(place)
                folder, lock = _take(place)
            except OSError as error:
                raise FluxBeatError(
                    f"no folder for temporary files can be made ({error.strerror}): make room, or set TMPDIR"
                ) from error
            _own.append((folder, lock))
            tempfile.tempdir = str(folder)
            os.environ.setdefault(GRADIO_VARIABLE, str(folder / PAGE_FOLDER))
            atexit.register(leave_own_folder)
            threading.Thread(target=_sweep_on_and_on, args=(folder,), daemon=True, name="sweep").start()
        return _own[0][0]


def leave_own_folder() -> None:
    """Remove this process's folder; from then on temporary files go where the system wants them."""
    with _taking:
        while _own:
            folder, lock = _own.pop()
            shutil.rmtree(folder, ignore_errors=True)
            lock.release(force=True)
            tempfile.tempdir = None
            if os.environ.get(GRADIO_VARIABLE) == str(folder / PAGE_FOLDER):
                del os.environ[GRADIO_VARIABLE]


def remove_left(place: Path) -> list[Path]:
    """Remove the folders of servers that run no more; returns those that were removed."""
    return [folder for folder in sorted(place.glob(f"{PREFIX}*")) if _is_ours(folder) and _removed(folder)]


def sweep(folder: Path, older_than_s: float) -> None:
    """Remove the files that nobody changed for so long, and folders within folders that are empty as long."""
    before_s = time.time() - older_than_s
    for at, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(at, name)
            if path != folder / LOCK_FILE and _changed_s(path) < before_s:
                path.unlink(missing_ok=True)
        if Path(at) != folder and Path(at).parent != folder and _changed_s(Path(at)) < before_s:
            _remove_if_empty(Path(at))


def _take(place: Path) -> tuple[Path, FileLock]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        lock = FileLock(folder / LOCK_FILE)
        try:
            lock.acquire(timeout=0)
        except (Timeout, FileNotFoundError):  # another server that starts right now took it for one that was left
            continue
        if (folder / LOCK_FILE).is_file():
            return folder, lock


def _is_ours(folder: Path) -> bool:
    """A folder of this account, and no link to one."""
    try:
        if folder.is_symlink() or not (folder / LOCK_FILE).is_file():
            return False
        return os.name != "posix" or folder.lstat().st_uid == os.getuid()
    except OSError:
        return False


def _removed(folder: Path) -> bool:
    try:
        with FileLock(folder / LOCK_FILE, timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
    except (Timeout, OSError):
        return False
    return not folder.exists()


def _sweep_on_and_on(folder: Path) -> None:
    while folder.is_dir():
        sweep(folder, KEPT_S)
        time.sleep(SWEPT_EVERY_S)


def _changed_s(path: Path) -> float:
    try:
        state = path.lstat()
    except FileNotFoundError:
        return float("inf")
    return max(state.st_mtime, state.st_ctime)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return
