"""Supervised multi-task training: genre, kind, tempo and teachers' outputs, driven by Lightning."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Self, cast

import lightning
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from fluxbeat.models.base import GenreTempoModel
from fluxbeat.training.losses import mean_of, tempo_loss
from fluxbeat.training.optimizer import adamw_one_cycle
from fluxbeat.training.recipe import Recipe
from fluxbeat.training.tasks.teaching import OUTPUT_WEIGHTS, TeacherHeads

TEMPO_OUTPUT, KIND_OUTPUT = "tempo", "kind"
"""Teachers' outputs of these names are distributions over the tempo classes and over the kinds."""


class SupervisedTask(lightning.LightningModule):
    """Genre, kind, tempo and teachers' losses, AdamW with a one-cycle schedule, and a moving average of the weights.

    Parameters
    ----------
    recipe : Recipe
    model : GenreTempoModel
        To start from.
    teachers : TeacherHeads, optional
        Heads that learn teachers' outputs; not part of the model.
    """

    def __init__(self, recipe: Recipe, model: GenreTempoModel, teachers: TeacherHeads | None = None):
        super().__init__()
        self.recipe, self.model, self.teachers = recipe, model, teachers
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        move = partial(move_average, decay=recipe.ema_decay)
        self.average = AveragedModel(self.model, multi_avg_fn=move, use_buffers=True)
        self.average.requires_grad_(False)
        self.teacher_average = None
        if teachers is not None:
            self.teacher_average = AveragedModel(teachers, multi_avg_fn=move, use_buffers=True)
            self.teacher_average.requires_grad_(False)
        # a model that comes from a checkpoint comes ready to answer, not to learn
        self.train()

    @property
    def averaged(self) -> GenreTempoModel:
        """The model with averaged weights: what is shipped."""
        return cast(GenreTempoModel, self.average.module).eval()

    def train(self, mode: bool = True) -> Self:
        """Switch between learning and answering; a frozen network always answers, only its heads learn."""
        super().train(mode)
        if self.recipe.frozen:
            self.model.eval()
            self.model.tempo_head.train(mode)
        return self

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """One step on a batch of `fluxbeat.training.data.windows.WindowBatches`."""
        model, recipe = self.model, self.recipe
        with torch.set_grad_enabled(not recipe.frozen):
            embedding = model.embed(model.encode(batch["log_mel"]))
        # only the network takes long and bears half precision: tempo is spectra and their powers
        with torch.autocast(self.device.type, enabled=False):
            embedding = embedding.float()
            losses = {
                "genre": genre_loss(model.genre_head(embedding), batch["shares"], batch["known"]),
                "kind": _cross_entropy(model.kind_head(embedding), batch["outputs"].get(KIND_OUTPUT, batch["kind"])),
                "tempo": self._tempo(batch, embedding),
            }
            total = recipe.genre_weight * losses["genre"] + recipe.kind_weight * losses["kind"]
            total = total + recipe.tempo_weight * losses["tempo"]
            if recipe.frozen:
                total = recipe.kind_weight * losses["kind"] + recipe.tempo_weight * losses["tempo"]
            elif self.teachers is not None:
                taught = self.teachers(embedding, batch["outputs"])
                total = total + recipe.teacher_weight * sum(OUTPUT_WEIGHTS[name] * taught[name] for name in taught)
                losses.update({f"teacher_{name}": loss for name, loss in taught.items()})
        self.log_dict(losses, on_epoch=True, on_step=False, batch_size=len(embedding), sync_dist=True)
        return total

    def _tempo(self, batch: dict[str, Any], embedding: Tensor) -> Tensor:
        """Exact tempi where known, elsewhere a teacher's estimate; a share of the batch, since it takes long."""
        count = max(1, round(self.recipe.tempo_share * len(embedding)))
        part, targets = slice(0, count), batch["tempo"][:count]
        if TEMPO_OUTPUT in batch["outputs"]:
            estimated = batch["outputs"][TEMPO_OUTPUT][part]
            targets = torch.where(targets.sum(1, keepdim=True) > 0, targets, estimated)
        head = self.model.tempo_head
        return tempo_loss(head(head.frames(batch["log_mel"][part]), embedding[part]), targets)

    def optimizer_step(self, *args: object, **kwargs: object) -> None:
        super().optimizer_step(*args, **kwargs)  # type: ignore[arg-type]
        self.average.update_parameters(self.model)
        if self.teachers is not None and self.teacher_average is not None:
            self.teacher_average.update_parameters(self.teachers)
        self.log("learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"], on_step=True, on_epoch=False)

    def configure_optimizers(self) -> Any:
        model, recipe = self.model, self.recipe
        trained = [*model.parameters(), *(self.teachers.parameters() if self.teachers is not None else ())]
        if recipe.frozen:
            trained = [*model.kind_head.parameters(), *model.tempo_head.parameters()]
        steps = int(self.trainer.estimated_stepping_batches)
        return adamw_one_cycle(trained, recipe.learning_rate, recipe.weight_decay, steps)


def genre_loss(logits: Tensor, shares: Tensor, known: Tensor) -> Tensor:
    """Which genre fits best, and which are there at all, over the windows of which that is known.

    Softmax cross-entropy ranks, binary cross-entropy says how much. logits, shares (batch, labels), known (batch,);
    scalar.
    """
    ranked = _cross_entropy(logits, shares, known * (shares.sum(1) > 0))
    present = (2 * shares).clamp(max=1.0)
    apart = F.binary_cross_entropy_with_logits(logits, present, reduction="none").sum(1)
    return ranked + 0.3 * mean_of((apart * known).sum(), known.sum())


def _cross_entropy(logits: Tensor, shares: Tensor, known: Tensor | None = None) -> Tensor:
    known = torch.ones(len(logits), device=logits.device) if known is None else known
    loss = -(shares * torch.log_softmax(logits, 1)).sum(1)
    return mean_of((loss * known).sum(), known.sum())


@torch.no_grad()
def move_average(averages: Sequence[Tensor], values: Sequence[Tensor], count: Tensor, decay: float) -> None:
    """Exponential moving average of each, faster at the beginning; torch's own cannot be sent to another process."""
    weight = 1 - min(decay, (1 + float(count)) / (10 + float(count)))
    for average, value in zip(averages, values, strict=True):
        if average.is_floating_point():
            average.lerp_(value, weight)
        else:
            average.copy_(value)
