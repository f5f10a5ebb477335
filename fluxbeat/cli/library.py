"""`fluxbeat library`: a whole folder of music as one table."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fluxbeat.analysis.correction import WORDS, wanted_bpm
from fluxbeat.analysis.engine import analyze
from fluxbeat.audio.sound_files import SoundFile, find_sound_files
from fluxbeat.charts.wording import clock, tempo_words
from fluxbeat.cli.output import FAILED, STOPPED, complain, print_json
from fluxbeat.cli.terminal import progress_bar, show
from fluxbeat.errors import FluxBeatError
from fluxbeat.library.cache import AnalysisCache
from fluxbeat.library.job import LibraryJob
from fluxbeat.library.table import LibraryRow, filtered, ordered, write_csv
from fluxbeat.library.workers import ThreadWorkers, Workers
from fluxbeat.models.registry import LoadedModel, load

WIDE = 110
"""Columns of a terminal from which the paths are shown as well."""


def library_command(options: argparse.Namespace) -> int:
    """Print one table of every sound file in a folder; 2 if one of them could not be analysed, 130 if stopped."""
    if options.csv and (options.csv.is_dir() or not options.csv.absolute().parent.is_dir()):
        # before hours of work, not after them
        raise FluxBeatError(f"--csv {options.csv} cannot be written: give a file in a folder that exists")
    files = find_sound_files(options.folder)
    model = load(options.model)
    labels = model.network.config.labels
    if options.genre is not None and options.genre not in labels:
        raise FluxBeatError(f"{model.info.name} knows no genre {options.genre!r}: it knows {', '.join(sorted(labels))}")
    with closing(AnalysisCache()) as cache, closing(_workers(options)) as workers:
        _correct(options, files, model, cache)
        job = LibraryJob(files, model, cache, workers, fresh=options.fresh)
        rows = _followed(job, len(files))
    if rows is None:
        return STOPPED
    _show(ordered(filtered(rows, options.genre, options.bpm), options.sort), options)
    failed = sum(row.error is not None for row in rows)
    if failed:
        complain(f"{failed} of {len(rows)} files could not be analysed: see their errors")
    return FAILED if failed else 0


def _correct(options: argparse.Namespace, files: Sequence[SoundFile], model: LoadedModel, cache: AnalysisCache) -> None:
    """Remember what the person says of files' tempi; each is analysed for it if it was not yet."""
    # a name that is typed and one that a Mac wrote may be spelled differently in Unicode
    exact = {file.shown: file for file in files}
    alike = {unicodedata.normalize("NFC", file.shown): file for file in files}
    for name, given in options.tempo:
        file = exact.get(name) or alike.get(unicodedata.normalize("NFC", name))
        if file is None:
            raise FluxBeatError(f"--tempo: there is no {name!r} in {options.folder}: give it as the table shows it")
        sha256 = cache.digest(file)
        if given == "back":
            cache.correct(sha256, None)
            continue
        analysis = None
        if given in WORDS:
            analysis = cache.find(sha256, model.info.revision, name) or analyze(file.path, model, name=name)
        cache.correct(sha256, wanted_bpm(analysis, given))


def _workers(options: argparse.Namespace) -> Workers:
    if options.ray is None:
        return ThreadWorkers(options.workers)
    from fluxbeat.library.ray_workers import RayWorkers

    return RayWorkers(options.ray, options.workers)


def _followed(job: LibraryJob, total: int) -> list[LibraryRow] | None:
    """All rows, while a bar tells how far it is; None if the person stopped it."""
    rows: list[LibraryRow] = []
    # a bar and the log share the screen: what a file does to the program is told in its row
    logging.getLogger("fluxbeat.library").addHandler(logging.NullHandler())
    with _ended_by_ctrl_c(job), progress_bar() as bar:
        task = bar.add_task("", total=total)
        for step in job.steps():
            rows += step.rows
            bar.update(task, completed=step.done, description=f"{step.done} of {total} files")
    if len(rows) == total:
        return rows
    complain(f"stopped after {len(rows)} of {total} files; the same command goes on from there")
    return None


@contextmanager
def _ended_by_ctrl_c(job: LibraryJob) -> Iterator[None]:
    """The first Ctrl+C ends the job between two files, so that what is told is what is kept; the next one at once."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield  # Ctrl+C is ignored, as under nohup, or somebody else's
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
    if options.csv:
        with open(options.csv, "w", encoding="utf-8", newline="") as file:
            write_csv(rows, file)
    if options.json:
        print_json([row.to_dict() for row in rows])
    elif options.csv:
        print(f"{options.csv}: {len(rows)} files")
    else:
        show(_table(rows, Console().width))


def _table(rows: Sequence[LibraryRow], width: int) -> Table:
    """The rows; where they fit, with their paths."""
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
            tempo_words(row.bpm, row.rival_bpm),
            Text(row.error, "red") if row.error else Text("; ".join(row.warnings), "yellow"),
            Text(row.path),
        ]
        table.add_row(*cells[: len(table.columns)])
    return table
