"""What maintainers measure of speed: operations counted right, memory, imports, and the app under load."""

from copy import deepcopy

import pytest
from torch import nn

from fluxbeat.models.registry import load
from fluxbeat.training.evaluation.timings import drawn_mp3
from tools.benchmark import app_report, import_report, memory_report, operations


class StillLSTM(nn.Module):
    """In an LSTM's place: states of the same shape, for nothing."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, moments):
        return moments.new_zeros(*moments.shape[:2], self.size), None


def test_operations_of_an_lstm_are_those_counted_by_hand():
    """In each moment and direction a layer has 4 gates, each of (input + state) products for each state."""
    network = deepcopy(load("crnn").network)
    built = network.config.architecture
    size, moments = built["lstm_size"], network.window_steps
    inputs = built["last"] + (built["lstm_layers"] - 1) * 2 * size
    recurrent = 2 * moments * 2 * 4 * size * (inputs + built["lstm_layers"] * size)
    whole = operations(network)
    network.lstm = StillLSTM(2 * size)
    assert whole - operations(network) == recurrent


def test_operations_of_a_transformer_are_those_counted_by_hand():
    """For each token a layer has 12 width^2 products; attention itself is little beside them."""
    network = deepcopy(load("vit").network)
    built, (bands, steps) = network.config.architecture, network.token_grid
    by_hand = 2 * (1 + bands * steps) * built["depth"] * 12 * built["width"] ** 2
    whole = operations(network)
    network.transformer = nn.Identity()
    assert whole - operations(network) == pytest.approx(by_hand, rel=0.03)


def test_a_process_of_its_own_tells_its_memory_and_imports(monkeypatch):
    monkeypatch.setattr("tools.benchmark.SHORT_S", 20.0)
    monkeypatch.setattr("tools.benchmark.LONG_S", 40.0)
    found = memory_report("cnn")
    assert 2e8 < found["ten_minutes_bytes"] < 2e9
    assert found["ratio"] == pytest.approx(1.0, abs=0.2)
    imports = import_report(1)
    assert imports["nothing"]["median_s"] < imports["torch"]["median_s"]


def test_the_app_is_started_and_asked_by_eight_people():
    found = app_report(drawn_mp3(5.0), "cnn")
    assert found["answers"] == 24
