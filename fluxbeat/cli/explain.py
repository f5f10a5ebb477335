"""`fluxbeat explain`: why a model says what it says, and how far its explanations may be trusted."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fluxbeat.analysis.engine import analyze_each
from fluxbeat.audio.sound_files import find_sound_files
from fluxbeat.cli.output import FAILED, complain, print_json
from fluxbeat.cli.terminal import (
    draw_explanation,
    draw_explanation_report,
    draw_segment_evidence,
    progress_of,
    show,
)
from fluxbeat.errors import ExplanationError, FluxBeatError
from fluxbeat.explanation.attribution import Cam, chosen_cam
from fluxbeat.explanation.drawing import draw_png
from fluxbeat.explanation.explain import explain, explain_tempo
from fluxbeat.explanation.files import npz_bytes, write_sound
from fluxbeat.explanation.result import Explanation
from fluxbeat.explanation.whole_track import explain_whole_track
from fluxbeat.models.base import TAKES_SOUND
from fluxbeat.models.registry import LoadedModel, load
from fluxbeat.training.data.store import INDEX_FILE, FeatureStore
from fluxbeat.training.evaluation import explanation_report as report
from fluxbeat.training.evaluation.explained_windows import store_samples


def explain_command(options: argparse.Namespace) -> int:
    """Explain one window or a whole track, or measure explanations on a folder of music (`--report`)."""
    if bool(options.file) == bool(options.report):
        raise FluxBeatError("explain needs either a FILE or --report with a folder of music")
    if options.report:
        return _report(options)
    return _whole_track(options) if options.track else _one_window(options)


def _models(options: argparse.Namespace) -> list[LoadedModel]:
    return [load(name) for name in options.model or [None]]


def _cam(options: argparse.Namespace, model: LoadedModel) -> Cam | None:
    """What was asked for, completed by what was chosen for the model's family."""
    if not options.layer and not options.method:
        return None
    chosen = chosen_cam(model.network)
    return Cam(options.layer or chosen.layer, options.method or chosen.method)


def _print_json(found: list[dict[str, Any]]) -> None:
    """One model's as it is, several as a list."""
    print_json(found[0] if len(found) == 1 else found)


def _one_window(options: argparse.Namespace) -> int:
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
    def beside(path: Path) -> Path:
        return path.with_name(f"{path.stem}-{model}{path.suffix}") if model else path

    if options.png:
        beside(options.png).write_bytes(draw_png(explanation))
    if options.npz:
        beside(options.npz).write_bytes(npz_bytes(explanation))
    if options.sound:
        write_sound(explanation, options.file, options.sound, f"{model}-" if model else "")


def _whole_track(options: argparse.Namespace) -> int:
    models, entries = _models(options), []
    if any(model.network.takes_sound for model in models):
        raise ExplanationError(TAKES_SOUND)  # before the recording is read
    for model, (track, analysis) in zip(models, analyze_each(options.file, models), strict=True):
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
    with progress_of(model.info.name) as progress:
        unread: list[dict[str, str]] = []
        if (options.report / INDEX_FILE).is_file():
            store = FeatureStore(options.report)
            samples = store_samples(store, model.network, options.split, options.most, options.seed)
        else:
            files = [found.path for found in find_sound_files(options.report)]
            samples, unread = report.samples_of_files(model, files, options.windows, progress)
        if options.compare:
            cams = report.candidate_cams(model.network, options.layer, options.method)
            found = report.compare_cams(model, samples, cams, seed=options.seed, progress=progress)
        else:
            found = report.explanation_report(
                model, samples, cam=_cam(options, model), seed=options.seed, progress=progress
            )
    return {**found, "unread": unread}
