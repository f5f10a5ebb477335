"""Broken sound files are read as far as they go or refused in one sentence; `tools/fuzz_audio.py` asks many more."""

from __future__ import annotations

import pytest
from fuzz_audio import Making, Report, Watch, packaged_ffmpeg, run
from mutated_audio import RECIPES, STRATEGIES, MutatedAudio

from fluxbeat.audio.decoding import load_audio
from fluxbeat.audio.sound_files import SOUND_SUFFIXES

FILES = 200


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> MutatedAudio:
    return MutatedAudio(tmp_path_factory.mktemp("seeds"))


@pytest.fixture(scope="module")
def report(maker: MutatedAudio, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """200 files, through decoding and analysis."""
    with Watch(Making(packaged_ffmpeg())) as watch:
        return run(maker, watch, range(FILES), tmp_path_factory.mktemp("mutants"))


def test_two_hundred_broken_files_break_nothing(report: Report) -> None:
    assert report.findings == []
    assert report.files == FILES
    assert report.workers == 1, "no file ended the process that read it"
    assert report.slowest[0] < 20
    assert report.largest[0] < 2000


def test_broken_files_are_neither_all_refused_nor_all_accepted(report: Report) -> None:
    for kind in ("accepted", "refused"):
        assert report.count(kind) > FILES / 10
    assert report.warned > FILES / 20
    assert len(report.refusals) >= 4, "they are refused for more than one reason"


def test_each_format_and_each_way_of_breaking_occurs(report: Report) -> None:
    assert set(report.by_format) == {recipe.name for recipe in RECIPES}
    assert set(report.by_strategy) == set(STRATEGIES)
    assert min(kinds.total() for kinds in report.by_format.values()) >= 4
    assert min(kinds.total() for kinds in report.by_strategy.values()) >= 10


def test_the_seeds_are_whole_and_of_nearly_every_ending_that_is_read(maker: MutatedAudio) -> None:
    endings = {f".{recipe.ending}" for recipe in RECIPES}
    written_by_no_encoder = {".ape", ".mpc", ".tak"}
    other_names_of_these = {".aif", ".aifc", ".snd", ".rf64", ".asf", ".m4b", ".weba"}
    assert set(SOUND_SUFFIXES) - endings == written_by_no_encoder | other_names_of_these
    for seed in maker.seeds[::5]:
        assert load_audio(seed.data).duration_s == pytest.approx(1.5, abs=0.15)
