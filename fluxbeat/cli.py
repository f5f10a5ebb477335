"""The command line: `fluxbeat COMMAND`, the same as `python -m fluxbeat COMMAND`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fluxbeat import __version__
from fluxbeat.errors import FluxBeatError

FAILED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status: 0 done, 2 something failed and was named on standard error."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help(sys.stderr)
        return FAILED
    try:
        status: int = options.run(options)
    except FluxBeatError as error:
        print(f"fluxbeat: {error}", file=sys.stderr)
        return FAILED
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "fluxbeat":
            raise
        print(
            f"fluxbeat: {error.name} is not installed; install it with: pip install 'fluxbeat[train]'",
            file=sys.stderr,
        )
        return FAILED
    except KeyboardInterrupt:
        print("fluxbeat: stopped", file=sys.stderr)
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fluxbeat", description="See how genre and tempo flow through music.")
    parser.add_argument("--version", action="version", version=f"fluxbeat {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND")

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    analyze = command("analyze", _analyze, "Genres and tempo of audio files, along their whole length.")
    analyze.add_argument("files", nargs="+", metavar="FILE")
    analyze.add_argument(
        "--model", default=None, help="cnn, crnn, vit, a checkpoint folder, or hf://owner/repo@revision"
    )
    analyze.add_argument("--hop", type=_seconds, default=1.0, metavar="SECONDS", help="distance of windows (default 1)")
    analyze.add_argument("--json", action="store_true", help="one JSON object for one file, a list for several")

    compare = command("compare", _compare, "What several models say of the same file.")
    compare.add_argument("file", metavar="FILE")
    compare.add_argument("--models", nargs="+", metavar="MODEL", help="default: all bundled models")
    compare.add_argument("--json", action="store_true")

    models = command("models", _models, "The bundled models, or the one named.")
    models.add_argument("names", nargs="*", metavar="MODEL")
    models.add_argument("--measure", action="store_true", help="also measure milliseconds per window on this machine")
    models.add_argument("--markdown", action="store_true", help="the README's table; measures as well")
    models.add_argument("--json", action="store_true")

    serve = command("serve", _serve, "Serve the web app.")
    serve.add_argument("--host", default=None)
    serve.add_argument("--port", type=int, default=None)

    evaluate = command("evaluate", _evaluate, "How good a checkpoint is on music whose genre and tempo are known.")
    evaluate.add_argument(
        "models", nargs="+", metavar="CHECKPOINT", help="several: runs that differ in their seed; mean and spread"
    )
    source = evaluate.add_mutually_exclusive_group(required=True)
    source.add_argument("--gtzan-archive", metavar="STEM", help="picture archive STEM.npz with STEM.csv")
    source.add_argument("--data", metavar="FILE.csv", help="recordings: path, labels separated by ;, optional bpm")
    source.add_argument("--corpus", metavar="FOLDER", help="the test split of what `fluxbeat corpus` built")
    evaluate.add_argument("--recordings", metavar="FOLDER", help="judge the archive's clips by their audio in FOLDER")
    evaluate.add_argument("--fold", type=int, default=0, help="only clips of this fold (1 or 2)")
    evaluate.add_argument("--mixes", type=int, default=0, metavar="N", help="also N mixes of two clips")
    evaluate.add_argument("--splices", type=int, default=0, metavar="N", help="also N tracks of 2 to 4 clips in a row")
    evaluate.add_argument(
        "--peers", nargs="*", default=["librosa"], metavar="NAME", help="tempo estimators beside: librosa, essentia"
    )
    evaluate.add_argument("--teacher", default="", metavar="FOLDER", help="MusiCNN's weights, to ask it as well")
    evaluate.add_argument("--seed", type=int, default=0, help="of the mixes and splices")
    evaluate.add_argument("--answers", metavar="FILE.csv", help="also write every single answer of the first model")
    evaluate.add_argument("--json", action="store_true")

    train = command("train", _train, "Train a model by a recipe, or on your own music.")
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
    _add_machine(train)

    pretrain = command("pretrain", _pretrain, "Pretrain a model by SimCLR on music without labels.")
    pretrain.add_argument("recipe", metavar="RECIPE.yaml")
    pretrain.add_argument("--data-root", type=Path, default=Path("."), metavar="FOLDER", help="where its paths start")
    pretrain.add_argument("--corpus", type=Path, metavar="FOLDER", help="what `fluxbeat corpus` built: its train split")
    pretrain.add_argument("--output", type=Path, metavar="FOLDER", help="run folder (default: runs/NAME_OF_RECIPE)")
    pretrain.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change one setting")
    _add_machine(pretrain)

    probe = command("probe", _probe, "What pretraining is worth with few labels, beside random weights and MFCC.")
    probe.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT", help="none may have seen the archive")
    probe.add_argument("--gtzan-archive", required=True, metavar="STEM", help="picture archive STEM.npz with STEM.csv")
    probe.add_argument("--seeds", type=int, default=3, metavar="N", help="how often labels are drawn (default 3)")
    probe.add_argument(
        "--shares", type=float, nargs="+", default=[0.01, 0.1, 1.0], metavar="SHARE", help="of a fold's labels"
    )
    probe.add_argument("--no-finetune", action="store_true", help="leave out the supervised runs, which take long")
    probe.add_argument("--json", action="store_true")
    _add_corpus(command("corpus", _corpus, "Build the corpus of freely licensed music from Debian packages."))
    return parser


def _add_corpus(command: argparse.ArgumentParser) -> None:
    steps = command.add_subparsers(metavar="STEP", dest="step", required=True)

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
    step("validate", "Look for missing, silent, short or repeated music and for leaks; status 1 if any.", False)


def _add_machine(command: argparse.ArgumentParser) -> None:
    computing = command.add_argument_group("what to compute on (a GPU where there is one)")
    computing.add_argument("--devices", type=int, default=1, metavar="N", help="GPUs, or processes on the CPU")
    computing.add_argument("--nodes", type=int, default=1, metavar="N", help="machines that run this same command")
    computing.add_argument("--strategy", default="auto", help="of several processes, by Lightning's names")
    computing.add_argument("--precision", default="32-true", help="32-true, bf16-mixed or 16-mixed")
    computing.add_argument("--workers", type=int, default=0, metavar="N", help="processes that load, per kind of music")


def _machine(options: argparse.Namespace) -> Any:
    from fluxbeat.training.machine import Machine

    return Machine(
        devices=options.devices,
        nodes=options.nodes,
        strategy=options.strategy,
        precision=options.precision,
        workers=options.workers,
    )


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.05 <= value <= 600:
        raise argparse.ArgumentTypeError(f"must be 0.05 to 600 seconds, got {text}")
    return value


def _analyze(options: argparse.Namespace) -> int:
    from rich.console import Console

    from fluxbeat.analysis import DEFAULT_MODEL, analyze
    from fluxbeat.terminal import draw_analysis, progress_bar
    from fluxbeat.zoo import load

    model = load(options.model or DEFAULT_MODEL)
    console, failed, results = Console(), 0, []
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("", total=float(len(options.files)))
        for number, path in enumerate(options.files):
            bar.update(task, description=Path(path).name[:30])

            def report(share: float, doing: str, number: int = number) -> None:
                bar.update(task, completed=number + share)

            try:
                analysis = analyze(path, model, hop_s=options.hop, progress=report)
            except FluxBeatError as error:
                failed += 1
                print(f"fluxbeat: {error}", file=sys.stderr)
                continue
            if options.json:
                results.append(analysis.to_dict())
            else:
                console.print(draw_analysis(analysis, console.width))
    if options.json and results:
        _print_json(results[0] if len(options.files) == 1 else results)
    return FAILED if failed else 0


def _compare(options: argparse.Namespace) -> int:
    from rich.console import Console

    from fluxbeat.analysis import compare, disagreement
    from fluxbeat.terminal import draw_comparison, progress_bar
    from fluxbeat.zoo import bundled_names

    console = Console()
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task(Path(options.file).name[:30], total=1.0)
        analyses = compare(
            options.file,
            options.models or bundled_names(),
            progress=lambda share, doing: bar.update(task, completed=share, description=doing),
        )
    if options.json:
        _print_json([analysis.to_dict() for analysis in analyses])
        return 0
    try:
        apart = disagreement(analyses) if len(analyses) > 1 else None
    except ValueError as error:
        raise FluxBeatError(f"these models cannot be compared window by window: {error}") from error
    console.print(draw_comparison(analyses, apart, console.width))
    return 0


def _models(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from fluxbeat.benchmark import milliseconds_per_window
    from fluxbeat.zoo import bundled_names, load

    entries = []
    for name in options.names or bundled_names():
        model = load(name)
        config = model.network.config
        accuracy = next((m for m in config.metrics if m["measure"] == "accuracy"), None)
        entry: dict[str, Any] = {
            "name": model.info.name,
            "family": config.family,
            "parameters": model.network.n_parameters,
            "window_s": config.window_s,
            "labels": list(config.labels),
            "source": model.info.source,
            "revision": model.info.revision,
            "accuracy": accuracy,
        }
        if options.measure or options.markdown:
            entry["ms_per_window"] = round(milliseconds_per_window(model.network), 2)
        entries.append(entry)
    if options.json:
        _print_json(entries)
    elif options.markdown:
        print("\n".join(_markdown(entries)))
    else:
        table = Table("model", "parameters", "labels", "source", "revision")
        if options.measure:
            table.add_column("ms per window", justify="right")
        for entry in entries:
            row = [
                entry["name"],
                f"{entry['parameters']:,}",
                ", ".join(entry["labels"]),
                entry["source"],
                entry["revision"],
            ]
            table.add_row(*row, *([str(entry["ms_per_window"])] if options.measure else []))
        Console().print(table)
    return 0


def _markdown(entries: list[dict[str, Any]]) -> list[str]:
    lines = ["| model | parameters | ms per window | genre accuracy, unseen artists |", "|---|---|---|---|"]
    for entry in entries:
        accuracy = entry["accuracy"]
        shown = "-"
        if accuracy:
            low, high = accuracy["interval_95"]
            shown = f"{accuracy['value']:.1%} of {accuracy['n']} ({low:.0%} to {high:.0%}; {accuracy['split']})"
        lines.append(f"| {entry['name']} | {entry['parameters']:,} | {entry['ms_per_window']:.1f} | {shown} |")
    return lines


def _serve(options: argparse.Namespace) -> int:
    from fluxbeat.ui.app_shell import serve

    serve(host=options.host, port=options.port)
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from rich.console import Console

    from fluxbeat.terminal import draw_evaluation
    from fluxbeat.training.evaluate import Protocol, judge, write_answers
    from fluxbeat.zoo import load

    protocol = Protocol(
        archive=options.gtzan_archive or "",
        recordings=options.recordings or "",
        fold=options.fold,
        table=options.data or "",
        corpus=options.corpus or "",
        mixes=options.mixes,
        splices=options.splices,
        peers=tuple(options.peers),
        teacher=options.teacher,
        seed=options.seed,
    )
    report, answers = judge([load(name) for name in options.models], protocol)
    if options.answers:
        write_answers(answers[0], options.answers)
    if options.json:
        _print_json(report)
    else:
        Console().print(draw_evaluation(report))
    return 0


def _train_own(options: argparse.Namespace) -> int:
    from fluxbeat.training.own_data import train_own_data

    data = Path(options.data)
    output = options.output or Path("runs", data.resolve().stem)
    progress, machine = sys.stderr.isatty(), _machine(options)
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


def _train(options: argparse.Namespace) -> int:
    if bool(options.recipe) == bool(options.data):
        raise FluxBeatError("train needs either a RECIPE.yaml or --data with your own music")
    if options.data:
        return _train_own(options)
    from fluxbeat.training.recipe import read_recipe
    from fluxbeat.training.release import Release, release
    from fluxbeat.training.run import is_finished, train

    machine, progress = _machine(options), sys.stderr.isatty()
    recipe = read_recipe(options.recipe, options.set)
    output = options.output or Path("runs", Path(options.recipe).stem)
    if options.release:
        peers = tuple(options.peers)
        plan = Release(recipe, options.data_root, output, options.release, options.seeds, peers, machine, progress)
        _print_json(release(plan))
    else:
        finished = is_finished(output)
        train(recipe, options.data_root, output, options.held_out_fold, progress=progress, machine=machine)
        if finished:
            print(f"fluxbeat: {output} holds a finished run, it is not done again", file=sys.stderr)
    return 0


def _pretrain(options: argparse.Namespace) -> int:
    from fluxbeat.training.recipe import read_recipe
    from fluxbeat.training.simclr import pretrain, unlabelled_items

    recipe = read_recipe(options.recipe, options.set)
    output = options.output or Path("runs", Path(options.recipe).stem)
    items = unlabelled_items(recipe, options.data_root, options.corpus)
    pretrain(recipe, items, output, machine=_machine(options))
    return 0


def _probe(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from fluxbeat.training.pictures import read_archive
    from fluxbeat.training.probe import FINETUNE_EPOCHS, probe
    from fluxbeat.zoo import load

    scores = probe(
        {name: load(name).network for name in options.checkpoints},
        lambda features: read_archive(options.gtzan_archive, features),
        seeds=options.seeds,
        shares=options.shares,
        finetune_epochs=0 if options.no_finetune else FINETUNE_EPOCHS,
        report=lambda doing: print(doing, file=sys.stderr) if sys.stderr.isatty() else None,
    )
    if options.json:
        _print_json([score.to_dict() for score in scores])
        return 0
    table = Table("from", "probe", title="fold 1 -> 2 and 2 -> 1: genre accuracy")
    for share in options.shares:
        clips = sorted({count for score in scores if score.share == share for count in score.labelled})
        table.add_column(f"{share:.0%} of labels: {' or '.join(map(str, clips))} clips", justify="right")
    for start, kind in dict.fromkeys((score.start, score.probe) for score in scores):
        row = [score for score in scores if (score.start, score.probe) == (start, kind)]
        table.add_row(start, kind, *(f"{score.mean:.1%} ± {100 * score.spread:.1f}" for score in row))
    table.caption = f"{scores[0].tested} test clips; mean ± standard deviation over {options.seeds} seeds"
    Console().print(table)
    return 0


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
    else:
        return _print_faults(*commands.validate(options.output))
    return 0


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


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))
