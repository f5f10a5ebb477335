"""`fluxbeat evaluate`: how good models are on recordings whose genre, kind or tempo is known."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial

from rich.table import Table

from fluxbeat.cli.models import models_of
from fluxbeat.cli.output import print_json
from fluxbeat.cli.terminal import show
from fluxbeat.errors import FluxBeatError
from fluxbeat.models.hub.model_card import MEASURES
from fluxbeat.training.card import cell
from fluxbeat.training.evaluation.catalogue import default_cache
from fluxbeat.training.evaluation.rankings import Measure
from fluxbeat.training.evaluation.report import Peers, Protocol, evaluate


def evaluate_command(options: argparse.Namespace) -> int:
    """Measure models on recordings with known genres, and print the measures."""
    protocol = Protocol(
        folder=options.recordings or options.data,
        split=options.split,
        cache=options.cache or default_cache(),
        peers=_peers(options),
        mixes=options.mixes if options.recordings else 0,
        splices=options.splices if options.recordings else 0,
        seed=options.seed,
        answers=options.answers,
        explained=options.explained,
    )
    measures = evaluate(models_of(options.models), protocol)
    found = [measure.to_dict() for measure in measures]
    if options.save:
        options.save.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if options.json:
        print_json(found)
    else:
        _show(measures)
    return 0


def _peers(options: argparse.Namespace) -> Callable[[tuple[str, ...]], Peers] | None:
    """Whoever can be asked beside our models: their computation is no part of the package, only of a checkout."""
    try:
        from tools.teachers import peers
    except ModuleNotFoundError as error:
        if options.teachers:
            raise FluxBeatError("--teachers asks networks of the folder tools/: run it in a checkout of it") from error
        return None
    cache = options.cache or default_cache()
    return partial(peers.Peers, options.recordings or options.data, cache, options.teachers)


def _show(measures: list[Measure]) -> None:
    """One table for each measure: on what, by whom, and the value with its count and interval."""
    for name in dict.fromkeys(measure.measure for measure in measures):
        table = Table("on", "model", "n", title=MEASURES.get(name, name), title_justify="left")
        table.add_column("value (95 % by artist)", no_wrap=True)
        for measure in (one for one in measures if one.measure == name):
            table.add_row(measure.split, measure.subject, str(measure.n), cell(measure))
        show(table)
