"""What tests share that fetch models: a Hub on this machine in place of the real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from local_hub import LocalHub, speak_to

from fluxbeat.models import registry
from fluxbeat.models.hub import fetching


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LocalHub]:
    """A local Hub that the client of this process speaks to, with an empty cache and nobody logged in."""
    server = LocalHub()
    speak_to(monkeypatch, server.url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 2)
    monkeypatch.setattr(fetching, "TIMEOUT_S", 2.0)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("FLUXBEAT_HUB_REPO", raising=False)
    yield server
    server.close()


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets $FLUXBEAT_HUB_REPO."""
    yield lambda text: monkeypatch.setenv("FLUXBEAT_HUB_REPO", text)
    monkeypatch.delenv("FLUXBEAT_HUB_REPO", raising=False)
    registry.hub_choice()
