"""The README is true: its commands are the ones that are run, its numbers are the checkpoints'."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from fluxbeat.cli.main import main
from fluxbeat.models.registry import bundled_names, load

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(heading: str) -> str:
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.search(r"```sh\n(.*?)```", section, re.DOTALL)[1].strip()


LINES = [line for line in commands("From the command line").splitlines() if "serve" not in line]


def test_first_command_installs_and_starts():
    assert commands("Start it") == "pip install -r requirements.txt && python app.py"


def test_second_command_is_what_ci_runs():
    assert commands("Test it") == 'pip install -e ".[test]" && python -m pytest tests -n 2 --dist loadfile'
    script = (ROOT / ".ci" / "run").read_text()
    assert "## Test it" in script
    extracted = subprocess.run(
        ["bash", "-c", script[script.index("sed -n '/^## Test it") : script.rindex(')"')]],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert extracted.stdout.strip() == commands("Test it")


def test_front_matter_is_what_a_space_needs():
    front = yaml.safe_load(README.split("---")[1])
    assert front["sdk"] == "gradio"
    assert front["app_file"] == "app.py"
    assert front["license"] == "mit"
    assert isinstance(front["python_version"], str)
    assert front["tags"]
    low, high = re.search(
        r"^gradio>=([\d.]+),<([\d.]+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE
    ).groups()
    version = tuple(map(int, front["sdk_version"].split(".")))
    assert tuple(map(int, low.split("."))) <= version < tuple(map(int, high.split(".")))


def test_space_installs_ffmpeg():
    assert (ROOT / "packages.txt").read_text().split() == ["ffmpeg"]


def test_model_table_holds_the_checkpoints_numbers():
    table = [line.strip("| ").split(" | ") for line in README.splitlines() if line.startswith("| ")]
    head = next(row for row in table if row[-1] == "mn04 and FCN")
    rows = {row[0]: row for row in table}
    for name in bundled_names():
        network = load(name).network
        column = head.index(name) + 1
        shown = {
            "right first, of 119": ("accuracy", "popular and public, test"),
            "among three, of 119": ("top3", "popular and public, test"),
            "right first, GTZAN's ten, of 97": ("accuracy", "gtzan, test"),
        }
        for title, (measure, split) in shown.items():
            found = next(m for m in network.config.metrics if (m["measure"], m["split"]) == (measure, split))
            assert title.endswith(str(found["n"]))
            assert rows[title][column] == f"{found['value'] * found['n']:.0f} ({found['value']:.0%})"
        assert rows["parameters"][column] == f"{network.n_parameters:,}"


@pytest.mark.parametrize("line", LINES)
def test_commands_of_the_readme_work(line, capsys, tmp_path, monkeypatch):
    """Each line as it stands, in a folder with a song.mp3 and some FLAC files."""
    import shlex
    import shutil

    import soundfile

    example = next((ROOT / "fluxbeat" / "web" / "ui" / "examples").glob("techno_*.mp3"))
    shutil.copy(example, tmp_path / "song.mp3")
    samples, rate_hz = soundfile.read(example)
    for name in ("a.flac", "b.flac"):
        soundfile.write(tmp_path / name, samples[: 12 * rate_hz], rate_hz)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLUXBEAT_CACHE", str(tmp_path / "cache"))
    program, *words = shlex.split(line, comments=True)
    assert program == "fluxbeat"
    arguments = [name for word in words for name in (map(str, sorted(Path().glob(word))) if "*" in word else [word])]
    assert main(arguments) == 0
    assert capsys.readouterr().out.strip()


def test_python_of_the_readme_works(tmp_path, monkeypatch, capsys):
    import shutil

    example = next((ROOT / "fluxbeat" / "web" / "ui" / "examples").glob("metal_*.mp3"))
    shutil.copy(example, tmp_path / "song.mp3")
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    exec(compile(code, "README.md", "exec"), {})
    assert "[" in capsys.readouterr().out
