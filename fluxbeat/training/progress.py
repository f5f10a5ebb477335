"""A bar for the whole run: epoch, losses, and how long it will still take."""

from __future__ import annotations

from typing import Any

import lightning
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class RunProgress(lightning.Callback):
    """Draws on standard error of the first process; where that is no terminal, nothing."""

    def __init__(self) -> None:
        self.bar: Progress | None = None
        self.run = TaskID(0)

    def on_train_start(self, trainer: lightning.Trainer, task: lightning.LightningModule) -> None:
        console = Console(stderr=True)
        if not (trainer.is_global_zero and console.is_terminal):
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, TextColumn("{task.fields[losses]}"), console=console)
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
            shown = {name: float(value) for name, value in trainer.progress_bar_metrics.items()}
            losses = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in shown.items())
            self.bar.update(self.run, losses=losses)

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
