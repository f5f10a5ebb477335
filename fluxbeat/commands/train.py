"""`fluxbeat train` and `fluxbeat pretrain`: from music to checkpoints."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fluxbeat.commands.registering import Commands, add_machine, command, machine_of, print_json
from fluxbeat.errors import FluxBeatError


def add(commands: Commands) -> None:
    """Register the commands of this file."""
    train = command(commands, "train", _train, "Train a model by a recipe, or on your own music.")
    train.add_argument("recipe", nargs="?", metavar="RECIPE.yaml")
    own = train.add_argument_group("on your own music")
    own.add_argument(
        "--data",
        metavar="PATH",
        help="FOLDER/GENRE/FILE, a CSV (path, labels), or the folder of GTZAN, FMA or MTG-Jamendo",
    )
    own.add_argument("--model", default="", help="cnn, crnn or vit")
    own.add_argument(
        "--from", dest="start", default="", metavar="CHECKPOINT", help="default: the bundled one; none: random weights"
    )
    own.add_argument("--epochs", type=int, default=0, help="default: as many as are needed")
    own.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")
    train.add_argument("--data-root", type=Path, default=Path("."), metavar="FOLDER", help="where its paths start")
    train.add_argument("--output", type=Path, metavar="FOLDER", help="run folder (default: runs/NAME_OF_RECIPE)")
    train.add_argument("--held-out-fold", type=int, default=0, help="leave this fold out, to test on")
    train.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change one setting")
    train.add_argument(
        "--release", type=Path, metavar="CHECKPOINT",
        help="cross-validate, train on everything, calibrate, and write checkpoint and model card",
    )  # fmt: skip
    train.add_argument("--seeds", type=int, default=1, metavar="N", help="with --release: seeds to cross-validate with")
    train.add_argument(
        "--peers", nargs="*", default=["librosa"], metavar="NAME",
        help="with --release: tempo estimators to ask as well, librosa and essentia",
    )  # fmt: skip
    add_machine(train)

    pretrain = command(commands, "pretrain", _pretrain, "Pretrain a model by SimCLR on music without labels.")
    pretrain.add_argument("recipe", metavar="RECIPE.yaml")
    pretrain.add_argument("--data-root", type=Path, default=Path("."), metavar="FOLDER", help="where its paths start")
    pretrain.add_argument("--corpus", type=Path, metavar="FOLDER", help="what `fluxbeat corpus` built: its train split")
    pretrain.add_argument("--output", type=Path, metavar="FOLDER", help="run folder (default: runs/NAME_OF_RECIPE)")
    pretrain.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change one setting")
    add_machine(pretrain)


def _train(options: argparse.Namespace) -> int:
    if bool(options.recipe) == bool(options.data):
        raise FluxBeatError("train needs either a RECIPE.yaml or --data with your own music")
    if options.data:
        return _train_own(options)
    from fluxbeat.training.recipe import read_recipe
    from fluxbeat.training.release import Release, release
    from fluxbeat.training.run import is_finished, train

    machine, progress = machine_of(options), sys.stderr.isatty()
    recipe = read_recipe(options.recipe, options.set)
    output = options.output or Path("runs", Path(options.recipe).stem)
    if options.release:
        peers = tuple(options.peers)
        plan = Release(recipe, options.data_root, output, options.release, options.seeds, peers, machine, progress)
        print_json(release(plan))
    else:
        finished = is_finished(output)
        train(recipe, options.data_root, output, options.held_out_fold, progress=progress, machine=machine)
        if finished:
            print(f"fluxbeat: {output} holds a finished run, it is not done again", file=sys.stderr)
    return 0


def _train_own(options: argparse.Namespace) -> int:
    from fluxbeat.training.own_data import train_own_data

    data = Path(options.data)
    output = options.output or Path("runs", data.resolve().stem)
    progress, machine = sys.stderr.isatty(), machine_of(options)
    made = train_own_data(data, output, options.model, options.start, options.epochs, options.seed, progress, machine)
    heard = ", ".join(f"{label} {made.trained.get(label, 0)}" for label in made.labels)
    print(f"Learned {len(made.labels)} genres from recordings: {heard}.")
    accuracy = made.report.get("accuracy")
    if accuracy:
        low, high = accuracy["interval_95"]
        print(f"Right on {accuracy['value']:.0%} of {accuracy['n']} by artists not heard ({low:.0%} to {high:.0%}).")
    else:
        print("Not measured: too few recordings to set some aside; see the model card.")
    print(f"The checkpoint is {output}. Use it:\n  fluxbeat analyze FILE --model {output}")
    return 0


def _pretrain(options: argparse.Namespace) -> int:
    from fluxbeat.training.recipe import read_recipe
    from fluxbeat.training.simclr import pretrain, unlabelled_items

    recipe = read_recipe(options.recipe, options.set)
    output = options.output or Path("runs", Path(options.recipe).stem)
    items = unlabelled_items(recipe, options.data_root, options.corpus)
    pretrain(recipe, items, output, machine=machine_of(options))
    return 0
