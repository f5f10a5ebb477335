"""`fluxbeat corpus`: the corpus of freely licensed music, step by step."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fluxbeat.commands.registering import Commands, command


def add(commands: Commands) -> None:
    """Register the commands of this file."""
    corpus = command(commands, "corpus", _corpus, "Build the corpus of freely licensed music from Debian packages.")
    steps = corpus.add_subparsers(metavar="STEP", dest="step", required=True)

    def step(name: str, text: str, needs_catalogue: bool) -> argparse.ArgumentParser:
        added = steps.add_parser(name, help=text, description=text)
        added.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="the corpus; goes on with it")
        if needs_catalogue:
            added.add_argument("--catalogue", type=Path, required=True, metavar="FILE.csv", help="what lies where")
        return added

    step("fetch", "Download and unpack the catalogue's packages.", True)
    read = step("read", "Cut the tracks into excerpts and keep their spectrograms.", True)
    read.add_argument("--tempo", type=Path, metavar="FILE.csv", help="tempo of tracker modules")
    read.add_argument("--splits", type=Path, metavar="FILE.txt", help="package<TAB>train or test (default: bundled)")
    teach = step("teach", "Keep what MusiCNN hears in the excerpts.", True)
    teach.add_argument("--teacher", type=Path, required=True, metavar="FOLDER", help="with MusiCNN's weights")
    grooves = step("grooves", "Render accompaniments at exact tempos.", False)
    grooves.add_argument("--count", type=int, default=1000)
    grooves.add_argument("--seed", type=int, default=0)
    blend = step("blend", "Blend two pieces at a time and keep what MusiCNN hears in them.", False)
    blend.add_argument("--teacher", type=Path, required=True, metavar="FOLDER", help="with MusiCNN's weights")
    blend.add_argument("--gtzan-archive", metavar="STEM", help="picture archive that --recordings belong to")
    blend.add_argument("--recordings", metavar="FOLDER", help="audio of its clips, to be blended too; folds stay apart")
    blend.add_argument("--count", type=int, default=3000)
    blend.add_argument("--seed", type=int, default=0)
    step("validate", "Look for missing, silent, short or repeated music and for leaks; status 1 if any.", False)


def _corpus(options: argparse.Namespace) -> int:
    from fluxbeat.training.corpus import commands

    def report(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    if options.step == "fetch":
        return 1 if commands.fetch(options.catalogue, options.output, report) else 0
    if options.step == "read":
        return 1 if commands.read(options.catalogue, options.output, options.tempo, options.splits, report) else 0
    if options.step == "teach":
        commands.teach(options.catalogue, options.output, options.teacher, report)
    elif options.step == "grooves":
        commands.grooves(options.output, options.count, options.seed, report)
    elif options.step == "blend":
        commands.blend(options.output, options.teacher, _recordings(options), options.count, options.seed, report)
    else:
        return _print_faults(*commands.validate(options.output))
    return 0


def _recordings(options: argparse.Namespace) -> list[Any]:
    from fluxbeat.errors import FluxBeatError
    from fluxbeat.training.pictures import archive_recordings

    if bool(options.gtzan_archive) != bool(options.recordings):
        raise FluxBeatError("--gtzan-archive and --recordings go together")
    return archive_recordings(options.gtzan_archive, options.recordings) if options.recordings else []


def _print_faults(faults: Sequence[Any], count: int) -> int:
    from rich.console import Console
    from rich.table import Table

    if not faults:
        print(f"{count} excerpts, nothing wrong")
        return 0
    table = Table("fault", "where", "what was found")
    for fault in faults:
        table.add_row(fault.kind, fault.item, fault.found)
    Console().print(table)
    print(f"{count} excerpts, {len(faults)} faults")
    return 1
