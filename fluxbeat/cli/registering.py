"""What several commands share: how they are registered, their common options, and work that goes file by file."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fluxbeat.cli.output import complain
from fluxbeat.errors import FluxBeatError

if TYPE_CHECKING:
    from fluxbeat.analysis import Progress, TrackAnalysis
    from fluxbeat.models.registry import LoadedModel
    from fluxbeat.training.machine import Machine

FAILED = 2
"""Exit status when something failed and was named on standard error."""
STOPPED = 130
"""Exit status when a person stopped it."""

MODEL_HELP = "all, cnn, crnn, vit, a checkpoint folder, or hf://owner/repo[@revision] (also any audio classifier)"

Commands = argparse._SubParsersAction


def command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    """Add the command `name`, which calls `run` and exits with what that returns."""
    added: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    added.set_defaults(run=run)
    return added


def models_of(names: Sequence[str] | None) -> list[LoadedModel]:
    """The models of these names; all bundled ones where none is named."""
    from fluxbeat.models.registry import load, load_all

    return [load(name) for name in names] if names else load_all()


def add_tempo(added: argparse.ArgumentParser) -> None:
    """The option `--tempo`: a person's word on how fast a track is."""
    added.add_argument(
        "--tempo", metavar="BPM", help="what the tempo is, if you know better: half, double, or a number"
    )


def with_tempo(analysis: TrackAnalysis, given: str | None) -> TrackAnalysis:
    """The analysis with the tempo that was given, if one was.

    Raises
    ------
    TempoError
        If that is no tempo.
    """
    from fluxbeat.analysis import corrected, wanted_bpm

    return analysis if given is None else corrected(analysis, wanted_bpm(analysis, given))


def file_by_file(files: Sequence[str], work: Callable[[int, Progress], None]) -> int:
    """Call `work` with the place of each file, under a progress bar; returns the exit status.

    A file that fails is named, and the others go on.
    """
    from fluxbeat.cli.terminal import progress_bar

    failed = 0
    with progress_bar() as bar:
        task = bar.add_task("", total=float(len(files)))
        for number, path in enumerate(files):
            bar.update(task, description=Path(path).name[:30])

            def report(share: float, doing: str, number: int = number) -> None:
                bar.update(task, completed=number + share)

            try:
                work(number, report)
            except FluxBeatError as error:
                failed += 1
                complain(error)
    return FAILED if failed else 0


def add_machine(added: argparse.ArgumentParser) -> None:
    """Options that say what to compute on."""
    computing = added.add_argument_group("what to compute on (a GPU where there is one)")
    computing.add_argument("--devices", type=int, default=1, metavar="N", help="GPUs, or processes on the CPU")
    computing.add_argument("--nodes", type=int, default=1, metavar="N", help="machines that run this same command")
    computing.add_argument("--strategy", default="auto", help="of several processes, by Lightning's names")
    computing.add_argument("--precision", default="32-true", help="32-true, bf16-mixed or 16-mixed")
    computing.add_argument("--workers", type=int, default=0, metavar="N", help="processes that load windows")


def machine_of(options: argparse.Namespace) -> Machine:
    """The machine that those options describe."""
    from fluxbeat.training.machine import Machine

    named = ("devices", "nodes", "strategy", "precision", "workers")
    return Machine(**{name: getattr(options, name) for name in named})
