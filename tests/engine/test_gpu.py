"""Where there is a GPU the windows are computed there, and the answers are the CPU's. None is needed to test it."""

from __future__ import annotations

import copy
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_classifiers import MAKERS, save_clap, save_classifier
from web_driving import ROOT, TECHNO

from fluxbeat import analyze, explain
from fluxbeat.analysis import windows
from fluxbeat.models.checkpoint import FAMILIES
from fluxbeat.models.registry import LoadedModel, load

NEAR = 0.01
SPACES = '''
import pickle


def GPU(function):
    """Arguments and answer go from process to process, as on a Space whose GPU is shared."""
    def called(*given):
        print("in the process of the GPU")
        return pickle.loads(pickle.dumps(function(*pickle.loads(pickle.dumps(given)))))
    return called
'''
ON_A_SPACE = """
import json, sys, torch
from fluxbeat import analyze
from fluxbeat.analysis import windows

torch.cuda.is_available = lambda: True
windows._on_gpu = lambda model: model
print(json.dumps(analyze(sys.argv[1], "cnn").to_dict()))
"""


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The GPU of this machine, or else one as far as the program can see; which families were moved to it."""
    moved: list[str] = []
    device = "cuda" if torch.cuda.is_available() else "cpu"

    def on_gpu(model: torch.nn.Module) -> torch.nn.Module:
        moved.append(model.config.family)
        return copy.deepcopy(model).to(device)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(windows, "_on_gpu", on_gpu)
    return moved


def test_a_gpu_is_used_where_there_is_one(gpu: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    by_gpu = analyze(TECHNO, "all")
    assert sorted(gpu) == sorted(FAMILIES)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    by_cpu = analyze(TECHNO, "all")
    np.testing.assert_allclose(by_gpu.timeline.probability, by_cpu.timeline.probability, atol=NEAR)
    assert by_gpu.tempo.bpm == pytest.approx(by_cpu.tempo.bpm, abs=NEAR)
    assert by_gpu.summary == by_cpu.summary


@pytest.mark.parametrize("kind", [*MAKERS, "clap"])
def test_a_classifier_of_the_hub_is_asked_on_the_gpu_too(
    gpu: list[str], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_clap(tmp_path / kind) if kind == "clap" else save_classifier(tmp_path / kind, kind)
    model = load(f"{folder}?genres=dub,techno" if kind == "clap" else folder)
    label = model.network.config.labels[0]
    by_gpu, why = analyze(TECHNO, model, hop_s=5), explain(TECHNO, model, label, 2.0)
    assert set(gpu) == {model.network.config.family}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    by_cpu = analyze(TECHNO, model, hop_s=5)
    np.testing.assert_allclose(by_gpu.timeline.probability, by_cpu.timeline.probability, atol=NEAR)
    np.testing.assert_allclose(why.evidence, explain(TECHNO, model, label, 2.0).evidence, atol=NEAR)
    assert not sound_logits_moved(model, monkeypatch), "each question would take the model to the process of the GPU"
    there = copy.deepcopy(model.network)
    there.network.to("meta")
    with torch.inference_mode():
        assert there(torch.zeros(2, there.window_samples)).genre_logits.device.type == "meta"


def sound_logits_moved(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a classifier goes to the GPU of a Space that shares it."""
    moved: list[bool] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setattr(windows, "_on_gpu", lambda network: moved.append(True) or network)
    windows.sound_logits(model.network, torch.zeros(1, model.network.window_samples))
    return bool(moved)


def test_the_cpu_answers_where_the_gpu_does_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    def fail(model: torch.nn.Module) -> torch.nn.Module:
        raise torch.OutOfMemoryError("no memory left")

    expected = analyze(TECHNO, "cnn").to_dict()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(windows, "_on_gpu", fail)
    with caplog.at_level(logging.WARNING, "fluxbeat"):
        assert analyze(TECHNO, "cnn").to_dict() == expected
    assert "no memory left" in caplog.text
    model = load(save_classifier(tmp_path / "ast", "ast"))
    caplog.clear()
    with caplog.at_level(logging.WARNING, "fluxbeat"):
        assert windows.sound_logits(model.network, torch.zeros(1, model.network.window_samples)).shape == (1, 4)
    assert "no memory left" in caplog.text


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_of_a_network_stays_behind_on_the_cpu(family: str) -> None:
    """On torch's device without memory a sum of a tensor there and one on the CPU fails, as it does on a GPU."""
    there = copy.deepcopy(load(family).network).to("meta")
    with torch.inference_mode():
        output = windows._output(there, np.zeros((80, 700), np.float32), np.array([0, 24, 48]))
        kind, unfamiliarity = there.kinds(output.kind_logits), there.unfamiliarity(output.embedding)
        present = windows.present(there, output.genre_logits, kind, unfamiliarity)
    for values in (output.genre_logits, output.tempo_logits, output.embedding, kind, unfamiliarity, present):
        assert values.device.type == "meta"


def test_a_space_that_shares_its_gpu_calls_the_marked_function(tmp_path: Path) -> None:
    (tmp_path / "spaces").mkdir()
    (tmp_path / "spaces" / "__init__.py").write_text(SPACES)
    paths = os.pathsep.join((str(tmp_path), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", ON_A_SPACE, str(TECHNO)], capture_output=True, text=True, timeout=300, check=True,
        env={**os.environ, "SPACES_ZERO_GPU": "true", "PYTHONPATH": paths},
    )  # fmt: skip
    answer, found = done.stdout.splitlines()
    assert answer == "in the process of the GPU"
    expected = analyze(TECHNO, "cnn").to_dict()
    np.testing.assert_allclose(
        json.loads(found)["timeline"]["probability"], expected["timeline"]["probability"], atol=NEAR
    )
