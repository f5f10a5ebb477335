"""`fluxbeat export`: analyses of files, written for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fluxbeat.cli.registering import MODEL_HELP, Commands, add_tempo, command, file_by_file, with_tempo
from fluxbeat.errors import ExportError
from fluxbeat.export.formats import FORMATS

if TYPE_CHECKING:
    from fluxbeat.analysis import Progress


def add(commands: Commands) -> None:
    """Register the commands of this file."""
    export = command(
        commands,
        "export",
        _export,
        "Write what is found in audio files for other programs, or as a report.",
    )
    export.add_argument("files", nargs="+", metavar="FILE")
    export.add_argument(
        "--format",
        required=True,
        choices=tuple(FORMATS),
        help="; ".join(f"{one.name}: {one.title}" for one in FORMATS.values()),
    )
    export.add_argument(
        "--output", default=".", metavar="PATH", help="file to write, or a folder; for several files a folder"
    )
    export.add_argument("--model", help=MODEL_HELP)
    add_tempo(export)
    export.add_argument("--explain", action="store_true", help="html: also what in the sound speaks for each genre")
    export.add_argument("--force", action="store_true", help="replace what is there")


def _export(options: argparse.Namespace) -> int:
    from fluxbeat.analysis import analyze_each
    from fluxbeat.export.explained import explanation_images
    from fluxbeat.export.writing import export, refuse_output
    from fluxbeat.models.registry import load

    if options.explain and options.format != "html":
        raise ExportError(f"--explain belongs to --format html: {options.format} has no room for pictures")
    targets, written = _targets(options.files, options.format, options.output), set[Path]()
    model = load(options.model)

    def one(number: int, progress: Progress) -> None:
        source, target = options.files[number], targets[number]
        if target in written:
            raise ExportError(f"{source}: {target} was just written for another file: export it into another folder")
        refuse_output(target, options.format, source, options.force)  # before a minute is spent on the analysis
        track, analysis = next(analyze_each(source, [model], progress=progress))
        analysis = with_tempo(analysis, options.tempo)
        images = explanation_images(track, model, analysis, source) if options.explain else []
        export(analysis, options.format, target, source, images=images, overwrite=options.force)
        written.add(target)
        print(target)

    return file_by_file(options.files, one)


def _targets(files: list[str], kind: str, wanted: str) -> list[Path]:
    """Where each file's export goes; makes the folder for several, or where the name ends with a slash."""
    from fluxbeat.export.writing import file_name

    output = Path(wanted)
    if len(files) == 1 and not output.is_dir() and not wanted.endswith(("/", "\\")):
        return [output]
    if output.is_file():
        raise ExportError(f"{output} is a file, and --output must be a folder here")
    output.mkdir(parents=True, exist_ok=True)
    return [output / file_name(Path(file).name, kind, file) for file in files]
