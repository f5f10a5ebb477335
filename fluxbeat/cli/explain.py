"""`fluxbeat explain`: why a model says what it says, and how far its explanations may be trusted."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fluxbeat
from fluxbeat.cli.output import complain, print_json
from fluxbeat.cli.registering import FAILED, Commands, command
from fluxbeat.errors import ExplanationError, FluxBeatError

if TYPE_CHECKING:
    from fluxbeat.explanation import Cam, Explanation
    from fluxbeat.models.registry import LoadedModel

METHOD_NAMES = ("grad-cam", "hires-cam", "layer-cam", "integrated")
SPLITS = ("train", "dev", "test")
STORE_INDEX = "excerpts.json"
"""What a folder holds that is a store of features."""


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
    explain.add_argument("--layer", help="where in the network: conv1, conv2, ... (default: as measured best)")
    explain.add_argument("--method", choices=METHOD_NAMES, help="how gradients and activations make a map")
    out = explain.add_argument_group("what to write (for several models their names are added)")
    out.add_argument("--png", type=Path, metavar="FILE", help="spectrogram and map")
    out.add_argument("--npz", type=Path, metavar="FILE", help="all arrays")
    out.add_argument("--sound", type=Path, metavar="FOLDER", help="the marked sound and the rest, as WAV")
    explain.add_argument("--json", action="store_true")
    judging = explain.add_argument_group("how far explanations may be trusted")
    judging.add_argument(
        "--report", type=Path, metavar="FOLDER", help="measure it on the music or the store of features there"
    )
    judging.add_argument("--compare", action="store_true", help="compare all layers and methods, or those of --layer")
    judging.add_argument("--split", choices=SPLITS, default="dev", help="of a store of features (default dev)")
    judging.add_argument("--most", type=int, default=100, metavar="N", help="windows of a store (default 100)")
    judging.add_argument("--windows", type=int, default=1, metavar="N", help="windows of each file (default 1)")
    judging.add_argument("--seed", type=int, default=0)


def _explain(options: argparse.Namespace) -> int:
    if bool(options.file) == bool(options.report):
        raise FluxBeatError("explain needs either a FILE or --report with a folder of music")
    if options.report:
        return _report(options)
    return _whole_track(options) if options.track else _one_window(options)


def _models(options: argparse.Namespace) -> list[LoadedModel]:
    return [fluxbeat.load(name) for name in options.model or [None]]


def _cam(options: argparse.Namespace, model: LoadedModel) -> Cam | None:
    """What was asked for, completed by what was chosen for the model's family."""
    from fluxbeat.explanation.attribution import Cam, chosen_cam

    if not options.layer and not options.method:
        return None
    chosen = chosen_cam(model.network)
    return Cam(options.layer or chosen.layer, options.method or chosen.method)


def _print_json(found: list[dict[str, Any]]) -> None:
    """One model's as it is, several as a list."""
    print_json(found[0] if len(found) == 1 else found)


def _one_window(options: argparse.Namespace) -> int:
    from fluxbeat.cli.terminal import draw_explanation, progress_of, show
    from fluxbeat.explanation import explain, explain_tempo

    models, found = _models(options), []
    for model in models:
        if options.tempo:
            explanation = explain_tempo(options.file, model, options.bpm, options.start_s)
        else:
            cam = _cam(options, model)
            with progress_of(model.info.name) as report:
                explanation = explain(options.file, model, options.label, options.start_s, cam=cam, progress=report)
        _write(explanation, options, model.info.name if len(models) > 1 else "")
        found.append(explanation.to_dict())
        if not options.json:
            show(draw_explanation(explanation))
    if options.json:
        _print_json(found)
    return 0


def _write(explanation: Explanation, options: argparse.Namespace, model: str) -> None:
    from fluxbeat.explanation.drawing import draw_png
    from fluxbeat.explanation.files import npz_bytes, write_sound

    def beside(path: Path) -> Path:
        return path.with_name(f"{path.stem}-{model}{path.suffix}") if model else path

    if options.png:
        beside(options.png).write_bytes(draw_png(explanation))
    if options.npz:
        beside(options.npz).write_bytes(npz_bytes(explanation))
    if options.sound:
        write_sound(explanation, options.file, options.sound, f"{model}-" if model else "")


def _whole_track(options: argparse.Namespace) -> int:
    from fluxbeat.analysis import analyze_track, read_track
    from fluxbeat.cli.terminal import draw_segment_evidence, progress_of, show
    from fluxbeat.explanation import explain_whole_track

    entries = []
    for model in _models(options):
        track = read_track(options.file, model.network.config.features)
        analysis = analyze_track(track, model)
        with progress_of(model.info.name) as report:
            found = explain_whole_track(track, model, analysis, cam=_cam(options, model), progress=report)
        band_hz = [round(float(hz), 1) for hz in found.band_hz]
        segments = [one.to_dict() for one in found.segments]
        entries.append({"model": model.info.name, "band_hz": band_hz, "segments": segments})
        if not options.json:
            show(draw_segment_evidence(f"{track.file} ({model.info.name})", found.segments))
    if options.json:
        _print_json(entries)
    return 0


def _report(options: argparse.Namespace) -> int:
    from fluxbeat.cli.terminal import draw_explanation_report, show

    models, reports, failed = _models(options), [], list[str]()
    for model in models:
        try:
            reports.append(_measured(options, model))
        except ExplanationError as error:
            failed.append(f"{model.info.name}: {error}")
    if not reports:
        raise ExplanationError("; ".join(failed))
    if options.json:
        print_json(reports[0] if len(models) == 1 else reports)
    else:
        for found in reports:
            show(draw_explanation_report(found))
    unread = dict.fromkeys(f"{one['file']}: {one['error']}" for found in reports for one in found["unread"])
    for problem in [*unread, *failed]:
        complain(problem)
    return FAILED if unread or failed else 0


def _measured(options: argparse.Namespace, model: LoadedModel) -> dict[str, Any]:
    """What was measured of one model on a store of features, or on the music of a folder."""
    from fluxbeat.cli.terminal import progress_of
    from fluxbeat.training.evaluation import explanation_report as report

    with progress_of(model.info.name) as progress:
        unread: list[dict[str, str]] = []
        if (options.report / STORE_INDEX).is_file():
            from fluxbeat.training.data.store import FeatureStore
            from fluxbeat.training.evaluation.explained_windows import store_samples

            store = FeatureStore(options.report)
            samples = store_samples(store, model.network, options.split, options.most, options.seed)
        else:
            from fluxbeat.audio.sound_files import find_sound_files

            files = [found.path for found in find_sound_files(options.report)]
            samples, unread = report.samples_of_files(model, files, options.windows, progress)
        if options.compare:
            asked = [
                cam
                for cam in report.candidate_cams(model.network)
                if options.layer in (None, cam.layer) and options.method in (None, cam.method)
            ]
            found = report.compare_cams(model, samples, cams=asked, seed=options.seed, progress=progress)
        else:
            one = _cam(options, model)
            found = report.explanation_report(
                model, samples, cams=[one] if one else None, seed=options.seed, progress=progress
            )
    return {**found, "unread": unread}
