"""Stores of features and teachers' outputs from a folder of recordings: `python -m tools.recordings build --help`.

The folder holds `recordings.csv` with the columns file, split, labels, artist, dataset, seconds and, where it is
known, bpm, as `python -m tools.corpus` writes it; where a file `teachers.npz` lies beside it, the teachers are not
asked again.
What comes out, in one folder each, is what a recipe's `data.stores` names:

    recordings       every row, as it is
    copy0, copy1 ..  the rows of `train`, augmented anew, with what the teachers say of them then
    drawn            drawn rhythms at exact tempi, and sounds without a beat

A build that was cut off goes on where it was. About 0.6 s of one core an excerpt.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from fluxbeat.errors import FluxBeatError
from fluxbeat.training.recipe import read_recipe
from tools.recordings.build import TABLE, Builder, Folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns 0 done, 2 failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.recordings", description=__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    build = commands.add_parser("build", help="build the stores of a folder of recordings")
    build.add_argument("folder", type=Path, metavar="FOLDER", help=f"with {TABLE}")
    build.add_argument("--teachers", type=Path, required=True, metavar="FOLDER", help="weights of the teachers")
    build.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="the stores; goes on with them")
    build.add_argument("--recipe", default="recipes/cnn.yaml", metavar="FILE", help="whose features and labels")
    build.add_argument("--copies", type=int, nargs="*", default=[0, 1], metavar="N", help="numbers of the copies")
    build.add_argument("--drawn", type=int, default=300, metavar="N", help="drawn rhythms and sounds")
    build.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        _build(options)
    except FluxBeatError as error:
        print(f"tools.recordings: {error}", file=sys.stderr)
        return 2
    return 0


@torch.inference_mode()
def _build(options: argparse.Namespace) -> None:
    recipe = read_recipe(options.recipe)
    folder = Folder.read(options.folder, recipe.labels)
    builder = Builder(folder, options.teachers, options.output, recipe.features, recipe.labels, options.seed)
    builder.recordings()
    for number in options.copies:
        builder.copy(number)
    if options.drawn:
        builder.drawn(options.drawn)


if __name__ == "__main__":
    sys.exit(main())
