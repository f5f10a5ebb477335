"""Models come from a name, a folder or the Hub; what cannot be had is one clear sentence."""

import http.server
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fluxbeat import zoo
from fluxbeat.errors import ModelLoadError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_bundled_models_are_there_and_verified():
    assert zoo.bundled_names() == ["cnn", "crnn", "vit"]
    for name in zoo.bundled_names():
        model = zoo.load(name)
        assert model.info.name == name
        assert model.info.source == f"checkpoints/{name}"
        assert not model.network.training
        assert model.network.config.metrics, "a shipped model carries its numbers"
        assert all({"measure", "value", "n", "split", "date"} <= set(row) for row in model.network.config.metrics)


def test_every_checkpoint_has_a_card_with_its_data_and_limits():
    for name in zoo.bundled_names():
        card = (zoo.checkpoints_folder() / name / "README.md").read_text()
        for part in ("trained on", "How good", "Features, and why", "must not be used for"):
            assert part in card


def test_a_model_is_loaded_once():
    assert zoo.load("cnn") is zoo.load("cnn")


def test_a_folder_is_a_model_too(tmp_path):
    shutil.copytree(zoo.checkpoints_folder() / "cnn", tmp_path / "mine")
    model = zoo.load(tmp_path / "mine")
    assert model.info.name == "mine"
    assert model.info.revision == zoo.load("cnn").info.revision


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("oracle", "expected one of cnn, crnn, vit"),
        ("hf://nobody", "expected hf://owner/repo@revision"),
        ("hf://owner/repo", "names no revision"),
    ],
)
def test_wrong_names_are_explained(name, message):
    with pytest.raises(ModelLoadError, match=message):
        zoo.load(name)


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the Hub as the real client asks for: one repository, one commit."""

    protocol_version = "HTTP/1.1"
    folder: Path

    def log_message(self, *args):
        pass

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        path = self.path.split("?")[0]
        files = ["config.json", "model.safetensors"]
        if path.startswith("/api/models/fb/zoo/tree/"):
            listing = [
                {"type": "file", "path": f, "size": (self.folder / f).stat().st_size, "oid": f"{n:040x}"}
                for n, f in enumerate(files)
            ]
            self.answer(json.dumps(listing).encode(), Content_Type="application/json")
        elif path.startswith("/api/models/fb/zoo"):
            facts = {"id": "fb/zoo", "sha": COMMIT, "siblings": [{"rfilename": f} for f in files]}
            self.answer(json.dumps(facts).encode(), Content_Type="application/json")
        elif path.startswith("/fb/zoo/resolve/"):
            name = path.split("/")[-1]
            self.answer((self.folder / name).read_bytes(), X_Repo_Commit=COMMIT, ETag=f'"{name}"')
        else:
            self.answer(b"{}", 404, X_Error_Code="RepoNotFound")

    do_HEAD = do_GET


@pytest.fixture
def hub():
    Hub.folder = zoo.checkpoints_folder() / "cnn"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def load_elsewhere(name: str, endpoint: str, cache: Path) -> subprocess.CompletedProcess[str]:
    """`fluxbeat models NAME` in a process of its own: the client reads its settings at import."""
    import os

    settings = {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1"}
    return subprocess.run(
        [sys.executable, "-m", "fluxbeat", "models", name, "--json"],
        env=os.environ | settings, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parent.parent,
    )  # fmt: skip


def test_a_model_comes_from_the_hub_and_then_from_its_cache(hub, tmp_path):
    name = f"hf://fb/zoo@{COMMIT}"
    result = load_elsewhere(name, hub, tmp_path)
    assert result.returncode == 0, result.stderr
    entry = json.loads(result.stdout)[0]
    assert entry["source"] == name
    assert entry["revision"] == zoo.load("cnn").info.revision
    nobody_there = "http://127.0.0.1:9"
    again = load_elsewhere(name, nobody_there, tmp_path)
    assert again.returncode == 0, again.stderr


def test_a_missing_repository_is_one_sentence(hub, tmp_path):
    result = load_elsewhere(f"hf://fb/other@{COMMIT}", hub, tmp_path)
    assert result.returncode == 2
    assert "no such repository" in result.stderr
    assert "Traceback" not in result.stderr
