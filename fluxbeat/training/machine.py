"""What a run is trained on: one process or many, and which precision."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as distributed

from fluxbeat.errors import FluxBeatError

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


@dataclass(frozen=True)
class Machine:
    """Where and how a run computes. Several processes take a batch each, so that a step learns from several batches.

    Attributes
    ----------
    accelerator : str
        'auto' takes a GPU where there is one; else a name that Lightning knows, as 'cpu' or 'gpu'.
    devices : int
        GPUs, or processes on the CPU, on each node.
    nodes : int
        Machines that train together; on each the same command runs, with MASTER_ADDR, MASTER_PORT and NODE_RANK set.
    strategy : str
        How processes work together, by Lightning's names; 'auto' is 'ddp_spawn' for several.
    precision : str
        '32-true', or 'bf16-mixed' or '16-mixed' for the network's convolutions, recurrences and attention.
    workers : int
        Further processes that load windows; 0 loads in between.

    Raises
    ------
    FluxBeatError
        If a number is out of range or the precision is not one of `PRECISIONS`.
    """

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    precision: str = "32-true"
    workers: int = 0

    def __post_init__(self) -> None:
        for name, least in (("devices", 1), ("nodes", 1), ("workers", 0)):
            if getattr(self, name) < least:
                raise FluxBeatError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.precision not in PRECISIONS:
            raise FluxBeatError(f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}")

    @property
    def processes(self) -> int:
        """Processes that train together."""
        return self.devices * self.nodes

    @property
    def has_gpu(self) -> bool:
        """Whether a CUDA device will be used."""
        return self.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


ONE_PROCESS = Machine()


def rank_and_processes() -> tuple[int, int]:
    """This process's number among those that train together, from 0, and how many there are."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
