"""`fluxbeat library`: a whole folder of music as one table."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fluxbeat.commands.registering import FAILED, Commands, command, print_json
from fluxbeat.errors import FluxBeatError

if TYPE_CHECKING:
    from rich.table import Table

    from fluxbeat.library import LibraryJob, LibraryRow, Workers
    from fluxbeat.zoo import ZooModel

SORTS = ("bpm", "title", "length", "genre")
INTERRUPTED = 130
WIDE = 110
"""Columns of a terminal from which the paths are shown as well."""


def add(commands: Commands) -> None:
    """Register the commands of this file."""
    library = command(commands, "library", _library, "Genres and tempo of every sound file in a folder, as one table.")
    library.add_argument("folder", type=Path, metavar="FOLDER", help="with all folders below it")
    library.add_argument(
        "--model", default=None, help="cnn, crnn, vit, a checkpoint folder, or hf://owner/repo@revision"
    )
    library.add_argument("--csv", type=Path, metavar="FILE", help="write the table there instead of showing it")
    library.add_argument("--json", action="store_true", help="print the rows as one JSON list")
    library.add_argument("--sort", choices=SORTS, help="rising, unknown last (default: by path)")
    library.add_argument("--genre", metavar="GENRE", help="only files in which this genre is present")
    library.add_argument("--bpm", type=_bpm_range, metavar="LOW-HIGH", help="only files of such a tempo: 120-130")
    library.add_argument("--fresh", action="store_true", help="hear everything anew, whatever is remembered")
    library.add_argument("--workers", type=_count, metavar="N", help="files heard at once (default: one per core)")
    library.add_argument(
        "--ray", metavar="ADDRESS", help="hear them on a Ray cluster: auto, HOST:PORT, ray://HOST:PORT, or local"
    )


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 4096:
        raise argparse.ArgumentTypeError(f"must be 1 to 4096, got {text}")
    return value


def _bpm_range(text: str) -> tuple[float, float]:
    low, dash, high = text.partition("-")
    try:
        found = float(low), float(high)
    except ValueError:
        found = (0.0, -1.0)
    if not dash or not 0 <= found[0] <= found[1] <= 1000:
        raise argparse.ArgumentTypeError(f"must be LOW-HIGH, such as 120-130, got {text!r}")
    return found


def _library(options: argparse.Namespace) -> int:
    from fluxbeat.analysis import DEFAULT_MODEL
    from fluxbeat.library import AnalysisCache, LibraryJob, filtered, find_sound_files, ordered
    from fluxbeat.zoo import load

    _check_csv(options.csv)
    files = find_sound_files(options.folder)
    model = load(options.model or DEFAULT_MODEL)
    _check_genre(options.genre, model)
    with closing(AnalysisCache()) as cache, closing(_workers(options)) as workers:
        job = LibraryJob(files, model, cache, workers, fresh=options.fresh)
        rows = _followed(job, len(files))
    if rows is None:
        return INTERRUPTED
    _show(ordered(filtered(rows, options.genre, options.bpm), options.sort), options)
    failed = sum(row.error is not None for row in rows)
    if failed:
        print(f"fluxbeat: {failed} of {len(rows)} files could not be analysed: see their errors", file=sys.stderr)
    return FAILED if failed else 0


def _check_csv(path: Path | None) -> None:
    """Before hours of work, not after them."""
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise FluxBeatError(f"--csv {path} cannot be written: give a file in a folder that exists")


def _check_genre(genre: str | None, model: ZooModel) -> None:
    labels = model.network.config.labels
    if genre is not None and genre not in labels:
        raise FluxBeatError(f"{model.info.name} knows no genre {genre!r}: it knows {', '.join(sorted(labels))}")


def _workers(options: argparse.Namespace) -> Workers:
    from fluxbeat.library import ThreadWorkers

    if options.ray is None:
        return ThreadWorkers(options.workers)
    try:
        from fluxbeat.library.ray_workers import RayWorkers
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise FluxBeatError("--ray needs Ray: install it with: pip install 'fluxbeat[scale]'") from error
    return RayWorkers(options.ray, options.workers)


def _followed(job: LibraryJob, total: int) -> list[LibraryRow] | None:
    """All rows, while a bar tells how far it is; None if the person stopped it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from fluxbeat.charts.wording import clock

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
    )
    rows: list[LibraryRow] = []
    # a bar and the log share the screen: what a file does to the program is told in its row
    logging.getLogger("fluxbeat.library").addHandler(logging.NullHandler())
    hidden = not console.is_terminal
    with _ended_by_ctrl_c(job), Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("library", total=total, left="")
        for step in job.steps():
            rows += step.rows
            left = "" if step.remaining_s is None else f"{clock(step.remaining_s)} left"
            doing = step.rows[-1].title[:30] if step.rows else bar.tasks[0].description
            bar.update(task, completed=step.done, left=left, description=doing)
    if len(rows) == total:
        return rows
    print(f"fluxbeat: stopped after {len(rows)} of {total} files; the same command goes on from there", file=sys.stderr)
    return None


@contextmanager
def _ended_by_ctrl_c(job: LibraryJob) -> Iterator[None]:
    """The first Ctrl+C ends the job between two files, so that what is told is what is kept; the next one at once."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield  # Ctrl+C is ignored, or somebody else's
        return

    def end(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        job.cancel()

    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _show(rows: Sequence[LibraryRow], options: argparse.Namespace) -> None:
    from rich.console import Console

    from fluxbeat.library import write_csv

    if options.csv:
        try:
            with open(options.csv, "w", encoding="utf-8", newline="") as file:
                write_csv(rows, file)
        except OSError as error:
            raise FluxBeatError(f"--csv {options.csv} cannot be written: {error.strerror}") from error
    if options.json:
        print_json([row.to_dict() for row in rows])
    elif options.csv:
        print(f"{options.csv}: {len(rows)} files")
    else:
        console = Console()
        console.print(_table(rows, console.width))


def _table(rows: Sequence[LibraryRow], width: int) -> Table:
    """The rows; where they fit, with their paths."""
    from rich.table import Table
    from rich.text import Text

    from fluxbeat.charts.wording import clock

    table = Table(expand=True)
    table.add_column("title", no_wrap=True, overflow="ellipsis", ratio=3)
    table.add_column("length", justify="right", min_width=6)
    table.add_column("genres", ratio=2)
    table.add_column("BPM", justify="right", min_width=3)
    table.add_column("notes", ratio=3)
    if width >= WIDE:
        table.add_column("file", no_wrap=True, overflow="ellipsis", ratio=2)
    for row in rows:
        cells: list[Text | str] = [
            Text(f"{row.title} ({row.artist})" if row.artist else row.title),
            "" if row.duration_s is None else clock(row.duration_s),
            Text(", ".join(row.genres) or ("" if row.error else "not sure")),
            "" if row.bpm is None else f"{row.bpm:.0f}",
            Text(row.error, "red") if row.error else Text("; ".join(row.warnings), "yellow"),
            Text(row.path),
        ]
        table.add_row(*cells[: len(table.columns)])
    return table
