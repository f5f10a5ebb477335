"""What a run tells of itself while it goes: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import RichProgressBar

LINE_EVERY_S = 30.0


def progress_callback() -> lightning.Callback:
    """Lightning's own bar where standard error is a terminal, else `ProgressLines`."""
    return RichProgressBar(console_kwargs={"stderr": True}) if sys.stderr.isatty() else ProgressLines()


class ProgressLines(lightning.Callback):
    """Prints how far a run is on standard error of the first process: at its begin, its end, and every 30 s."""

    def __init__(self) -> None:
        self.begun_s = self.printed_s = 0.0
        self.first_step = 0

    def on_train_start(self, trainer: lightning.Trainer, task: lightning.LightningModule) -> None:
        self.begun_s, self.first_step = time.monotonic(), trainer.global_step
        self._print(trainer)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, task: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if time.monotonic() - self.printed_s >= LINE_EVERY_S:
            self._print(trainer)

    def on_train_end(self, trainer: lightning.Trainer, task: lightning.LightningModule) -> None:
        self._print(trainer)

    def _print(self, trainer: lightning.Trainer) -> None:
        self.printed_s = time.monotonic()
        if not trainer.is_global_zero:
            return
        done, total = trainer.global_step, int(trainer.estimated_stepping_batches)
        words = [f"step {done} of {total}"]
        words += [f"{name} {float(value):.3f}" for name, value in trainer.callback_metrics.items() if name in SHOWN]
        if self.first_step < done < total:
            left_s = (self.printed_s - self.begun_s) / (done - self.first_step) * (total - done)
            words.append(f"about {max(round(left_s / 60), 1)} min left")
        print("; ".join(words), file=sys.stderr, flush=True)


SHOWN = ("genre", "tempo", "contrastive")
"""Losses that a line names."""
