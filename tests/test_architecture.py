"""The rooms and arrows hold, the code is formatted, linted and typed, and nothing private is committed."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


def test_arrows_go_one_way():
    result = run(str(Path(sys.executable).with_name("lint-imports")))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("arguments", [("check", "."), ("format", "--check", ".")])
def test_ruff_is_content(arguments):
    result = run(sys.executable, "-m", "ruff", *arguments)
    assert result.returncode == 0, result.stdout + result.stderr


def test_types_hold():
    result = run(sys.executable, "-m", "mypy")
    assert result.returncode == 0, result.stdout + result.stderr


def test_extras_bound_what_the_program_bounds():
    """Else an installer that meets a conflict tries every older release of the package, for an hour."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    bounds = {needed.name: needed.specifier for needed in map(Requirement, filter(None, lines))}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    again = [needed for extra in extras.values() for needed in map(Requirement, extra) if needed.name in bounds]
    assert "gradio" in {needed.name for needed in again}
    assert {needed.name: needed.specifier for needed in again} == {needed.name: bounds[needed.name] for needed in again}


def test_importing_fluxbeat_is_light():
    heavy = {"torch", "gradio", "librosa", "plotly", "lightning"}
    result = run(sys.executable, "-c", "import sys, fluxbeat; print(*sys.modules)")
    assert result.returncode == 0, result.stderr
    assert "fluxbeat" in result.stdout.split()
    assert not heavy & set(result.stdout.split())


def test_the_engine_needs_no_web_framework_and_no_training():
    unwanted = {"gradio", "fastapi", "lightning", "fluxbeat.training"}
    result = run(sys.executable, "-c", "import sys, fluxbeat; fluxbeat.analyze; print(*sys.modules)")
    assert result.returncode == 0, result.stderr
    assert "torch" in result.stdout.split()
    assert not unwanted & set(result.stdout.split())


def tracked_files() -> list[Path]:
    listed = run("git", "ls-files", "-z").stdout.split("\0")
    return [ROOT / name for name in listed if name]


def test_nothing_of_a_private_machine_is_committed():
    private = re.compile(rb"(?<![\w.])/(?:home|work|root|tmp|Users)/\w")
    contents = {path: path.read_bytes() for path in tracked_files() if path.exists()}
    texts = {path: content for path, content in contents.items() if b"\0" not in content}
    assert {"Dockerfile", "LICENSE", "run", ".gitignore"} <= {path.name for path in texts}
    assert {".py", ".md", ".toml", ".yaml", ".txt", ".json", ".js", ".css", ".jinja"} <= {path.suffix for path in texts}
    assert not [str(path) for path, content in texts.items() if private.search(content)]


def test_committed_files_are_small():
    checkpoints = sum(path.stat().st_size for path in (ROOT / "checkpoints").rglob("*") if path.is_file())
    assert checkpoints < 40e6
    big = [path for path in tracked_files() if path.exists() and path.stat().st_size > 16e6]
    assert not big


def test_no_file_has_a_name_that_says_nothing():
    vague = {"utils.py", "helpers.py", "common.py", "misc.py"}
    assert not [path for path in tracked_files() if path.name in vague]
