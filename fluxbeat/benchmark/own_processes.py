"""What only shows in a process of its own: the time to import, and the most memory that an analysis takes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from fluxbeat.benchmark.drawn_music import write_drawn_flac
from fluxbeat.benchmark.timing import timed

SHORT_S, LONG_S = 600.0, 3 * 3600.0
_PEAK = """
import resource, sys, fluxbeat
fluxbeat.analyze(sys.argv[1], sys.argv[2])
try:  # where there is this file: elsewhere a process begins with its parent's peak
    lines = open("/proc/self/status").read().splitlines()
    print(1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")))
except OSError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def import_report(runs: int) -> dict[str, Any]:
    """Seconds until a new Python has torch and torchaudio, and until it has everything that an analysis needs."""
    found = {
        name: timed(lambda script=script: _python(script), runs)  # type: ignore[misc]
        for name, script in (
            ("nothing", "pass"),
            ("torch", "import torch, torchaudio"),
            ("fluxbeat", "import fluxbeat; fluxbeat.analyze; fluxbeat.load"),
        )
    }
    report: dict[str, Any] = {name: timing.to_dict() for name, timing in found.items()}
    report["beyond_torch_s"] = round(found["fluxbeat"].median_s - found["torch"].median_s, 3)
    return report


def memory_report(model: str) -> dict[str, Any]:
    """Peak memory of a process that analyses ten minutes, and of one that analyses three hours, in bytes."""
    with tempfile.TemporaryDirectory(prefix="fluxbeat-benchmark-") as folder:
        peaks = []
        for duration_s in (SHORT_S, LONG_S):
            path = Path(folder, f"{duration_s:.0f}.flac")
            write_drawn_flac(path, duration_s)
            peaks.append(int(_python(_PEAK, str(path), model)))
            path.unlink()
    return {
        "model": model,
        "ten_minutes_bytes": peaks[0],
        "three_hours_bytes": peaks[1],
        "ratio": round(peaks[1] / peaks[0], 2),
    }


def _python(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
