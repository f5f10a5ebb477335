"""Artists that a run does not learn from, to hear when it stops getting better."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from fluxbeat.errors import FluxBeatError
from fluxbeat.training.items import Item


def split_artists(items: Sequence[Item], share: float, seed: int) -> tuple[list[Item], list[Item]]:
    """Items to learn from, and those of a share of each genre's artists, to validate on.

    Which artists are taken depends on their names and the seed alone, not on the order of the items. Only music of
    which genre or tempo is known can be asked about. An item without artist is one of its own; recording and picture
    of one clip stay together.

    Parameters
    ----------
    items : sequence of Item
        Their first label is their genre.
    share : float
        Of the artists, 0..1; at least one of a genre with two.
    seed : int

    Raises
    ------
    FluxBeatError
        If no genre has two artists.
    """
    artists: dict[str, set[str]] = {}
    for item in items:
        if item.labels is None and item.tempo_bpm is None:
            continue
        artists.setdefault(item.labels[0] if item.labels else "", set()).add(item.artist or item.item_id)
    chosen: set[str] = set()
    for of_genre in artists.values():
        ranked = sorted(of_genre, key=lambda artist: hashlib.sha256(f"{seed} {artist}".encode()).digest())
        chosen.update(ranked[: min(max(round(share * len(ranked)), 1), len(ranked) - 1)])
    validation = [item for item in items if (item.artist or item.item_id) in chosen]
    if not validation:
        raise FluxBeatError(
            "validation_share needs a genre with at least two artists, one to learn from and one to ask"
        )
    return [item for item in items if (item.artist or item.item_id) not in chosen], validation
