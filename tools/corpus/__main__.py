"""`python -m tools.corpus STEP`: fetch packages, cut their tracks into excerpts, render accompaniments.

Each step can be stopped and goes on where it was. The folder that comes out is what `python -m tools.recordings` takes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fluxbeat.errors import FluxBeatError
from tools.corpus.catalogue import read_catalogue
from tools.corpus.excerpts import build_excerpts
from tools.corpus.grooves import build_grooves
from tools.corpus.packages import fetch_packages
from tools.corpus.splits import FREE_MUSIC, read_splits


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one step; returns 0 done, 1 done but for what was named, 2 failed."""
    options = _parser().parse_args(arguments)
    try:
        return 1 if _run(options) else 0
    except FluxBeatError as error:
        _report(str(error))
        return 2


def _run(options: argparse.Namespace) -> dict[str, str]:
    """What failed, and why."""
    if options.step == "fetch":
        packages = [track.package for track in read_catalogue(options.catalogue)]
        return fetch_packages(packages, options.output, _report)
    if options.step == "excerpts":
        tracks = read_catalogue(options.catalogue, options.tempo)
        return build_excerpts(tracks, options.output, read_splits(options.splits), report=_report)
    build_grooves(options.count, options.output, options.seed, _report)
    return {}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.corpus", description=__doc__)
    steps = parser.add_subparsers(metavar="STEP", dest="step", required=True)
    for name, text in (
        ("fetch", "Download and unpack the catalogue's packages."),
        ("excerpts", "Cut the tracks into excerpts of at most 30 s."),
        ("grooves", "Render accompaniments at exact tempi."),
    ):
        step = steps.add_parser(name, help=text, description=text)
        step.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="the corpus; goes on with it")
        if name == "grooves":
            step.add_argument("--count", type=int, default=1000)
            step.add_argument("--seed", type=int, default=0)
            continue
        step.add_argument("--catalogue", type=Path, required=True, metavar="FILE.csv", help="what lies where")
        if name == "excerpts":
            step.add_argument("--tempo", type=Path, metavar="FILE.csv", help="tempo of tracker modules")
            step.add_argument(
                "--splits", type=Path, default=FREE_MUSIC, metavar="FILE.txt", help="package<TAB>split (default: ours)"
            )
    return parser


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
