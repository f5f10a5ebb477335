"""Whole folders of music: every sound file heard once, remembered by its content, and laid out as one table."""

from fluxbeat.library.cache import AnalysisCache, cache_folder, question
from fluxbeat.library.job import LibraryJob, Step
from fluxbeat.library.table import LibraryRow, filtered, ordered, write_csv
from fluxbeat.library.workers import ThreadWorkers, Workers
from fluxbeat.sound_files import SOUND_SUFFIXES, SoundFile, find_sound_files

__all__ = [
    "SOUND_SUFFIXES",
    "AnalysisCache",
    "LibraryJob",
    "LibraryRow",
    "SoundFile",
    "Step",
    "ThreadWorkers",
    "Workers",
    "cache_folder",
    "filtered",
    "find_sound_files",
    "ordered",
    "question",
    "write_csv",
]
