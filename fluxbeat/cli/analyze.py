"""`fluxbeat analyze` and `fluxbeat compare`: what models say of files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fluxbeat.analysis.correction import corrected, wanted_bpm
from fluxbeat.analysis.disagreement import disagreement
from fluxbeat.analysis.engine import analyze, compare
from fluxbeat.analysis.track import Progress
from fluxbeat.cli.models import models_of
from fluxbeat.cli.output import print_json
from fluxbeat.cli.terminal import draw_analysis, draw_comparison, draw_found_labels, file_by_file, progress_of, show
from fluxbeat.errors import FluxBeatError
from fluxbeat.export.click_track import write_clicks
from fluxbeat.models.registry import load


def analyze_command(options: argparse.Namespace) -> int:
    """Print genres and tempo of each file; 2 if one of them could not be analysed, 0 otherwise."""
    if options.click and len(options.files) > 1:
        raise FluxBeatError("--click writes one file: give one music file")
    model, results = load(options.model), list[dict[str, Any]]()

    def analyze_file(number: int, progress: Progress) -> None:
        path = options.files[number]
        analysis = analyze(path, model, hop_s=options.hop, progress=progress)
        if options.tempo is not None:
            analysis = corrected(analysis, wanted_bpm(analysis, options.tempo))
        if options.click:
            write_clicks(path, analysis.tempo, options.click)
        if options.json:
            results.append(analysis.to_dict())
        else:
            show(draw_analysis(analysis))
            if options.find:
                show(draw_found_labels(analysis, options.find))

    status = file_by_file(options.files, analyze_file)
    if options.json and len(options.files) > 1:
        print_json(results)
    elif results:
        print_json(results[0])
    return status


def compare_command(options: argparse.Namespace) -> int:
    """Print what several models say of one file, and where they disagree."""
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
