"""The steps of `fluxbeat corpus`, each of which can be stopped and goes on where it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fluxbeat.features import FeatureConfig
from fluxbeat.training.corpus.blends import build_blends
from fluxbeat.training.corpus.catalogue import read_catalogue
from fluxbeat.training.corpus.excerpts import build_shards
from fluxbeat.training.corpus.grooves import build_grooves
from fluxbeat.training.corpus.packages import fetch_packages
from fluxbeat.training.corpus.shards import Report
from fluxbeat.training.corpus.splits import FREE_MUSIC, read_splits
from fluxbeat.training.corpus.teach import teach_corpus
from fluxbeat.training.corpus.teacher import load_teacher
from fluxbeat.training.corpus.validate import Fault, validate_corpus
from fluxbeat.training.recordings import Recording

__all__ = ["blend", "fetch", "grooves", "read", "teach", "validate"]


def fetch(catalogue: Path, output: Path, report: Report) -> int:
    """Fetch the packages of a catalogue; returns how many failed."""
    packages = [track.package for track in read_catalogue(catalogue)]
    return len(fetch_packages(packages, output, report))


def read(catalogue: Path, output: Path, tempo: Path | None, splits: Path | None, report: Report) -> int:
    """Read the fetched tracks into shards; returns how many could not be read."""
    tracks = read_catalogue(catalogue, tempo)
    return len(build_shards(tracks, output, FeatureConfig(), read_splits(splits or FREE_MUSIC), report=report))


def teach(catalogue: Path, output: Path, teacher: Path, report: Report) -> None:
    """Let the teacher hear every excerpt of the corpus."""
    teach_corpus(read_catalogue(catalogue), output, load_teacher(teacher), report)


def grooves(output: Path, count: int, seed: int, report: Report) -> None:
    """Render accompaniments."""
    build_grooves(count, output, FeatureConfig(), seed, report)


def blend(output: Path, teacher: Path, recordings: Sequence[Recording], count: int, seed: int, report: Report) -> None:
    """Blend two pieces at a time and keep what the teacher hears."""
    build_blends(count, output, load_teacher(teacher), recordings, FeatureConfig(), seed, report)


def validate(output: Path) -> tuple[list[Fault], int]:
    """All faults of a corpus, and how many excerpts it has."""
    return validate_corpus(output, FeatureConfig())
