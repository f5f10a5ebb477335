"""Whoever starts a program with a torch and a torchaudio that do not match sees one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("command", [["-m", "fluxbeat", "models"], ["app.py"]])
def test_person_sees_one_line(command, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "from importlib import metadata\n"
        "real = metadata.version\n"
        "metadata.version = lambda name: '2.99.0' if name == 'torchaudio' else real(name)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    result = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=120, env=environment,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert result.returncode != 0
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert "2.99.0" in lines[0]
