"""Supervised multi-task training: genre and tempo together, driven by Lightning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import Dataset

from fluxbeat.models import GenreTempoModel, ModelConfig, build_model
from fluxbeat.models.base import TEXTURE_SIZE
from fluxbeat.training.augment import (
    blend,
    colour,
    crop_and_stretch,
    generator_from_torch,
    mask_stripes,
    mix,
    shift_pitch,
)
from fluxbeat.training.items import Item, label_targets
from fluxbeat.training.losses import genre_loss, teacher_loss, tempo_loss, tempo_targets
from fluxbeat.training.recipe import Recipe
from fluxbeat.training.teacher_scale import TeacherScale

MIX_KEEPS_TEMPO_DB = 8.0

PICTURE_VIEW = 0.5


class Window(NamedTuple):
    """One window, or a batch of them with a leading dimension.

    Attributes
    ----------
    log_mel : Tensor, shape (mels, frames)
    targets, known : Tensor, shape (labels,)
        Genres, and 1 where the truth is known.
    tempo : Tensor, shape (bins,)
        Distribution over the tempo classes; all 0 where the tempo is unknown.
    teacher, taught : Tensor, shape (answers,)
        What the teacher hears, standardised, and 1 where it was asked.
    """

    log_mel: Tensor
    targets: Tensor
    known: Tensor
    tempo: Tensor
    teacher: Tensor
    taught: Tensor


Batches = dict[str, Window]


class WindowDataset(Dataset[Window]):
    """One random, augmented window of each item, now as a recording and now as its picture where an item has both.

    The randomness is that of torch, so that Lightning's seed decides it.
    """

    def __init__(self, items: Sequence[Item], recipe: Recipe, window_frames: int, teacher: TeacherScale | None = None):
        self.items, self.recipe, self.window_frames = items, recipe, window_frames
        self.targets, self.known = label_targets(items, recipe.labels)
        self.labelled = np.flatnonzero(self.known.any(axis=1))
        self.teacher, self.taught = (teacher or TeacherScale.of([])).targets(items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Window:
        augment = self.recipe.augment
        rng = generator_from_torch()
        item = self.items[index]
        window, rate = self._window(item, rng)
        targets, known, taught = self.targets[index], self.known[index], self.taught[index]
        tempo_bpm = item.tempo_bpm * rate if item.tempo_bpm else np.nan
        if known.any() and rng.random() < augment.mix_probability:
            other = self.labelled[rng.integers(len(self.labelled))]
            gain_db = rng.uniform(-augment.mix_range_db, augment.mix_range_db)
            window, share = mix(window, self._window(self.items[other], rng)[0], gain_db)
            targets = np.maximum(targets * min(2 * share, 1.0), self.targets[other] * min(2 * (1 - share), 1.0))
            known, taught = known * self.known[other], 0.0 * taught
            tempo_bpm = tempo_bpm if gain_db > MIX_KEEPS_TEMPO_DB else np.nan
        window = colour(window, augment, rng)
        tempo = tempo_targets(np.array([tempo_bpm]), np.array([item.has_beat]), self.recipe.tempo_grid)[0]
        return Window(
            torch.from_numpy(np.ascontiguousarray(window, dtype=np.float32)),
            *(torch.from_numpy(part) for part in (targets, known, tempo, self.teacher[index], taught)),
        )

    def _window(self, item: Item, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        augment = self.recipe.augment
        seen = item.picture if item.picture is not None and rng.random() < PICTURE_VIEW else item.log_mel
        window, rate = crop_and_stretch(seen, self.window_frames, augment.stretch_octaves, rng)
        return shift_pitch(window, rng.uniform(-augment.shift_bands, augment.shift_bands)), rate


class SupervisedTask(lightning.LightningModule):
    """Genre, tempo and teacher loss, AdamW with a one-cycle schedule, and a moving average of the weights.

    Parameters
    ----------
    recipe : Recipe
    model : GenreTempoModel, optional
        To start from; by default a new one with random weights.
    teacher_size : int
        Number of answers of the teacher; 0 without one. The heads that learn them are not part of the model.
    """

    def __init__(self, recipe: Recipe, model: GenreTempoModel | None = None, teacher_size: int = 0):
        super().__init__()
        self.recipe = recipe
        self.model = model if model is not None else new_model(recipe)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema_decay), use_buffers=True)
        timbre_size = self.model.embedding_size - TEXTURE_SIZE
        self.as_teacher = nn.ModuleList([nn.Linear(size, teacher_size) for size in (timbre_size, TEXTURE_SIZE)])

    @property
    def averaged(self) -> GenreTempoModel:
        """The model with averaged weights: what is shipped."""
        return cast(GenreTempoModel, self.average.module).eval()

    def training_step(self, batch: Batches, batch_idx: int) -> Tensor:
        """Genre from music, by timbre and by texture, each alone; tempo from music and drawn rhythms."""
        music = [batch[name] for name in ("music", "free") if name in batch]
        log_mel, targets, known, tempo, teacher, taught = (torch.cat(parts) for parts in zip(*music, strict=True))
        model, recipe = self.model, self.recipe
        # the network overfits long before the texture does: it alone hears blends of clips with stripes masked
        all_targets, all_known = torch.cat([targets, teacher], 1), torch.cat([known, taught], 1)
        blended, blended_targets, both_known = blend(log_mel, all_targets, all_known, recipe.augment.blend)
        timbre = model.embed(model.timbre_frames(mask_stripes(blended, recipe.augment.mask)))
        texture = model.texture_embedding(model.texture(log_mel))
        losses = {"timbre_loss": torch.zeros(()), "texture_loss": torch.zeros(()), "teacher_loss": torch.zeros(())}
        labels = len(recipe.labels)
        halves = zip(
            ("timbre_loss", "texture_loss"), model.halves(timbre, texture), (timbre, texture), self.as_teacher,
            (blended_targets, all_targets), (both_known, all_known), strict=True,
        )  # fmt: skip
        for name, logits, embedding, head, truth, is_known in halves:
            losses[name] = genre_loss(logits, truth[:, :labels], is_known[:, :labels])
            if recipe.teacher_weight and teacher.shape[1]:
                losses["teacher_loss"] = losses["teacher_loss"] + teacher_loss(
                    head(embedding), truth[:, labels:], is_known[:, labels:]
                )
        beat = tempo_loss(model.tempo_head(model.tempo_head.frames(log_mel), texture), tempo)
        if "drawn" in batch:
            # a drawn rhythm has no genre: only the tempo head hears it, and no usual tempo helps it
            drawn = batch["drawn"]
            no_music = torch.zeros(len(drawn.log_mel), texture.shape[1], device=texture.device)
            beat = beat + tempo_loss(model.tempo_head(model.tempo_head.frames(drawn.log_mel), no_music), drawn.tempo)
        losses["tempo_loss"] = beat
        self.log_dict(losses, prog_bar=True, on_epoch=True, on_step=False, batch_size=len(log_mel))
        genre = (losses["timbre_loss"] + losses["texture_loss"]) * labels / 2
        return genre + recipe.teacher_weight * losses["teacher_loss"] + recipe.tempo_weight * beat

    def optimizer_step(self, *args: object, **kwargs: object) -> None:
        super().optimizer_step(*args, **kwargs)  # type: ignore[arg-type]
        self.average.update_parameters(self.model)

    def configure_optimizers(self) -> Any:
        trained = [*self.model.parameters(), *self.as_teacher.parameters()]
        decayed = [value for value in trained if value.ndim > 1]
        plain = [value for value in trained if value.ndim <= 1]
        optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": self.recipe.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=self.recipe.learning_rate,
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.recipe.learning_rate, total_steps=max(steps, 2), pct_start=0.2
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def new_model(recipe: Recipe) -> GenreTempoModel:
    """A model as the recipe describes it, with random weights."""
    return build_model(
        ModelConfig(
            family=recipe.family,
            labels=recipe.labels,
            thresholds=(0.5,) * len(recipe.labels),
            tempo_grid=recipe.tempo_grid,
            features=recipe.features,
            window_s=recipe.window_s,
            architecture=recipe.architecture,
        )
    )
