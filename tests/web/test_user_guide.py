"""The user guide is true: a reader who types its commands, from top to bottom, gets what it promises."""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from huggingface_hub import constants
from local_hub import TOKEN, LocalHub, sha256, speak_to
from tiny_classifiers import save_clap, save_classifier
from web_driving import EXAMPLES, ROOT, serving

from fluxbeat.cli.main import main
from fluxbeat.models.registry import bundled_names, checkpoints_folder, load
from fluxbeat.web.settings import PREFIX, WebSettings

GUIDE = (ROOT / "USER_GUIDE.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
MOST_IMAGE_BYTES = 300_000
CLAP_COMMIT = re.search(r"larger_clap_general@(\w{40})", GUIDE)[1]
HF = shutil.which("hf", path=os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", ""))))
"""The Hub's command of this environment, which need not be activated."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


LINES = [line for block in blocks("sh") for line in block.strip().splitlines()]
SHORTER = {
    "train": ["--epochs", "1"],
    "pretrain": ["--set", "epochs=1", "--set", "epoch_steps=2", "--set", "batch_size=4"],
    "probe": ["--seeds", "1", "--shares", "1.0"],
}
"""So that a test does not take as long as a training; the last of two settings counts."""
WRITES = ("--output", "--click", "--png", "--npz", "--sound", "--csv", "--answers")


def split_line(line: str) -> tuple[dict[str, str], list[str]]:
    """The variables before a command, and its words."""
    words = shlex.split(line, comments=True)
    variables = {}
    while re.fullmatch(r"[A-Z_]+=.*", words[0]):
        name, _, variables[name] = words.pop(0).partition("=")
    return variables, words


def of_program(name: str) -> list[str]:
    return [line for line in LINES if split_line(line)[1][0] == name]


SERVE = [line for line in of_program("fluxbeat") if split_line(line)[1][1] == "serve"]
COMMANDS = [line for line in of_program("fluxbeat") if line not in SERVE]


def excerpt(genre: str, start_s: float, length_s: float) -> tuple[np.ndarray, int]:
    samples, rate_hz = soundfile.read(next(EXAMPLES.glob(f"{genre}_*.mp3")))
    return samples[round(start_s * rate_hz) : round((start_s + length_s) * rate_hz)], rate_hz


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the guide takes for granted: a song, some FLAC files, folders of music, tables."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copy(next(EXAMPLES.glob("techno_*.mp3")), folder / "song.mp3")
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    places = {"a.flac": ("latin", 0), "b.flac": ("country", 0), "Few/a.flac": ("metal", 3), "Few/b.flac": ("latin", 3)}
    for name in ("classical", "metal"):
        places |= {f"MyMusic/{name}/{start}.flac": (name, start) for start in (0, 9, 18)}
        places |= {f"Songs/{name} {start}.flac": (name, start) for start in (0, 12)}
    places |= {f"Music/{name}.flac": (name, 2) for name in ("techno", "classical")}
    for path, (genre, start_s) in places.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / path, *excerpt(genre, start_s, 12 if path.startswith(("Songs", "Few")) else 9))
    rows = [(path, path.split("/")[1], 100, path) for path in places if path.startswith("MyMusic")]
    with open(folder / "music.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "labels", "bpm", "artist"), *rows])
    with open(folder / "labelled.csv", "w", newline="", encoding="utf-8") as file:
        parts = [("dev" if path.endswith("/18.flac") else "train", path) for path, *_ in rows]
        labelled = [(path, path.split("/")[1], path, split) for split, path in parts]
        csv.writer(file).writerows([("path", "labels", "artist", "split"), *labelled])
    return folder


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    """The Hub of this process is one on this machine, and the reader is logged in."""
    server, folder = LocalHub(), tmp_path_factory.mktemp("hub")
    with pytest.MonkeyPatch.context() as patch:
        speak_to(patch, server.url)
        patch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setenv("HF_TOKEN", TOKEN)
        for name, value in {"ENDPOINT": server.url, "HUB_CACHE": str(folder / "cache"), "HUB_DISABLE_XET": "1"}.items():
            patch.setenv(f"HF_{name}", value)  # of servers, which are processes of their own
        # what the guide names stands in as random models of the same kinds
        server.publish("dima806/music_genres_classification", save_classifier(folder / "wav2vec2", "wav2vec2"))
        many = ("Acoustic guitar", *(f"sound {number}" for number in range(60)))
        tagger = save_classifier(folder / "ast", "ast", many, "multi_label_classification")
        server.publish("MIT/ast-finetuned-audioset-10-10-0.4593", tagger)
        made = server.publish("laion/larger_clap_general", save_clap(folder / "clap"))
        clap = server.repositories["laion/larger_clap_general"]
        clap.commits[CLAP_COMMIT] = clap.commits[made]
        yield server
    server.close()


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_work(
    line: str, home: Path, hub: LocalHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line in its turn, in one folder: later ones use what earlier ones made."""
    variables, (_, command, *words) = split_line(line)
    given = {"FLUXBEAT_CACHE": str(home / "cache"), "PYTHONPATH": str(ROOT)}  # Ray's workers import FluxBeat too
    for name, value in {**given, **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(home)
    arguments = [name for word in words for name in (map(str, sorted(Path().glob(word))) if "*" in word else [word])]
    shorter = [] if command == "train" and "--full" not in words else SHORTER.get(command, [])
    assert main([command, *arguments, *shorter]) == 0
    answer = capsys.readouterr().out
    written = [Path(words[place + 1]) for place, word in enumerate(words) if word in WRITES]
    assert all(path.is_file() or any(path.iterdir()) for path in written)
    assert answer.strip() or written
    for name in ("FLUXBEAT_CHECKPOINTS", "FLUXBEAT_HUB_REPO"):
        if name in variables:
            assert "mine" in answer, "the reader's own model is listed"


@pytest.fixture(scope="module")
def served(hub: LocalHub) -> Iterator[Callable[[str], str]]:
    """From the port that the guide names to the address of a server that was started as the guide says."""
    started: dict[str, tuple[Any, str]] = {}

    def address(port: str) -> str:
        if port not in started:
            line = next((line for line in SERVE if f"--port {port}" in line), "")
            started[port] = start(line)
        return started[port][1]

    yield address
    for server, _ in started.values():
        server.close()


def start(line: str) -> tuple[Any, str]:
    """The server of a line, on a free port; the app where there is none."""
    variables, words = split_line(line) if line else ({}, ["fluxbeat", "serve"])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        server = serving(*words[1:], "--port", "0", program=("-m", "fluxbeat"))
        return server, next(server).url.rstrip("/")


def here(text: str, served: Callable[[str], str]) -> str:
    """The text with the addresses of servers that run."""
    found = dict.fromkeys(re.findall(r"127\.0\.0\.1:(\d+)", text))
    for port in found:
        text = text.replace(f"127.0.0.1:{port}", served(port).removeprefix("http://"))
    return text


@pytest.mark.parametrize("line", of_program("curl"))
def test_curl_gets_an_answer(line: str, home: Path, hub: LocalHub, served: Callable[[str], str]) -> None:
    if "you/mine" not in hub.repositories:  # the reader has pushed it before
        hub.publish("you/mine", checkpoints_folder() / "cnn")
    commit = hub.repositories["you/mine"].branches["main"]
    command = shlex.split(here(line, served).replace("mine@0123456", f"mine@{commit[:7]}"))
    done = subprocess.run(
        [*command, "--fail-with-body", "-sS"], cwd=home, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    content = (home / command[command.index("-o") + 1]).read_bytes() if "-o" in command else done.stdout
    if "DELETE" in command:
        assert content == b""
        return
    begins = {"png": b"\x89PNG", "html": b"<!doctype html>"}
    wanted = re.search(r"format=(\w+)", line)
    expected = begins[wanted[1]] if wanted else b"{" if b"[" != content[:1] else b"["
    assert content[: len(expected)].lower() == expected.lower()
    if "x-ndjson" in line:
        assert content.splitlines()[-1].startswith(b'{"result": ')


def test_the_service_alone_has_no_page_and_the_key_is_asked_for(served: Callable[[str], str]) -> None:
    (alone,) = [line for line in SERVE if "--api-only" in line]
    server, url = start(alone)
    assert httpx.get(f"{url}/api/v1/health").json()["status"] == "ready"
    assert httpx.get(url).headers["location"] == "docs"
    server.close()
    assert httpx.get(f"{served('8000')}/api/v1/models").status_code == 401
    assert httpx.get(served("8000")).status_code == 401
    assert httpx.get(served("8000"), auth=("anybody", "secret")).status_code == 200


@pytest.mark.parametrize("code", blocks("python"), ids=lambda code: code.split()[1])
def test_python_works(
    code: str,
    home: Path,
    served: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(home)
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(seconds / 8))
    exec(compile(here(code, served), "USER_GUIDE.md", "exec"), {})
    answer = capsys.readouterr().out
    assert "electronic" in answer or "130" in answer


def test_packages_can_be_installed_as_written() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for line in of_program("pip"):
        _, install, option, what = shlex.split(line)
        assert install == "install"
        assert option in ("-r", "-e")
        name, extra = re.fullmatch(r"([\w.]*?)(?:\[(\w+)\])?", what).groups()
        assert (ROOT / name).exists()
        assert extra is None or extra in extras


@pytest.mark.parametrize("line", sorted(set(of_program("hf"))))
def test_the_hubs_own_command_knows_the_words(line: str) -> None:
    _, *words = shlex.split(line)
    group = words[: 2 if words[0] in ("auth", "repos") else 1]
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1"}
    asked = subprocess.run([HF, *group, "--help"], capture_output=True, text=True, check=True, env=quiet, timeout=60)
    assert all(word in asked.stdout for word in words if word.startswith("--"))


def test_a_space_is_made_and_filled_as_written(hub: LocalHub, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(checkpoints_folder() / "cnn", checkout / "checkpoints" / "cnn")
    for name in ("README.md", "app.py", "requirements.txt", "packages.txt"):
        shutil.copy(ROOT / name, checkout)
    lines = [line for line in of_program("hf") if "login" not in line]  # which opens a browser
    assert len(lines) == 2
    for line in lines:
        home = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
        done = subprocess.run(
            [HF, *shlex.split(line)[1:]],
            cwd=checkout,
            env={**os.environ, **home},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    space = hub.repositories["you/fluxbeat"]
    _, held = space.at("main")
    assert held["app.py"] == (ROOT / "app.py").read_bytes()
    assert sha256(held["checkpoints/cnn/model.safetensors"]) == sha256(
        (checkpoints_folder() / "cnn" / "model.safetensors").read_bytes()
    )


def test_the_container_is_run_as_its_file_says() -> None:
    recipe = (ROOT / "Dockerfile").read_text()
    port = re.search(r"EXPOSE (\d+)", recipe)[1]
    builds = [line for line in of_program("docker") if shlex.split(line)[1] == "build"]
    runs = [line for line in of_program("docker") if line not in builds]
    (image,) = {shlex.split(line)[-2] for line in builds}
    given = [name for line in builds for name in re.findall(r"--build-arg (\w+)=", line)]
    assert all(f"ARG {name}=" in recipe for name in given)
    assert runs
    for line in runs:
        before, command = line.split(f" {image}", 1)
        assert "-p" not in before or f":{port}:{port}" in before
        if command:
            with pytest.raises(SystemExit) as ended:
                main([*shlex.split(command), "--help"])
            assert ended.value.code == 0
    for sources in re.findall(r"^COPY (.*) \S+$", recipe, re.MULTILINE):
        assert all((ROOT / source).exists() for source in sources.split())


def test_every_line_is_of_a_program_that_is_tested() -> None:
    tested = {"fluxbeat", "curl", "pip", "hf", "docker"}
    assert {split_line(line)[1][0] for line in LINES} <= tested


def test_options_and_variables_are_those_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    commands = set(re.findall(r"`fluxbeat (\w+)", GUIDE)) | {split_line(line)[1][1] for line in of_program("fluxbeat")}
    for command in commands - {"COMMAND"}:
        with pytest.raises(SystemExit):
            main([command, "--help"])
    known = capsys.readouterr().out
    mentioned = {option for text in re.findall(r"`([^`\n]+)`", GUIDE) for option in re.findall(r"--[a-z-]+", text)}
    assert mentioned <= set(re.findall(r"--[a-z-]+", known))
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "fluxbeat").rglob("*.py"))
    service = {PREFIX + name.upper() for name in WebSettings.model_fields}
    elsewhere = set(re.findall(r'^\w+_VARIABLE = "(FLUXBEAT_[A-Z_]+)"', code, re.MULTILINE))
    assert set(re.findall(r"FLUXBEAT_[A-Z_]+", GUIDE + README)) <= service | elsewhere
    assert set(re.findall(r"`(FLUXBEAT_[A-Z_]+)`", GUIDE)) >= service, "every setting of the service is in the guide"


def test_numbers_of_the_guide_are_the_models() -> None:
    """How many genres they know, how long their windows are, and that none is named which they do not know."""
    configs = [load(name).network.config for name in bundled_names()]
    assert {int(number) for number in re.findall(r"(\d+) genres", GUIDE)} == {len(config.labels) for config in configs}
    assert {float(number) for number in re.findall(r"windows? of (\d+) s\b", GUIDE)} == {
        config.window_s for config in configs
    }
    for label in re.findall(r"--(?:label|genre) (\w+)", GUIDE) + re.findall(r"about=(?!tempo)(\w+)", GUIDE):
        assert all(label in config.labels for config in configs)


def test_what_is_bold_is_on_the_page() -> None:
    page = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "fluxbeat" / "web" / "ui").rglob("*")
        if path.suffix in (".py", ".js")
    )
    in_text = {"The answer", "The chapters", "The stage", "Pointing", "The line", "A click on a genre", "A long file"}
    in_text |= {"The choice in the header", "The player", "Nothing leaves the machine"}
    bold = {re.sub(r"\s+", " ", words) for words in re.findall(r"\*\*([^*]+)\*\*", GUIDE)}
    assert [words for words in bold - in_text if not words.endswith(".") and words not in page] == []


def test_links_lead_somewhere_and_images_are_small() -> None:
    anchors = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", GUIDE, re.MULTILINE)
    }
    for text in (GUIDE, README):
        for target in re.findall(r"\]\(([^)]+)\)", text):
            path, _, anchor = target.partition("#")
            assert not path or (ROOT / path).is_file()
            assert not anchor or anchor in anchors
    images = re.findall(r"\((docs/\w+\.png)\)", GUIDE)
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.png")} == set(images)
    for image in images:
        assert (ROOT / image).stat().st_size < MOST_IMAGE_BYTES
