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
    evaluate.add_argument("model", metavar="CHECKPOINT")
    source = evaluate.add_mutually_exclusive_group(required=True)
    source.add_argument("--gtzan-archive", metavar="STEM", help="picture archive STEM.npz with STEM.csv")
    source.add_argument("--data", metavar="FILE.csv", help="recordings: path, labels separated by ;, optional bpm")
    evaluate.add_argument("--recordings", metavar="FOLDER", help="judge the archive's clips by their audio in FOLDER")
    evaluate.add_argument("--fold", type=int, default=0, help="only clips of this fold (1 or 2)")
    evaluate.add_argument("--answers", metavar="FILE.csv", help="also write every single answer")
    evaluate.add_argument("--json", action="store_true")

    train = command("train", _train, "Train a model by a recipe.")
    train.add_argument("recipe", metavar="RECIPE.yaml")
    train.add_argument("--data-root", type=Path, default=Path("."), metavar="FOLDER", help="where its paths start")
    train.add_argument("--output", type=Path, metavar="FOLDER", help="run folder (default: runs/NAME_OF_RECIPE)")
    train.add_argument("--held-out-fold", type=int, default=0, help="leave this fold out, to test on")
    train.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change one setting")
    train.add_argument(
        "--release", type=Path, metavar="CHECKPOINT",
        help="cross-validate, train on everything, calibrate, and write checkpoint and model card",
    )  # fmt: skip
    return parser


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
    from fluxbeat.training import evaluate
    from fluxbeat.zoo import load

    model = load(options.model)
    features = model.network.config.features
    if options.data and (options.recordings or options.fold):
        raise FluxBeatError("--recordings and --fold go with --gtzan-archive")
    if options.data:
        cases = evaluate.table_cases(options.data, features)
    elif options.recordings:
        cases = evaluate.archive_recording_cases(options.gtzan_archive, options.recordings, features, options.fold)
    else:
        cases = evaluate.picture_cases(options.gtzan_archive, features, options.fold)
    answers = evaluate.ask(model, cases, librosa_too=True)
    if not answers:
        raise FluxBeatError("no tracks to judge: the fold or the table is empty")
    report = {"model": vars(model.info), **evaluate.summarise(answers)}
    if options.answers:
        evaluate.write_answers(answers, options.answers)
    if options.json:
        _print_json(report)
    else:
        Console().print(draw_evaluation(report))
    return 0


def _train(options: argparse.Namespace) -> int:
    from fluxbeat.training.recipe import read_recipe
    from fluxbeat.training.release import release
    from fluxbeat.training.run import train

    recipe = read_recipe(options.recipe, options.set)
    output = options.output or Path("runs", Path(options.recipe).stem)
    if options.release:
        _print_json(release(recipe, options.data_root, output, options.release, progress=sys.stderr.isatty()))
    else:
        train(recipe, options.data_root, output, options.held_out_fold, progress=sys.stderr.isatty())
    return 0


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))
