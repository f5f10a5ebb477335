"""`fluxbeat train`, `pretrain` and `probe`: from music to checkpoints, and what pretraining is worth."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from fluxbeat.charts.wording import took
from fluxbeat.cli.output import print_json
from fluxbeat.cli.terminal import progress_bar, show
from fluxbeat.errors import FluxBeatError
from fluxbeat.library.own_genres import OwnGenres, groups_of
from fluxbeat.training.data.store import FeatureStore
from fluxbeat.training.own_stores import labelled_store, unlabelled_store
from fluxbeat.training.probe import probe
from fluxbeat.training.quick import teach_own_data

if TYPE_CHECKING:
    from fluxbeat.training.machine import Machine

FULL_TRAINING = """\
The full training teaches the whole network instead of its last layer alone: about 300 steps, some minutes to half an
hour on two cores, with the extra [train]. With {wanted} songs of each genre by five artists it is measured on artists
set aside, so that you see whether it beats the number above. {yours}
  fluxbeat train --data {data} --full --output {output}"""
ENOUGH_FOR_FULL = 20


def train_command(options: argparse.Namespace) -> int:
    """Train by a recipe, or on a person's own music (`--data`)."""
    if bool(options.recipe) == bool(options.data):
        raise FluxBeatError("train needs either a RECIPE.yaml or --data with your own music")
    if options.data:
        return _train_own(options)
    from fluxbeat.training.recipe import read_recipe
    from fluxbeat.training.run import is_finished, open_stores, train

    recipe = read_recipe(options.recipe, options.set)
    output = options.output or Path("runs", Path(options.recipe).stem)
    finished = is_finished(output)
    train(recipe, open_stores(recipe, options.data_root), output, machine=_machine(options))
    if finished:
        print(f"fluxbeat: {output} holds a finished run, it is not done again", file=sys.stderr)
    print(f"The checkpoint is {output}. Calibrate and measure it with fluxbeat evaluate, or use it:")
    print(f"  fluxbeat analyze FILE --model {output}")
    return 0


def _train_own(options: argparse.Namespace) -> int:
    data = Path(options.data)
    output = options.output or Path("runs", data.resolve().stem)
    nothing = options.start == "none"
    if not options.full and (nothing or options.epochs):
        raise FluxBeatError("--epochs and --from none are of the full training: add --full")
    base = "" if nothing else options.start or options.model
    with _reading("Quick head") as report:
        own = teach_own_data(data, output, base, options.cache, report)
    counts = ", ".join(f"{label} {count}" for label, count in own.counts.items())
    print(f"Learned {len(own.counts)} genres from {len(own.examples)} songs: {counts}.")
    for sentence in own.judgement.sentences:
        print(sentence)
    if options.full:
        return _train_whole(options, data, output, own)
    print(f"The checkpoint is {output}. Use it:\n  fluxbeat analyze FILE --model {output}")
    few = ", ".join(f"{label} {count}" for label, count in own.counts.items() if count < ENOUGH_FOR_FULL)
    yours = f"You have fewer of {few}: nothing would tell whether it helped." if few else "You have as many."
    print(FULL_TRAINING.format(wanted=ENOUGH_FOR_FULL, yours=yours, data=data, output=output))
    return 0


def _train_whole(options: argparse.Namespace, data: Path, output: Path, own: OwnGenres) -> int:
    from fluxbeat.training.own_data import OwnPlan, train_own_data

    print(f"Now the full training; until it is done {output} holds the quick head.", flush=True)
    wanted = (options.model, options.start, options.epochs, options.seed, options.cache)
    plan = OwnPlan(data, output, *wanted, machine=_machine(options))
    prints = {example.song.name: example.song.fingerprint for example in own.examples}
    groups = dict(zip([example.song.name for example in own.examples], groups_of(own.examples), strict=True))
    with _reading("Full training") as report:
        made = train_own_data(plan, report, prints, groups)
    counts = ", ".join(f"{label} {made.trained.get(label, 0)}" for label in made.labels)
    print(f"The whole network learned {len(made.labels)} genres from recordings: {counts}.")
    accuracy = next((one for one in made.measures if one.measure == "accuracy"), None)
    if accuracy and accuracy.value is not None and accuracy.interval_95:
        low, high = accuracy.interval_95
        print(f"Right on {accuracy.value:.0%} of {accuracy.n} {made.kept_apart} ({low:.0%} to {high:.0%}).")
    else:
        print("Not measured: too few recordings to set some aside; see the model card.")
    print(f"The checkpoint is {output}. Use it:\n  fluxbeat analyze FILE --model {output}")
    return 0


@contextmanager
def _reading(name: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with the remaining time in a terminal; elsewhere a line about every twentieth part of the recordings."""
    began_s = time.monotonic()
    with progress_bar() as bar:
        task = bar.add_task(f"{name}: reading", total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            if bar.disable and (done == total or done % max(total // 20, 1) == 0):
                left_s = (time.monotonic() - began_s) / done * (total - done)
                left = f", about {took(left_s)} left" if done < total else ""
                print(f"read {done} of {total} recordings{left}", file=sys.stderr, flush=True)

        yield report


def pretrain_command(options: argparse.Namespace) -> int:
    """Pretrain a network by SimCLR on music without labels, and save the checkpoint."""
    from fluxbeat.training.recipe import read_recipe
    from fluxbeat.training.run import open_stores, pretrain

    recipe = read_recipe(options.recipe, options.set)
    output = options.output or Path("runs", Path(options.recipe).stem)
    if options.data:
        with _reading("Pretraining") as report:
            stores = [unlabelled_store(options.data, recipe.features, options.cache, report)]
    else:
        stores = open_stores(recipe, options.data_root)
    pretrain(recipe, stores, output, machine=_machine(options))
    print(f"The checkpoint is {output}. See what it is worth, or start from it:")
    print(f"  fluxbeat probe {output} --data FOLDER\n  fluxbeat train --data FOLDER --full --from {output}")
    return 0


def probe_command(options: argparse.Namespace) -> int:
    """Print the genre accuracy that checkpoints reach with few labels, beside random weights and MFCC."""
    from fluxbeat.training.own_data import single_network

    networks = {name: single_network(name) for name in options.checkpoints}
    if options.store:
        store = FeatureStore(options.store)
    else:
        features = next(iter(networks.values())).config.features
        with _reading("Probe") as report:
            store, _ = labelled_store(options.data, features, options.cache, report=report)
    wanted = (options.split, options.seeds, options.shares)
    scores = probe(networks, store, *wanted, report=lambda doing: print(doing, file=sys.stderr))
    if options.json:
        print_json([score.to_dict() for score in scores])
        return 0
    table = Table("from", "probe", title=f"genre accuracy on {options.split}, artists apart")
    for share in options.shares:
        labelled = next(score.labelled for score in scores if score.share == share)
        table.add_column(f"{share:.0%} of labels: {labelled} excerpts", justify="right")
    for start, kind in dict.fromkeys((score.start, score.probe) for score in scores):
        row = [score for score in scores if (score.start, score.probe) == (start, kind)]
        table.add_row(start, kind, *(f"{score.mean:.1%} ± {100 * score.spread:.1f}" for score in row))
    table.caption = f"{scores[0].tested} test excerpts; mean ± standard deviation over {options.seeds} seeds"
    show(table)
    return 0


def _machine(options: argparse.Namespace) -> Machine:
    """The machine that those options describe."""
    from fluxbeat.training.machine import Machine

    named = ("devices", "nodes", "strategy", "precision", "workers")
    return Machine(**{name: getattr(options, name) for name in named})
