"""A bar for the whole run: epoch, losses, and how long it will still take."""

from __future__ import annotations

from typing import Any

import lightning
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column


class RunProgress(lightning.Callback):
    """Draws on standard error of the first process; where that is no terminal, nothing."""

    def __init__(self) -> None:
        self.bar: Progress | None = None
        self.run = TaskID(0)

    def on_train_start(self, trainer: lightning.Trainer, task: lightning.LightningModule) -> None:
        console = Console(stderr=True)
        if not (trainer.is_global_zero and console.is_terminal):
            return
        columns = (
            TextColumn("{task.description}", table_column=Column(min_width=9)),
            BarColumn(10),
            TimeElapsedColumn(table_column=Column(min_width=7)),
            TimeRemainingColumn(table_column=Column(min_width=7)),
            # in a narrow terminal the losses are cut, not the times
            TextColumn("{task.fields[losses]}", table_column=Column(no_wrap=True)),
        )
        self.bar = Progress(*columns, console=console)
        batches = int(trainer.num_training_batches)
        self.run = self.bar.add_task(
            "", total=(trainer.max_epochs or 1) * batches, completed=trainer.current_epoch * batches, losses=""
        )
        self.bar.start()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, task: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.bar:
            done = trainer.current_epoch * int(trainer.num_training_batches) + batch_idx + 1
            self.bar.update(self.run, completed=done, description=f"epoch {trainer.current_epoch + 1}")

    def on_train_epoch_end(self, trainer: lightning.Trainer, task: lightning.LightningModule) -> None:
        if self.bar:
            losses = {
                name.removesuffix("_loss"): float(value)
                for name, value in trainer.progress_bar_metrics.items()
                if name.endswith("_loss")
            }
            shown = ", ".join(f"{name} {value:.2f}" for name, value in losses.items() if value)
            self.bar.update(self.run, losses=f"loss: {shown}")

    def on_train_end(self, trainer: lightning.Trainer, task: lightning.LightningModule) -> None:
        self._stop()

    def on_exception(
        self, trainer: lightning.Trainer, task: lightning.LightningModule, exception: BaseException
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.bar:
            self.bar.stop()
            self.bar = None
