"""Whole folders of music: every sound file analysed once, remembered by its content, and laid out as one table."""

from fluxbeat.audio.sound_files import SOUND_SUFFIXES, SoundFile, find_sound_files
from fluxbeat.library.cache import AnalysisCache, cache_folder
from fluxbeat.library.job import LibraryJob, Step
from fluxbeat.library.table import LibraryRow, analysed_row, filtered, ordered, write_csv
from fluxbeat.library.workers import ThreadWorkers, Workers

__all__ = [
    "SOUND_SUFFIXES",
    "AnalysisCache",
    "LibraryJob",
    "LibraryRow",
    "SoundFile",
    "Step",
    "ThreadWorkers",
    "Workers",
    "analysed_row",
    "cache_folder",
    "filtered",
    "find_sound_files",
    "ordered",
    "write_csv",
]
