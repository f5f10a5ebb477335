"""`fluxbeat analyze` and `fluxbeat compare`: what models say of files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fluxbeat
from fluxbeat.cli.output import print_json
from fluxbeat.cli.registering import MODEL_HELP, Commands, add_tempo, command, file_by_file, models_of, with_tempo
from fluxbeat.errors import FluxBeatError

if TYPE_CHECKING:
    from fluxbeat.analysis import Progress


def add(commands: Commands) -> None:
    """Register the commands of this file."""
    analyze = command(commands, "analyze", _analyze, "Genres and tempo of audio files, along their whole length.")
    analyze.add_argument("files", nargs="+", metavar="FILE")
    analyze.add_argument(
        "--model",
        help=f"{MODEL_HELP} (default: all three together where they are there, else crnn or the first there is)",
    )
    analyze.add_argument("--hop", type=_seconds, default=1.0, metavar="SECONDS", help="distance of windows (default 1)")
    analyze.add_argument(
        "--find", metavar="WORD", help="of a model with hundreds of labels: those that have this in their name"
    )
    add_tempo(analyze)
    analyze.add_argument("--click", metavar="OUT.wav", help="write the music there with a click on every beat")
    analyze.add_argument("--json", action="store_true", help="one JSON object for one file, a list for several")

    compare = command(commands, "compare", _compare, "What several models say of the same file.")
    compare.add_argument("file", metavar="FILE")
    compare.add_argument("--models", nargs="+", metavar="MODEL", help=f"{MODEL_HELP}; default: every bundled model")
    compare.add_argument("--json", action="store_true")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.05 <= value <= 600:
        raise argparse.ArgumentTypeError(f"must be 0.05 to 600 seconds, got {text}")
    return value


def _analyze(options: argparse.Namespace) -> int:
    from fluxbeat.cli.terminal import draw_analysis, draw_found_labels, show
    from fluxbeat.export.click_track import write_clicks

    if options.click and len(options.files) > 1:
        raise FluxBeatError("--click writes one file: give one music file")
    model, results = fluxbeat.load(options.model), list[dict[str, Any]]()

    def one(number: int, progress: Progress) -> None:
        path = options.files[number]
        analysis = with_tempo(fluxbeat.analyze(path, model, hop_s=options.hop, progress=progress), options.tempo)
        if options.click:
            write_clicks(path, analysis.tempo, options.click)
        if options.json:
            results.append(analysis.to_dict())
        else:
            show(draw_analysis(analysis))
            if options.find:
                show(draw_found_labels(analysis, options.find))

    status = file_by_file(options.files, one)
    if options.json and len(options.files) > 1:
        print_json(results)
    elif results:
        print_json(results[0])
    return status


def _compare(options: argparse.Namespace) -> int:
    from fluxbeat.analysis import compare, disagreement
    from fluxbeat.cli.terminal import draw_comparison, progress_of, show

    with progress_of(Path(options.file).name[:30]) as report:
        analyses = compare(options.file, models_of(options.models), progress=report)
    if options.json:
        print_json([analysis.to_dict() for analysis in analyses])
        return 0
    try:
        apart = disagreement(analyses) if len(analyses) > 1 else None
    except ValueError as error:
        raise FluxBeatError(f"these models cannot be compared window by window: {error}") from error
    show(draw_comparison(analyses, apart))
    return 0
