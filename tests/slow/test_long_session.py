"""A process that is open all day: memory stays flat, and analyses at the same time are as good as one by one."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from long_session import CLIPS, clip
from web_driving import ROOT

from fluxbeat import analyze
from fluxbeat.models.registry import bundled_names

THREADS = 8


@pytest.mark.parametrize("options", [[], ["--service"]], ids=["engine", "service"])
def test_memory_is_flat_over_200_analyses(options: list[str]) -> None:
    """In a process of its own, whose memory no other test has stretched; `tools/long_session.py` alone does 2,000."""
    done = subprocess.run(
        [sys.executable, "tools/long_session.py", "200", *options],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-2].startswith("  200 analyses")


def test_eight_threads_with_three_models_answer_as_one_does() -> None:
    asked = [(n, model) for n in range(CLIPS) for model in bundled_names()]

    def one(question: tuple[int, str]) -> dict[str, Any]:
        return analyze((clip(question[0]), 22_050), model=question[1]).to_dict()

    alone = [one(question) for question in asked]
    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(one, asked))
    assert together == alone
