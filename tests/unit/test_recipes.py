"""A recipe is what its file says, and what is wrong with it is told before anything is trained."""

from __future__ import annotations

import pytest

from fluxbeat.errors import FluxBeatError
from fluxbeat.training.recipe import read_recipe

RECIPE = "family: cnn\nlabels: [calm, loud]\n"


@pytest.fixture
def written(tmp_path):
    """Writes a recipe with more lines than it needs."""

    def write(lines: str):
        path = tmp_path / "own.yaml"
        path.write_text(RECIPE + lines)
        return path

    return write


@pytest.mark.parametrize("section", ["data", "features", "tempo_grid", "augment", "simclr", "architecture"])
def test_a_section_whose_settings_are_all_commented_out_has_the_defaults(written, section):
    path = written(f"{section}:\n  # temperature: 0.1\n")
    assert read_recipe(path) == read_recipe(written(""))


def test_a_setting_can_be_given_to_a_section_that_is_commented_out(written):
    path = written("augment:\n  # mix_probability: 0.2\n")
    assert read_recipe(path, ["augment.mix_probability=0.1"]).augment.mix_probability == 0.1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("epochs:\n", "epochs: Input should be a valid integer, got None"),
        ("colour:\n", "colour: .*, got None"),
        ("simclr: {max_distance_s: -1.0}\n", "simclr.max_distance_s must be 0 or more, got -1"),
        ("simclr: {max_distance_s: .nan}\n", "simclr.max_distance_s must be 0 or more, got nan"),
    ],
)
def test_what_a_recipe_cannot_mean_is_told(written, lines, message):
    with pytest.raises(FluxBeatError, match=message):
        read_recipe(written(lines))
