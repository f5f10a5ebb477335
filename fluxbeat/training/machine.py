"""What a run is trained on: one process or many, which precision; and the Lightning trainer for it."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from fluxbeat.errors import FluxBeatError
from fluxbeat.training.progress import progress_callback

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


def latest_state(output: Path) -> Path | None:
    """What a cut-off run in `output` goes on from: its state after the last epoch that it finished."""
    latest = output / "state" / "latest.ckpt"
    return latest if latest.is_file() else None


def trainer_for(
    machine: Machine,
    output: Path,
    epochs: int,
    batches: int,
    callbacks: Sequence[lightning.Callback] = (),
    progress: bool = True,
) -> lightning.Trainer:
    """A trainer that keeps its state in `output`/state after every epoch, and its curves in `output`/logs.

    Call its `fit` with `ckpt_path=latest_state(output)`.

    Parameters
    ----------
    machine : Machine
    output : Path
        Folder of the run.
    epochs, batches : int
        Length of the run, and of an epoch.
    callbacks : sequence of lightning.Callback
        Further ones.
    progress : bool
        Whether to report progress on standard error.

    Raises
    ------
    FluxBeatError
        If this machine does not have what `machine` asks for.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    keep_state = ModelCheckpoint(
        output / "state", "latest", every_n_epochs=1, save_on_train_epoch_end=True, enable_version_counter=False
    )
    several = machine.processes > 1
    if several:
        # by descriptors, two tensors of one storage would be handed to a new process twice, which it refuses
        torch.multiprocessing.set_sharing_strategy("file_system")
    try:
        return lightning.Trainer(
            max_epochs=epochs,
            accelerator=machine.accelerator,
            devices=machine.devices,
            num_nodes=machine.nodes,
            strategy="ddp_spawn" if several and machine.strategy == "auto" else machine.strategy,
            precision=machine.precision,  # type: ignore[arg-type]
            # `StepSampler` gives each process its own batches
            use_distributed_sampler=False,
            sync_batchnorm=several and machine.has_gpu,
            # on a CPU nothing here depends on chance; on a GPU what cannot be exact says so
            deterministic="warn" if machine.has_gpu else None,
            default_root_dir=output,
            logger=TensorBoardLogger(output, name="logs", version=""),
            log_every_n_steps=max(batches // 10, 1),
            callbacks=[*callbacks, *([progress_callback()] if progress else []), keep_state],
            num_sanity_val_steps=0,
            enable_progress_bar=progress and sys.stderr.isatty(),
            enable_model_summary=False,
            gradient_clip_val=5.0,
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise FluxBeatError(f"cannot train on this machine in this way: {error}") from error
