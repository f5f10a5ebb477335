"""`fluxbeat export`: analyses of files, written for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path

from fluxbeat.analysis.correction import corrected, wanted_bpm
from fluxbeat.analysis.engine import analyze_each
from fluxbeat.analysis.track import Progress
from fluxbeat.cli.terminal import file_by_file
from fluxbeat.errors import ExportError
from fluxbeat.export.explained import explanation_images
from fluxbeat.export.writing import export, file_name, refuse_output
from fluxbeat.models.registry import load


def export_command(options: argparse.Namespace) -> int:
    """Write each file's analysis in one format; 2 if one of them could not be written, 0 otherwise."""
    if options.explain and options.format != "html":
        raise ExportError(f"--explain belongs to --format html: {options.format} has no room for pictures")
    targets, written = _targets(options.files, options.format, options.output), set[Path]()
    model = load(options.model)

    def export_file(number: int, progress: Progress) -> None:
        source, target = options.files[number], targets[number]
        if target in written:
            raise ExportError(f"{source}: {target} was just written for another file: export it into another folder")
        refuse_output(target, options.format, source, options.force)  # before a minute is spent on the analysis
        track, analysis = next(analyze_each(source, [model], progress=progress))
        if options.tempo is not None:
            analysis = corrected(analysis, wanted_bpm(analysis, options.tempo))
        images = explanation_images(track, model, analysis, source) if options.explain else []
        export(analysis, options.format, target, source, images=images, overwrite=options.force)
        written.add(target)
        print(target)

    return file_by_file(options.files, export_file)


def _targets(files: list[str], kind: str, wanted: str) -> list[Path]:
    """Where each file's export goes; makes the folder for several, or where the name ends with a slash."""
    output = Path(wanted)
    if len(files) == 1 and not output.is_dir() and not wanted.endswith(("/", "\\")):
        return [output]
    if output.is_file():
        raise ExportError(f"{output} is a file, and --output must be a folder here")
    output.mkdir(parents=True, exist_ok=True)
    return [output / file_name(Path(file).name, kind, file) for file in files]
