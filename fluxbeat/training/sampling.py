"""Which items an epoch hears, in which order, and all of its randomness: decided by seed, epoch and place alone.

So a run that was cut off goes on as if it had not been, several processes draw what one would, and neither the number
of loading processes nor the order in which they work changes anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import lightning
import numpy as np
import torch
import torch.distributed as distributed
from torch.utils.data import Sampler

from fluxbeat.errors import FluxBeatError


class Draw(NamedTuple):
    """One item as an epoch draws it: which, and what decides the randomness of its window."""

    item: int
    entropy: tuple[int, ...]

    def generator(self) -> np.random.Generator:
        """The same every time."""
        return np.random.default_rng(self.entropy)


class EpochBatches(Sampler[list[Draw]]):
    """The batches of an epoch; of each, every process takes its share.

    Parameters
    ----------
    items : int
        How many there are to draw from.
    batch_size : int
        Draws in a batch, over all processes.
    entropy : tuple of int
        The run's seed, and a number that tells this loader from the others.
    batches : int, optional
        Draw this many batches, any item any number of times; by default every item once, in another order each epoch,
        and what does not fill the last batch waits for another epoch.

    Raises
    ------
    FluxBeatError
        If some process would get nothing of a batch.
    """

    def __init__(self, items: int, batch_size: int, entropy: tuple[int, ...], batches: int | None = None):
        self.items, self.entropy, self.epoch = items, entropy, 0
        self.with_replacement = batches is not None
        self.batch_size = batch_size if self.with_replacement else min(batch_size, items)
        self.batches = batches if batches is not None else items // max(self.batch_size, 1)

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[Draw]]:
        rank, processes = rank_and_processes()
        if self.batch_size < processes:
            raise FluxBeatError(
                f"{processes} processes cannot share a batch of {self.batch_size}: "
                "use fewer processes, more items or a larger batch_size"
            )
        entropy = (*self.entropy, self.epoch)
        rng = np.random.default_rng(entropy)
        count = self.batches * self.batch_size
        order = rng.integers(self.items, size=count) if self.with_replacement else rng.permutation(self.items)[:count]
        for start in range(0, count, self.batch_size):
            places = range(start + rank, start + self.batch_size, processes)
            yield [Draw(int(order[place]), (*entropy, place)) for place in places]


class EpochSeeds(lightning.Callback):
    """Tells batches which epoch it is, and seeds torch for each: dropout, masks and blends repeat as the batches do."""

    def __init__(self, seed: int, batches: Sequence[EpochBatches]):
        self.seed, self.batches = seed, batches

    def on_load_checkpoint(self, trainer: lightning.Trainer, task: Any, checkpoint: dict[str, Any]) -> None:
        # loading processes fetch the first batches before the first epoch begins
        self._set_epoch(checkpoint["epoch"] + 1)

    def on_train_epoch_start(self, trainer: lightning.Trainer, task: lightning.LightningModule) -> None:
        self._set_epoch(trainer.current_epoch)

    def on_train_batch_start(
        self, trainer: lightning.Trainer, task: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        # not once an epoch: what a loader draws from torch as it starts comes at another time where a run goes on
        entropy = np.random.SeedSequence([self.seed, trainer.current_epoch, batch_idx, trainer.global_rank])
        torch.manual_seed(int(entropy.generate_state(1, np.uint64)[0] >> np.uint64(1)))

    def _set_epoch(self, epoch: int) -> None:
        for batches in self.batches:
            batches.epoch = epoch


def rank_and_processes() -> tuple[int, int]:
    """This process's number among those that train together, from 0, and how many there are."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
