"""`fluxbeat evaluate`: how good models are on recordings whose genre, kind or tempo is known."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fluxbeat.cli.output import print_json
from fluxbeat.cli.registering import Commands, command, models_of
from fluxbeat.errors import FluxBeatError

if TYPE_CHECKING:
    from fluxbeat.training.evaluation.rankings import Measure
    from fluxbeat.training.evaluation.report import Peers


def add(commands: Commands) -> None:
    """Register the command of this file."""
    evaluate = command(
        commands, "evaluate", _evaluate, "How good models are on recordings that they did not see, beside others."
    )
    evaluate.add_argument("models", nargs="*", metavar="MODEL", help="names or folders (default: all bundled ones)")
    source = evaluate.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, metavar="PATH", help="your own music with labels, as `train` takes it")
    source.add_argument(
        "--recordings", type=Path, metavar="FOLDER",
        help="with recordings.csv: file, split, labels separated by ;, artist, dataset, seconds, and where known bpm",
    )  # fmt: skip
    evaluate.add_argument("--split", default="dev", help="dev (default), train, or test: once, for published numbers")
    evaluate.add_argument(
        "--teachers", type=Path, metavar="FOLDER", help="weights of MusiCNN and mn04, to ask them too (in a checkout)"
    )
    evaluate.add_argument("--cache", type=Path, metavar="FOLDER", help="where spectrograms and answers are kept")
    evaluate.add_argument(
        "--mixes", type=int, default=80, metavar="N", help="of --recordings, mixes of two (default 80)"
    )
    evaluate.add_argument("--splices", type=int, default=40, metavar="N", help="and splices of 2 to 4 (default 40)")
    evaluate.add_argument("--explained", type=int, default=0, metavar="N", help="also explanations of N windows; slow")
    evaluate.add_argument("--seed", type=int, default=0, help="of mixes and splices")
    evaluate.add_argument("--answers", type=Path, metavar="FILE.csv", help="also every answer of the first model")
    evaluate.add_argument("--save", type=Path, metavar="FILE.json", help="also write all measures")
    evaluate.add_argument("--json", action="store_true")


def _evaluate(options: argparse.Namespace) -> int:
    from fluxbeat.cli.terminal import show
    from fluxbeat.training.evaluation.catalogue import default_cache
    from fluxbeat.training.evaluation.explained_windows import explanation_measures
    from fluxbeat.training.evaluation.report import Protocol, evaluate

    protocol = Protocol(
        folder=options.recordings or options.data,
        split=options.split,
        cache=options.cache or default_cache(),
        peers=_peers(options),
        mixes=options.mixes if options.recordings else 0,
        splices=options.splices if options.recordings else 0,
        seed=options.seed,
        answers=options.answers,
        further=(explanation_measures(options.explained, options.seed),) if options.explained else (),
    )
    measures = evaluate(models_of(options.models), protocol)
    found = [measure.to_dict() for measure in measures]
    if options.save:
        options.save.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if options.json:
        print_json(found)
    else:
        for table in _drawn(measures):
            show(table)
    return 0


def _peers(options: argparse.Namespace) -> Callable[[tuple[str, ...]], Peers] | None:
    """Whoever can be asked beside our models: their computation is no part of the package, only of a checkout."""
    try:
        from tools.teachers import peers
    except ModuleNotFoundError as error:
        if options.teachers:
            raise FluxBeatError("--teachers asks networks of the folder tools/: run it in a checkout of it") from error
        return None
    from fluxbeat.training.evaluation.catalogue import default_cache

    cache = options.cache or default_cache()
    return partial(peers.Peers, options.recordings or options.data, cache, options.teachers)


def _drawn(measures: list[Measure]) -> list[object]:
    """One table for each measure: on what, by whom, and the value with its count and interval."""
    from rich.table import Table

    from fluxbeat.models.hub.model_card import MEASURES
    from fluxbeat.training.card import cell

    tables: list[object] = []
    for name in dict.fromkeys(measure.measure for measure in measures):
        table = Table("on", "model", "n", title=MEASURES.get(name, name), title_justify="left")
        table.add_column("value (95 % by artist)", no_wrap=True)
        for measure in (one for one in measures if one.measure == name):
            table.add_row(measure.split, measure.subject, str(measure.n), cell(measure))
        tables.append(table)
    return tables
