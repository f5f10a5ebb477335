"""`fluxbeat export`: analyses of files, written for other programs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fluxbeat.commands.registering import FAILED, Commands, command
from fluxbeat.errors import ExportError, FluxBeatError

FORMAT_NAMES = ("json", "csv", "audacity", "jams", "tags", "html")


def add(commands: Commands) -> None:
    """Register the commands of this file."""
    export = command(
        commands,
        "export",
        _export,
        "Write what is found in audio files: as data, Audacity labels, tags in a copy of the music, or an HTML report.",
    )
    export.add_argument("files", nargs="+", metavar="FILE")
    export.add_argument(
        "--format",
        required=True,
        choices=FORMAT_NAMES,
        help="html: report with charts; tags: copy of the file with genre and BPM tags; audacity: label track; "
        "csv: table of windows",
    )
    export.add_argument(
        "--output", default=".", metavar="PATH", help="file to write, or a folder; for several files a folder"
    )
    export.add_argument(
        "--model", default=None, help="cnn, crnn, vit, a checkpoint folder, or hf://owner/repo@revision"
    )
    export.add_argument("--explain", action="store_true", help="html: also what in the sound speaks for each genre")
    export.add_argument("--force", action="store_true", help="replace what is there")


def _export(options: argparse.Namespace) -> int:
    from rich.console import Console

    from fluxbeat.analysis import DEFAULT_MODEL, analyze_track, read_track
    from fluxbeat.export import explanation_pictures, export
    from fluxbeat.terminal import progress_bar
    from fluxbeat.zoo import load

    if options.explain and options.format != "html":
        raise ExportError(f"--explain belongs to --format html: {options.format} has no room for pictures")
    targets = _targets(options.files, options.format, options.output)
    model = load(options.model or DEFAULT_MODEL)
    failed, written = 0, set[Path]()
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("", total=float(len(targets)))
        for number, (source, target) in enumerate(zip(options.files, targets, strict=True)):
            bar.update(task, description=Path(source).name[:30])

            def report(share: float, doing: str, number: int = number) -> None:
                bar.update(task, completed=number + share)

            try:
                _refuse(source, target, written, options)
                track = read_track(source, model.network.config.features, progress=report)
                analysis = analyze_track(track, model)
                pictures = explanation_pictures(track, model, analysis) if options.explain else []
                export(analysis, options.format, target, source, pictures=pictures, overwrite=options.force)
            except FluxBeatError as error:
                failed += 1
                print(f"fluxbeat: {error}", file=sys.stderr)
                continue
            written.add(target)
            print(target)
    return FAILED if failed else 0


def _targets(files: list[str], kind: str, wanted: str) -> list[Path]:
    """Where each file's export goes; makes the folder for several, or where the name ends with a slash."""
    from fluxbeat.export import file_name

    output = Path(wanted)
    if len(files) == 1 and not output.is_dir() and not wanted.endswith(("/", "\\")):
        return [output]
    if output.exists() and not output.is_dir():
        raise ExportError(f"{output} is a file, and --output must be a folder here")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"the folder {output} cannot be made ({error.strerror})") from error
    return [output / file_name(Path(file).name, kind, file) for file in files]


def _refuse(source: str, target: Path, written: set[Path], options: argparse.Namespace) -> None:
    """Before a minute is spent on listening."""
    from fluxbeat.export import refuse_output

    if target in written:
        raise ExportError(f"{source}: {target} was just written for another file: export it into another folder")
    refuse_output(target, options.format, source, options.force)
