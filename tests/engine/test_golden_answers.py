"""The shipped models answer one song as they did when they were released: a change must be meant.

`python tests/engine/test_golden_answers.py` writes the answers anew.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from fluxbeat.analysis.engine import compare
from fluxbeat.models.registry import CONSENSUS

ROOT = Path(__file__).parents[2]
SONG = ROOT / "fluxbeat" / "web" / "ui" / "examples" / "change_obsidian_shell_megtort_alom.mp3"
GOLDEN = Path(__file__).with_name("golden_answers.json")
MODELS = (CONSENSUS, "cnn", "crnn", "vit")
HOP_S = 2.0
"""Few windows, so that the file can be read and compared by a person."""
TOLERANCES = {"probability": 0.02, "kind": 0.02, "confidence": 0.02, "start_s": 0.5, "end_s": 0.5, "beats_s": 0.02}
"""Between processors and versions of libraries; all else must be equal to a hundredth."""
NOT_OF_THE_ANSWER = ("source", "revision")


def answers() -> dict[str, Any]:
    """What each model answers, by its name."""
    found = {analysis.model.name: analysis.to_dict() for analysis in compare(SONG, MODELS, hop_s=HOP_S)}
    for answer in found.values():
        for key in NOT_OF_THE_ANSWER:
            del answer["model"][key]
    return found


def differences(golden: Any, found: Any, key: str = "", at: str = "") -> list[str]:
    """Where two documents differ by more than processors do."""
    if isinstance(golden, dict) and isinstance(found, dict):
        if golden.keys() != found.keys():
            return [f"{at}: {sorted(golden.keys() ^ found.keys())} in one alone"]
        return [line for name in golden for line in differences(golden[name], found[name], name, f"{at}.{name}")]
    if isinstance(golden, list) and isinstance(found, list):
        if len(golden) != len(found):
            return [f"{at}: {len(golden)} entries, now {len(found)}"]
        pairs = enumerate(zip(golden, found, strict=True))
        return [line for place, (a, b) in pairs for line in differences(a, b, key, f"{at}[{place}]")]
    if isinstance(golden, float) and isinstance(found, int | float):
        near = math.isclose(golden, found, abs_tol=TOLERANCES.get(key, 0.01), rel_tol=0.005)
    else:
        near = golden == found
    return [] if near else [f"{at}: {golden!r}, now {found!r}"]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return answers()


@pytest.mark.parametrize("model", MODELS)
def test_one_song_is_answered_as_it_was(model: str, found: dict[str, Any]) -> None:
    golden = json.loads(GOLDEN.read_text("utf-8"))
    assert differences(golden[model], found[model]) == []


def test_a_changed_answer_is_noticed() -> None:
    golden = {"genres": [{"label": "rock", "probability": 0.8}], "tempo": {"bpm": 120.0}}
    assert differences(golden, {"genres": [{"label": "rock", "probability": 0.81}], "tempo": {"bpm": 120.3}}) == []
    assert differences(golden, {"genres": [{"label": "rock", "probability": 0.7}], "tempo": {"bpm": 240.0}}) == [
        ".genres[0].probability: 0.8, now 0.7",
        ".tempo.bpm: 120.0, now 240.0",
    ]
    assert differences(golden, {"genres": [], "tempo": {"bpm": None}}) == [
        ".genres: 1 entries, now 0",
        ".tempo.bpm: 120.0, now None",
    ]


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(answers(), ensure_ascii=False, indent=1) + "\n", "utf-8")
    print(f"{GOLDEN.name} has the answers of {', '.join(MODELS)}")
