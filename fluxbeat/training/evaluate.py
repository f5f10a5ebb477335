"""How good a checkpoint is on music with known genre and tempo, as numbers with their counts and intervals.

What is to be had from `fluxbeat.training.evaluation`: cases (music with its truth), `ask` (the slow part, done once),
and summaries of the answers.
"""

from fluxbeat.training.evaluation.answers import Answer, GenreScores, ask, write_answers
from fluxbeat.training.evaluation.cases import (
    Case,
    archive_genres,
    archive_recording_cases,
    item_cases,
    picture_cases,
    picture_items,
    recording_cases,
    track_of,
)
from fluxbeat.training.evaluation.measures import TEMPO_FACTORS, interval, share, tempo_hit
from fluxbeat.training.evaluation.mixtures import mix_cases, mix_items
from fluxbeat.training.evaluation.peers import TEMPO_PEERS, ask_peers
from fluxbeat.training.evaluation.protocol import Protocol, judge
from fluxbeat.training.evaluation.splices import splice_cases, splice_items
from fluxbeat.training.evaluation.summary import (
    over_seeds,
    paired_gap,
    summarise,
    summarise_borders,
    summarise_mixes,
)

__all__ = [
    "TEMPO_FACTORS",
    "TEMPO_PEERS",
    "Answer",
    "Case",
    "GenreScores",
    "Protocol",
    "archive_genres",
    "archive_recording_cases",
    "ask",
    "ask_peers",
    "interval",
    "item_cases",
    "judge",
    "mix_cases",
    "mix_items",
    "over_seeds",
    "paired_gap",
    "picture_cases",
    "picture_items",
    "recording_cases",
    "share",
    "splice_cases",
    "splice_items",
    "summarise",
    "summarise_borders",
    "summarise_mixes",
    "tempo_hit",
    "track_of",
    "write_answers",
]
