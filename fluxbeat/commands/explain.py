"""`fluxbeat explain`: why a model says what it says, and how far its explanations may be trusted."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluxbeat.commands.registering import FAILED, Commands, command, print_json
from fluxbeat.errors import ExplanationError, FluxBeatError

if TYPE_CHECKING:
    from fluxbeat.explanation import Explanation

LAYER_NAMES = ("stretches", "spectrogram", "convolutions")


def add(commands: Commands) -> None:
    """Register the commands of this file."""
    explain = command(commands, "explain", _explain, "What in the sound speaks for a genre or a tempo.")
    explain.add_argument("file", nargs="?", metavar="FILE")
    explain.add_argument("--model", nargs="+", metavar="MODEL", help="one or several, as for analyze")
    explain.add_argument("--label", help="genre to explain (default: the most probable one)")
    explain.add_argument(
        "--window",
        dest="start_s",
        type=float,
        metavar="SECONDS",
        help="where the window begins (default: where it is strongest)",
    )
    explain.add_argument("--tempo", action="store_true", help="explain the tempo, not a genre")
    explain.add_argument("--bpm", type=float, help="with --tempo: this tempo (default: the most probable one)")
    explain.add_argument("--track", action="store_true", help="what carried each segment, over the whole track")
    explain.add_argument("--layer", choices=LAYER_NAMES, default=LAYER_NAMES[0], help="where the model is asked")
    out = explain.add_argument_group("what to write (for several models their names are added)")
    out.add_argument("--png", type=Path, metavar="FILE", help="spectrogram and map as a picture")
    out.add_argument("--npz", type=Path, metavar="FILE", help="all arrays")
    out.add_argument("--sound", type=Path, metavar="FOLDER", help="the marked sound and the rest, as WAV")
    explain.add_argument("--json", action="store_true")
    judging = explain.add_argument_group("how far explanations may be trusted")
    judging.add_argument("--report", type=Path, metavar="FOLDER", help="measure it on the music in this folder")
    judging.add_argument("--windows", type=int, default=1, metavar="N", help="windows of each file (default 1)")
    judging.add_argument("--seed", type=int, default=0)


def _explain(options: argparse.Namespace) -> int:
    if bool(options.file) == bool(options.report):
        raise FluxBeatError("explain needs either a FILE or --report with a folder of music")
    if options.report:
        return _report(options)
    return _whole_track(options) if options.track else _one_window(options)


def _models(options: argparse.Namespace) -> list[Any]:
    from fluxbeat.analysis import DEFAULT_MODEL
    from fluxbeat.zoo import load

    return [load(name) for name in options.model or [DEFAULT_MODEL]]


def _one_window(options: argparse.Namespace) -> int:
    from rich.console import Console

    from fluxbeat.explanation import explain, explain_tempo
    from fluxbeat.terminal import draw_explanation

    models, found = _models(options), []
    for model in models:
        if options.tempo:
            explanation = explain_tempo(options.file, model, options.bpm, options.start_s)
        else:
            explanation = explain(options.file, model, options.label, options.start_s, layer=options.layer)
        _write(explanation, options, model.info.name if len(models) > 1 else "")
        found.append(explanation)
    if options.json:
        print_json(found[0].to_dict() if len(found) == 1 else [explanation.to_dict() for explanation in found])
    else:
        for explanation in found:
            Console().print(draw_explanation(explanation))
    return 0


def _write(explanation: Explanation, options: argparse.Namespace, model: str) -> None:
    from fluxbeat.explanation import files

    def beside(path: Path) -> Path:
        return path.with_name(f"{path.stem}-{model}{path.suffix}") if model else path

    if options.png:
        files.write_png(explanation, beside(options.png))
    if options.npz:
        files.write_npz(explanation, beside(options.npz))
    if options.sound:
        files.write_sound(explanation, options.file, options.sound, f"{model}-" if model else "")


def _whole_track(options: argparse.Namespace) -> int:
    from fluxbeat.analysis import analyze_track, read_track
    from fluxbeat.explanation import explain_whole_track
    from fluxbeat.explanation.whole_track import in_words

    answers = []
    for model in _models(options):
        track = read_track(options.file, model.network.config.features)
        analysis = analyze_track(track, model)
        with _watched(model.info.name) as report:
            found = explain_whole_track(track, model, analysis, layer=options.layer, progress=report)
        answers.append((model.info.name, found))
    if options.json:
        entries = [
            {
                "model": name,
                "band_hz": [round(float(hz), 1) for hz in found.band_hz],
                "segments": [one.to_dict() for one in found.segments],
            }
            for name, found in answers
        ]
        print_json(entries[0] if len(entries) == 1 else entries)
    else:
        for name, found in answers:
            print(f"{Path(options.file).name} ({name})")
            for line in in_words(found.segments):
                print(f"  {line}")
    return 0


@contextmanager
def _watched(name: str) -> Iterator[Callable[[float, str], None]]:
    """A progress bar in a terminal; what it gives is called with the finished share and what is being done."""
    from rich.console import Console

    from fluxbeat.terminal import progress_bar

    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task(name, total=1.0)
        yield lambda share, doing: bar.update(task, completed=share, description=f"{name}: {doing}")


def _report(options: argparse.Namespace) -> int:
    from rich.console import Console

    from fluxbeat.explanation.report import explanation_report
    from fluxbeat.sound_files import find_sound_files
    from fluxbeat.terminal import draw_explanation_report

    files = [found.path for found in find_sound_files(options.report)]
    models, reports, failed = _models(options), [], list[str]()
    for model in models:
        try:
            with _watched(model.info.name) as report:
                reports.append(
                    explanation_report(model, files, windows=options.windows, seed=options.seed, progress=report)
                )
        except ExplanationError as error:
            failed.append(f"{model.info.name}: {error}")
    if not reports:
        raise ExplanationError("; ".join(failed))
    if options.json:
        print_json(reports[0] if len(models) == 1 else reports)
    else:
        for found in reports:
            Console().print(draw_explanation_report(found))
    unread = dict.fromkeys(f"{one['file']}: {one['error']}" for found in reports for one in found["unread"])
    for said in [*unread, *failed]:
        print(f"fluxbeat: {said}", file=sys.stderr)
    return FAILED if unread or failed else 0
