"""Which files of a folder are sound: the same list on every disk, whatever happens to the folder meanwhile."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from fluxbeat.audio.sound_files import sound_files_below


def test_names_equal_but_for_case_come_in_one_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["a.mp3", "A.mp3", "a.MP3", "b.wav"]
    for backwards in (False, True):
        entries = [(str(tmp_path), [], sorted(names, reverse=backwards))]
        monkeypatch.setattr(os, "walk", lambda *_, found=entries, **__: iter(found))
        assert [file.shown for file in sound_files_below(tmp_path)] == ["A.mp3", "a.MP3", "a.mp3", "b.wav"]


def test_a_folder_that_is_removed_meanwhile_is_a_problem_and_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("albums/one.mp3", "gone/two.mp3", "three.mp3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    stat = os.stat

    def removing(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        if str(path) == str(tmp_path / "gone"):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return stat(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", removing)
    files = sound_files_below(tmp_path)
    assert [file.shown for file in files] == ["albums/one.mp3", "gone/", "three.mp3"]
    assert "cannot be opened" in str(files[1].problem)
