"""`fluxbeat analyze` and `fluxbeat compare`: what models say of files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fluxbeat.commands.registering import FAILED, Commands, command, print_json
from fluxbeat.errors import FluxBeatError


def add(commands: Commands) -> None:
    """Register the commands of this file."""
    analyze = command(commands, "analyze", _analyze, "Genres and tempo of audio files, along their whole length.")
    analyze.add_argument("files", nargs="+", metavar="FILE")
    analyze.add_argument(
        "--model", default=None, help="cnn, crnn, vit, a checkpoint folder, or hf://owner/repo@revision"
    )
    analyze.add_argument("--hop", type=_seconds, default=1.0, metavar="SECONDS", help="distance of windows (default 1)")
    analyze.add_argument("--json", action="store_true", help="one JSON object for one file, a list for several")

    compare = command(commands, "compare", _compare, "What several models say of the same file.")
    compare.add_argument("file", metavar="FILE")
    compare.add_argument("--models", nargs="+", metavar="MODEL", help="default: all bundled models")
    compare.add_argument("--json", action="store_true")


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
    if options.json and len(options.files) > 1:
        print_json(results)
    elif options.json and results:
        print_json(results[0])
    return FAILED if failed else 0


def _compare(options: argparse.Namespace) -> int:
    from rich.console import Console

    from fluxbeat.analysis import compare, disagreement
    from fluxbeat.terminal import draw_comparison, progress_bar
    from fluxbeat.zoo import load_all

    console = Console()
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task(Path(options.file).name[:30], total=1.0)
        analyses = compare(
            options.file,
            options.models or [model.info.name for model in load_all()],
            progress=lambda share, doing: bar.update(task, completed=share, description=doing),
        )
    if options.json:
        print_json([analysis.to_dict() for analysis in analyses])
        return 0
    try:
        apart = disagreement(analyses) if len(analyses) > 1 else None
    except ValueError as error:
        raise FluxBeatError(f"these models cannot be compared window by window: {error}") from error
    console.print(draw_comparison(analyses, apart, console.width))
    return 0
