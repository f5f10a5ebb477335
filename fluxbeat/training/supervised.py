"""Supervised multi-task training: genre and tempo together, driven by Lightning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import Dataset

from fluxbeat.models import GenreTempoModel, ModelConfig, build_model
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
from fluxbeat.training.losses import genre_loss, tempo_loss, tempo_targets
from fluxbeat.training.recipe import Recipe

MIX_KEEPS_TEMPO_DB = 8.0

Windows = tuple[Tensor, Tensor, Tensor, Tensor]
Batches = dict[str, Windows]


class WindowDataset(Dataset[Windows]):
    """One random, augmented window of each item.

    An index gives (log_mel (mels, frames), genre targets (labels,), genre mask (labels,), tempo targets (bins,)).
    The randomness is that of torch, so that Lightning's seed decides it.
    """

    def __init__(self, items: Sequence[Item], recipe: Recipe, window_frames: int):
        self.items, self.recipe, self.window_frames = items, recipe, window_frames
        self.targets, self.known = label_targets(items, recipe.labels)
        self.labelled = np.flatnonzero(self.known.any(axis=1))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Windows:
        augment = self.recipe.augment
        rng = generator_from_torch()
        item = self.items[index]
        window, rate = self._window(item, rng)
        targets = self.targets[index]
        tempo_bpm = item.tempo_bpm * rate if item.tempo_bpm else np.nan
        if self.known[index].any() and rng.random() < augment.mix_probability:
            other = self.labelled[rng.integers(len(self.labelled))]
            gain_db = rng.uniform(-augment.mix_range_db, augment.mix_range_db)
            window, share = mix(window, self._window(self.items[other], rng)[0], gain_db)
            targets = np.maximum(targets * min(2 * share, 1.0), self.targets[other] * min(2 * (1 - share), 1.0))
            tempo_bpm = tempo_bpm if gain_db > MIX_KEEPS_TEMPO_DB else np.nan
        window = colour(window, augment, rng)
        tempo = tempo_targets(np.array([tempo_bpm]), np.array([item.has_beat]), self.recipe.tempo_grid)[0]
        return (
            torch.from_numpy(np.ascontiguousarray(window, dtype=np.float32)),
            torch.from_numpy(targets),
            torch.from_numpy(self.known[index]),
            torch.from_numpy(tempo),
        )

    def _window(self, item: Item, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        augment = self.recipe.augment
        window, rate = crop_and_stretch(
            item.log_mel.astype(np.float32), self.window_frames, augment.stretch_octaves, rng
        )
        return shift_pitch(window, rng.uniform(-augment.shift_bands, augment.shift_bands)), rate


class SupervisedTask(lightning.LightningModule):
    """Genre and tempo loss, AdamW with a one-cycle schedule, and a moving average of the weights."""

    def __init__(self, recipe: Recipe):
        super().__init__()
        self.recipe = recipe
        labels = recipe.labels
        config = ModelConfig(
            family=recipe.family,
            labels=labels,
            thresholds=(0.5,) * len(labels),
            tempo_grid=recipe.tempo_grid,
            features=recipe.features,
            window_s=recipe.window_s,
            architecture=recipe.architecture,
        )
        self.model = build_model(config)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema_decay), use_buffers=True)

    @property
    def averaged(self) -> GenreTempoModel:
        """The model with averaged weights: what is shipped."""
        return cast(GenreTempoModel, self.average.module).eval()

    def training_step(self, batch: Batches, batch_idx: int) -> Tensor:
        """Genre from music, by timbre and by texture, each alone; tempo from music and drawn rhythms."""
        log_mel, targets, known, tempo = batch["music"]
        model = self.model
        # the network overfits long before the texture does: it alone hears blends of clips with stripes masked
        blended, blended_targets, both_known = blend(log_mel, targets, known, self.recipe.augment.blend)
        timbre = model.embed(model.timbre_frames(mask_stripes(blended, self.recipe.augment.mask)))
        texture = model.texture_embedding(model.texture(log_mel))
        by_timbre, by_texture = model.halves(timbre, texture)
        genre = [genre_loss(by_timbre, blended_targets, both_known), genre_loss(by_texture, targets, known)]
        beat = tempo_loss(model.tempo_head(model.tempo_head.frames(log_mel), texture), tempo)
        if "drawn" in batch:
            # a drawn rhythm has no genre: only the tempo head hears it, and no usual tempo helps it
            drawn, _, _, drawn_tempo = batch["drawn"]
            no_music = torch.zeros(len(drawn), texture.shape[1], device=drawn.device)
            beat = beat + tempo_loss(model.tempo_head(model.tempo_head.frames(drawn), no_music), drawn_tempo)
        loss = (genre[0] + genre[1]) * len(self.recipe.labels) / 2 + self.recipe.tempo_weight * beat
        self.log_dict(
            {"timbre_loss": genre[0], "texture_loss": genre[1], "tempo_loss": beat},
            prog_bar=True, on_epoch=True, on_step=False, batch_size=len(log_mel),
        )  # fmt: skip
        return loss

    def optimizer_step(self, *args: object, **kwargs: object) -> None:
        super().optimizer_step(*args, **kwargs)  # type: ignore[arg-type]
        self.average.update_parameters(self.model)

    def configure_optimizers(self) -> Any:
        decayed = [value for value in self.model.parameters() if value.ndim > 1]
        plain = [value for value in self.model.parameters() if value.ndim <= 1]
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
