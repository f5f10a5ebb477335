"""What the library's cache gives back was answered by this very program."""

from pathlib import Path
from typing import Any

import pytest

from fluxbeat.library import cache
from fluxbeat.library.cache import AnalysisCache, program_revision

SHA256 = "0" * 64
REVISION = "0123456789ab"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """For a cache that keeps words in place of analyses."""
    monkeypatch.setattr(cache, "pack", lambda analysis: analysis.encode())
    monkeypatch.setattr(cache, "unpack", lambda content, name: content.decode())
    return tmp_path


def keep(folder: Path, words: Any) -> None:
    kept = AnalysisCache(folder)
    kept.keep(SHA256, REVISION, words)
    kept.close()


def found(folder: Path) -> Any:
    kept = AnalysisCache(folder)
    answer = kept.find(SHA256, REVISION, "song.mp3")
    kept.close()
    return answer


@pytest.mark.parametrize("changes", ["version", "schema", "code"])
def test_an_answer_of_another_program_is_not_given_and_leaves_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, changes: str
) -> None:
    keep(folder, "rock")
    assert found(folder) == "rock"
    monkeypatch.setattr(cache, "program_revision", cache.program_revision.__wrapped__)
    if changes == "version":
        monkeypatch.setattr(cache, "__version__", "0.1.0")
    elif changes == "schema":
        monkeypatch.setattr(cache, "SCHEMA", 1000)
    else:
        monkeypatch.setattr(cache, "ANSWERING_ROOMS", ("features",))
    assert found(folder) is None
    monkeypatch.undo()
    monkeypatch.setattr(cache, "unpack", lambda content, name: content.decode())
    assert found(folder) is None, "the row is deleted"


def test_whatever_answers_counts_as_the_program() -> None:
    """A change of the tempo code between two releases once left stale answers."""
    package = Path(cache.__file__).parents[1]
    assert all((package / room / "__init__.py").is_file() for room in cache.ANSWERING_ROOMS)
    assert {"audio", "features", "models", "analysis"} <= set(cache.ANSWERING_ROOMS)
    assert program_revision().startswith(f"{cache.SCHEMA}/{cache.__version__}/")


def test_the_digest_is_of_the_code_of_the_rooms_that_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in ("audio", "features", "web"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "code.py").write_text("x = 1")
    monkeypatch.setattr(cache, "PACKAGE", tmp_path)
    digest = cache.code_digest.__wrapped__
    before = digest(cache.READING_ROOMS)
    (tmp_path / "web" / "code.py").write_text("x = 2")
    assert digest(cache.READING_ROOMS) == before
    (tmp_path / "audio" / "code.py").write_text("x = 2")
    assert digest(cache.READING_ROOMS) != before


def test_a_model_is_asked_by_its_revision(folder: Path) -> None:
    keep(folder, "rock")
    kept = AnalysisCache(folder)
    assert kept.find(SHA256, "another", "song.mp3") is None
    kept.close()
