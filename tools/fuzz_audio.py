"""Feed broken sound files to decoding and analysis, and report what they break.

    python tools/fuzz_audio.py --files 10000
    python tools/fuzz_audio.py --first 4711 --files 1 --keep findings
    python tools/fuzz_audio.py --files 2000 --ffmpeg packaged --json > report.json

Each file (see mutated_audio.py: the same number gives the same bytes) is decoded and analysed by the CNN in a worker
process: every other one from its bytes, as an upload comes, else from its path. The worker is watched from outside and
replaced when it ends. A file is a finding when

- the process crashes, or takes longer than 20 s, or it and its ffmpeg take more than 2 GB of memory,
- an error comes out that is no AudioDecodeError, or one whose message does not name the file in one short line,
- the analysis holds numbers that are none, or half a file is taken for a whole one without a warning.

`--keep FOLDER` writes the files that are findings there. Ctrl-C ends the run with the report so far. The exit status is
1 if there are findings. 10,000 files take ten minutes on two idle cores, forty on busy ones. Memory and processes are
read from /proc: Linux only.
"""

from __future__ import annotations

import argparse
import dataclasses
import faulthandler
import json
import math
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parents[1]))

from mutated_audio import SEED_S, Mutant, MutatedAudio

LIMIT_S = 20.0
LIMIT_MB = 2000.0
_LOOK_EVERY_S = 0.02
_OF_DAMAGE = ("cut_off", "damaged", "invalid_samples")


@dataclass(frozen=True)
class Task:
    """One file to examine: where it lies, and what to know about it."""

    path: Path
    as_bytes: bool
    truncated: bool


@dataclass(frozen=True)
class Outcome:
    """What became of a file.

    Attributes
    ----------
    kind : str
        "accepted", "refused", or a finding: "crash", "hang", "memory", "wrong error", "wrong answer".
    message : str
        The warnings of damage, the refusal's message, or what is wrong.
    seconds : float
    peak_mb : float
        Largest resident memory of the worker, and of its ffmpeg beside it, while this file was examined.
    """

    kind: str
    message: str = ""
    seconds: float = 0.0
    peak_mb: float = 0.0

    @property
    def is_finding(self) -> bool:
        return self.kind not in ("accepted", "refused")


Examine = Callable[[Task], Outcome]


class DecodeAndAnalyse:
    """What is done with each file, within the worker."""

    def __init__(self, ffmpeg: str | None = None) -> None:
        import torch

        from fluxbeat.audio import ffmpeg_reader
        from fluxbeat.models import registry

        torch.set_num_threads(1)
        if ffmpeg is not None:
            ffmpeg_reader.find_ffmpeg = lambda: ffmpeg  # type: ignore[assignment]
        self._model = registry.load("cnn")

    def __call__(self, task: Task) -> Outcome:
        import fluxbeat
        from fluxbeat.audio.playback import needs_playable_copy
        from fluxbeat.audio.tags import read_tags

        source = task.path.read_bytes() if task.as_bytes else task.path
        read_tags(source)
        try:
            needs_playable_copy(task.path)
            analysis = fluxbeat.analyze(source, self._model, name=task.path.name)
        except fluxbeat.AudioDecodeError as error:
            return _judged_refusal(str(error))
        json.dumps(analysis.to_dict(), allow_nan=False)
        if not math.isfinite(analysis.duration_s) or analysis.duration_s <= 0:
            return Outcome("wrong answer", f"a duration of {analysis.duration_s} s")
        told = analysis.warned("cut_off") or analysis.warned("damaged")
        if task.truncated and analysis.duration_s < SEED_S - 0.55 and not told:
            return Outcome("wrong answer", f"{analysis.duration_s:.2f} s are left and no warning says so")
        of_damage = [warning.text for warning in analysis.warnings if warning.code in _OF_DAMAGE]
        return Outcome("accepted", "; ".join(of_damage))


def _judged_refusal(message: str) -> Outcome:
    if not message.startswith('"') or "\n" in message or len(message) > 300 or not message.isprintable():
        return Outcome("wrong error", f"no short line with the file's name: {message!r}")
    return Outcome("refused", message)


class Watch:
    """A worker process that outlives its tasks, under limits; a context manager.

    Parameters
    ----------
    make : callable without arguments, importable by its name
        Called once in each new worker, gives what to call with each task there.
    limit_s, limit_mb : float
        For one task; memory is that of the worker and of the processes that it starts.
    """

    def __init__(self, make: Callable[[], Examine], limit_s: float = LIMIT_S, limit_mb: float = LIMIT_MB) -> None:
        self._make = make
        self.limit_s, self.limit_mb = limit_s, limit_mb
        self.started = 0
        self._worker: Any = None

    def __enter__(self) -> Watch:
        self._stacks = tempfile.NamedTemporaryFile(prefix="fuzz-stacks-")
        return self

    def __exit__(self, *error: object) -> None:
        self._end_worker()
        self._stacks.close()

    def examine(self, task: Task) -> Outcome:
        """Have the worker examine one file, and end it where it goes beyond a limit."""
        if self._worker is None:
            self._start_worker()
        self._stacks.truncate(0)
        _forget_peak(self._worker.pid)
        began, largest = time.monotonic(), 0.0
        self._pipe.send(task)
        while True:
            answered = self._pipe.poll(_LOOK_EVERY_S)
            largest = max(largest, _memory_mb(self._worker.pid))
            seconds = time.monotonic() - began
            if largest > self.limit_mb:
                return self._ended("memory", f"{largest:.0f} MB", seconds, largest)
            if answered:
                break
            if seconds > self.limit_s:
                return self._ended("hang", f"no answer after {seconds:.0f} s", seconds, largest)
        try:
            outcome: Outcome = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self._worker.join()
            return self._ended("crash", _exit_name(self._worker.exitcode), seconds, largest)
        return dataclasses.replace(outcome, seconds=seconds, peak_mb=largest)

    def _start_worker(self) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawning.Pipe()
        self._worker = spawning.Process(target=_serve, args=(theirs, self._make, self._stacks.name), daemon=True)
        self._worker.start()
        theirs.close()
        self.started += 1
        if not self._pipe.poll(120) or self._pipe.recv() != "ready":
            raise RuntimeError("the worker did not start")

    def _ended(self, kind: str, what: str, seconds: float, peak_mb: float) -> Outcome:
        if self._worker.is_alive():
            with suppress(ProcessLookupError):
                os.kill(self._worker.pid, signal.SIGUSR1)  # it writes its stacks
            time.sleep(0.2)
        self._end_worker()
        stacks = Path(self._stacks.name).read_text(errors="replace").strip()
        return Outcome(kind, f"{what}\n{stacks}".strip(), seconds, peak_mb)

    def _end_worker(self) -> None:
        if self._worker is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._worker.pid, signal.SIGKILL)  # with its ffmpeg
        self._worker.join()
        self._pipe.close()
        self._worker = None


def _serve(pipe: Connection, make: Callable[[], Examine], stacks: str) -> None:
    """The worker's life: one task after another, each answered with an Outcome."""
    os.setpgrp()
    with open(stacks, "a") as file:
        faulthandler.enable(file)
        faulthandler.register(signal.SIGUSR1, file)
        examine = make()
        pipe.send("ready")
        while True:
            try:
                task = pipe.recv()
            except EOFError:
                return
            try:
                outcome = examine(task)
            except Exception as error:  # whatever it is, it is what is looked for
                import traceback

                outcome = Outcome("wrong error", f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
            pipe.send(outcome)


def _exit_name(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit status {code}"


def _forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _memory_mb(pid: int) -> float:
    """The process's peak since `_forget_peak`, and the present memory of its children."""
    total = 0.0
    with suppress(OSError):
        total = _status_mb(pid, "VmHWM")
        program = os.readlink(f"/proc/{pid}/exe")
        children = Path(f"/proc/{pid}/task").glob("*/children")
        for child in [int(number) for file in children for number in file.read_text().split()]:
            if os.readlink(f"/proc/{child}/exe") != program:  # else it has not become ffmpeg yet
                total += _status_mb(child, "VmHWM")
    return total


def _status_mb(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0.0


@dataclass
class Report:
    """What became of many files."""

    files: int = 0
    seconds: float = 0.0
    workers: int = 0
    by_format: dict[str, Counter[str]] = field(default_factory=dict)
    by_strategy: dict[str, Counter[str]] = field(default_factory=dict)
    warned: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")
    largest: tuple[float, str] = (0.0, "")
    findings: list[dict[str, Any]] = field(default_factory=list)

    def add(self, mutant: Mutant, outcome: Outcome) -> None:
        """Count one file."""
        self.files += 1
        self.by_format.setdefault(mutant.recipe.name, Counter())[outcome.kind] += 1
        self.by_strategy.setdefault(mutant.strategies[0], Counter())[outcome.kind] += 1
        self.warned += outcome.kind == "accepted" and bool(outcome.message)
        if outcome.kind == "refused":
            self.refusals[_without_name(outcome.message)] += 1
        self.slowest = max(self.slowest, (round(outcome.seconds, 2), mutant.file_name))
        self.largest = max(self.largest, (round(outcome.peak_mb), mutant.file_name))
        if outcome.is_finding:
            about = {"number": mutant.number, "file": mutant.file_name}
            self.findings.append({**about, **dataclasses.asdict(outcome)})

    def count(self, kind: str) -> int:
        return sum(counter[kind] for counter in self.by_format.values())

    def json(self) -> str:
        """The report for a program."""
        return json.dumps(vars(self), indent=2)  # not asdict, which makes pairs of a Counter's items

    def lines(self) -> Iterator[str]:
        """The report for a person."""
        yield f"{self.files:,} files in {self.seconds / 60:.1f} minutes, {self.workers} worker(s)"
        yield f"accepted {self.count('accepted'):,}, of these {self.warned:,} with a warning of damage"
        yield f"refused {self.count('refused'):,}"
        yield f"slowest: {self.slowest[0]:.2f} s, {self.slowest[1]}"
        yield f"largest: {self.largest[0]:.0f} MB, {self.largest[1]}"
        for title, counters in (("format", self.by_format), ("strategy", self.by_strategy)):
            yield f"{title:<18} accepted  refused  findings"
            for name, kinds in sorted(counters.items()):
                accepted, refused = kinds["accepted"], kinds["refused"]
                yield f"{name:<18} {accepted:>8} {refused:>8} {kinds.total() - accepted - refused:>9}"
        yield f"{len(self.findings)} finding(s)"
        for finding in self.findings:
            yield f"{finding['kind']}: {finding['file']}: {finding['message']}"


def _without_name(message: str) -> str:
    return message.split('" ', 1)[-1].split(":")[0]


def run(
    maker: MutatedAudio,
    watch: Watch,
    numbers: range,
    folder: Path,
    keep: Path | None = None,
    progress: Callable[[Report], None] | None = None,
) -> Report:
    """Examine the files of these numbers; each lies in `folder` meanwhile, and findings stay in `keep`."""
    report = Report()
    began = time.monotonic()
    for number in numbers:
        mutant = maker.file(number)
        path = folder / mutant.file_name
        path.write_bytes(mutant.data)
        truncated = mutant.strategies == ("truncation",) and mutant.recipe.tells_length
        try:
            outcome = watch.examine(Task(path, number % 2 == 0, truncated))
        except KeyboardInterrupt:
            break
        path.unlink()
        report.add(mutant, outcome)
        report.seconds, report.workers = time.monotonic() - began, watch.started
        if outcome.is_finding and keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / mutant.file_name).write_bytes(mutant.data)
        if progress:
            progress(report)
    return report


@dataclass(frozen=True)
class Making:
    """How a worker comes to its work; importable by name, as a new process needs it."""

    ffmpeg: str | None = None

    def __call__(self) -> Examine:
        return DecodeAndAnalyse(self.ffmpeg)


def packaged_ffmpeg() -> str:
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000, help="how many (default 10,000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--keep", type=Path, help="folder for the files that are findings")
    parser.add_argument("--ffmpeg", help='an ffmpeg program, or "packaged" for that of the imageio-ffmpeg package')
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    return parser.parse_args()


def _show_progress(report: Report, files: int) -> None:
    if report.files % 50 == 0 or report.files == files:
        left_min = report.seconds / report.files * (files - report.files) / 60
        message = f"{report.files:,} of {files:,}, {len(report.findings)} finding(s), {left_min:.0f} min left"
        print(message, end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)


def main() -> int:
    wanted = _arguments()
    ffmpeg = packaged_ffmpeg() if wanted.ffmpeg == "packaged" else wanted.ffmpeg
    numbers = range(wanted.first, wanted.first + wanted.files)
    with tempfile.TemporaryDirectory(prefix="fuzz-audio-") as name, Watch(Making(ffmpeg)) as watch:
        (seeds := Path(name, "seeds")).mkdir()
        maker = MutatedAudio(seeds)
        report = run(maker, watch, numbers, Path(name), wanted.keep, lambda now: _show_progress(now, wanted.files))
    print(report.json() if wanted.json else "\n".join(report.lines()))
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
