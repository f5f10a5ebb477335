"""Supervised multi-task training: genre and tempo together, driven by Lightning."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Self, cast

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel
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
from fluxbeat.training.items import BLEND, FREE, Item, label_targets
from fluxbeat.training.losses import genre_loss, ranking_loss, teacher_loss, tempo_loss, tempo_targets
from fluxbeat.training.optimizer import adamw_one_cycle
from fluxbeat.training.picture_step import KINDS, step_of
from fluxbeat.training.recipe import Recipe
from fluxbeat.training.sampling import Draw
from fluxbeat.training.teacher_scale import TeacherScale

MIX_KEEPS_TEMPO_DB = 6.0

PICTURE_VIEW = 0.5
AS_IT_IS = 0.5
"""Share of windows that the network hears without stretch and shift, as it will in use."""


class Window(NamedTuple):
    """One window, or a batch of them with a leading dimension.

    Attributes
    ----------
    log_mel : Tensor, shape (mels, frames)
        As it is: what the texture hears.
    coloured : Tensor, shape (mels, frames)
        Through another room, another record, another player: what the network and the tempo head hear.
    targets, known : Tensor, shape (labels,)
        Genres, and 1 where the truth is known.
    tempo : Tensor, shape (bins,)
        Distribution over the tempo classes; all 0 where the tempo is unknown.
    teacher, taught : Tensor, shape (answers,)
        What the teacher hears, standardised, and 1 where it was asked.
    step : Tensor, shape (2,)
        How much of each of `fluxbeat.training.picture_step.picture_steps` texture's values are moved by.
    """

    log_mel: Tensor
    coloured: Tensor
    targets: Tensor
    known: Tensor
    tempo: Tensor
    teacher: Tensor
    taught: Tensor
    step: Tensor


Batches = dict[str, Window]


class _View(NamedTuple):
    """What is heard of an item this time: `still` as it is, `moved` faster or slower and higher or lower."""

    still: np.ndarray
    moved: np.ndarray
    rate: float
    is_picture: bool


class WindowDataset(Dataset[Window]):
    """One random, augmented window of each item, now as a recording and now as its picture where an item has both.

    A `Draw` decides its randomness itself; for a plain index torch does.
    """

    def __init__(self, items: Sequence[Item], recipe: Recipe, window_frames: int, teacher: TeacherScale | None = None):
        self.items, self.recipe, self.window_frames = items, recipe, window_frames
        self.targets, self.known = label_targets(items, recipe.labels)
        self.labelled = np.flatnonzero(self.known.any(axis=1))
        self.teacher, self.taught = (teacher or TeacherScale.of([])).targets(items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, draw: int | Draw) -> Window:
        augment = self.recipe.augment
        index, rng = (draw.item, draw.generator()) if isinstance(draw, Draw) else (draw, generator_from_torch())
        item = self.items[index]
        window, moved, rate, is_picture = self._view(item, rng)
        step = step_of(item, is_picture, augment.picture_step * rng.random())
        targets, known, taught = self.targets[index], self.known[index], self.taught[index]
        tempo_bpm = item.tempo_bpm * rate if item.tempo_bpm else np.nan
        if known.any() and rng.random() < augment.mix_probability:
            other = self.labelled[rng.integers(len(self.labelled))]
            gain_db = rng.uniform(-augment.mix_range_db, augment.mix_range_db)
            view = self._view(self.items[other], rng)
            step = 0.0 * step
            (window, share), (moved, _) = mix(window, view.still, gain_db), mix(moved, view.moved, gain_db)
            targets = np.maximum(targets * min(2 * share, 1.0), self.targets[other] * min(2 * (1 - share), 1.0))
            known, taught = known * self.known[other], 0.0 * taught
            tempo_bpm = tempo_bpm if gain_db > MIX_KEEPS_TEMPO_DB else np.nan
        coloured = colour(moved, augment, rng)
        tempo = tempo_targets(np.array([tempo_bpm]), np.array([item.has_beat]), self.recipe.tempo_grid)[0]
        return Window(
            torch.from_numpy(np.ascontiguousarray(window, dtype=np.float32)),
            torch.from_numpy(coloured),
            *(torch.from_numpy(part) for part in (targets, known, tempo, self.teacher[index], taught, step)),
        )

    def _view(self, item: Item, rng: np.random.Generator) -> _View:
        """Frames between frames are smoother than frames: what the texture hears must not be resampled."""
        augment = self.recipe.augment
        is_picture = item.picture is not None and rng.random() < PICTURE_VIEW
        seen = item.picture if is_picture and item.picture is not None else item.log_mel
        window, _ = crop_and_stretch(seen, self.window_frames, 0.0, rng)
        if rng.random() < AS_IT_IS:
            return _View(window, window, 1.0, is_picture)
        moved, rate = crop_and_stretch(seen, self.window_frames, augment.stretch_octaves, rng)
        moved = shift_pitch(moved, rng.uniform(-augment.shift_bands, augment.shift_bands))
        return _View(window, moved, rate, is_picture)


class SupervisedTask(lightning.LightningModule):
    """Genre, tempo and teacher loss, AdamW with a one-cycle schedule, and a moving average of the weights.

    Parameters
    ----------
    recipe : Recipe
    model : GenreTempoModel, optional
        To start from; by default a new one with random weights.
    teacher_size : int
        Number of answers of the teacher; 0 without one. The heads that learn them are not part of the model.
    steps : Tensor, shape (2, texture values), optional
        What `fluxbeat.training.picture_step.picture_steps` found; nothing by default.

    Attributes
    ----------
    best_loss, best_epoch : Tensor, scalar
        Of the epoch whose weights are shipped; infinite and 0 before the first validation.
    """

    best_loss: Tensor
    best_epoch: Tensor

    picture_steps: Tensor

    def __init__(
        self,
        recipe: Recipe,
        model: GenreTempoModel | None = None,
        teacher_size: int = 0,
        steps: Tensor | None = None,
    ):
        super().__init__()
        self.recipe = recipe
        self.model = model if model is not None else new_model(recipe)
        self.register_buffer("picture_steps", torch.zeros(KINDS, self.model.texture.size) if steps is None else steps)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        move = partial(move_average, decay=recipe.ema_decay)
        self.average = AveragedModel(self.model, multi_avg_fn=move, use_buffers=True)
        self.average.requires_grad_(False)
        if recipe.validation_share:
            # part of the state: a run that was cut off knows its best epoch
            self.best = copy.deepcopy(self.average.module)
            self.register_buffer("best_loss", torch.tensor(torch.inf))
            self.register_buffer("best_epoch", torch.tensor(0))
        self.heard: list[tuple[Tensor, ...]] = []
        timbre_size = self.model.embedding_size - TEXTURE_SIZE
        asked = teacher_size if recipe.teacher_weight else 0
        self.as_teacher = nn.ModuleList(nn.Linear(size, asked) for size in (timbre_size, TEXTURE_SIZE) if asked)
        # a model that comes from a checkpoint comes ready to answer, not to learn
        self.train()

    @property
    def averaged(self) -> GenreTempoModel:
        """The model with averaged weights, of the best epoch where there is validation: what is shipped."""
        validated = self.recipe.validation_share and torch.isfinite(self.best_loss)
        return cast(GenreTempoModel, self.best if validated else self.average.module).eval()

    def train(self, mode: bool = True) -> Self:
        """Switch between learning and answering; frozen batch norms always answer."""
        super().train(mode)
        if self.recipe.freeze_norm:
            for module in self.model.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def training_step(self, batch: Batches, batch_idx: int) -> Tensor:
        """Genre from music, by timbre and by texture, each alone; tempo from music and drawn rhythms."""
        music = [batch[name] for name in ("music", FREE, BLEND) if name in batch]
        log_mel, coloured, targets, known, tempo, teacher, taught, step = (
            torch.cat(parts) for parts in zip(*music, strict=True)
        )
        model, recipe = self.model, self.recipe
        # masks and noise would ruin the texture's statistics: only the network hears them
        all_targets, all_known = torch.cat([targets, teacher], 1), torch.cat([known, taught], 1)
        blended, blended_targets, both_known = blend(coloured, all_targets, all_known, recipe.augment.blend)
        timbre = model.embed(model.timbre_frames(mask_stripes(blended, recipe.augment.mask)))
        # only the network takes long and bears half precision: texture and tempo are spectra and their powers
        with torch.autocast(self.device.type, enabled=False):
            losses = self._losses(
                batch,
                model.texture(log_mel, step @ self.picture_steps),
                coloured,
                tempo,
                timbre.float(),
                (blended_targets, all_targets),
                (both_known, all_known),
            )
        self.log_dict(losses, prog_bar=True, on_epoch=True, on_step=False, batch_size=len(log_mel), sync_dist=True)
        genre = (losses["timbre_loss"] + losses["texture_loss"]) * len(recipe.labels) / 2
        return genre + recipe.teacher_weight * losses["teacher_loss"] + recipe.tempo_weight * losses["tempo_loss"]

    def _losses(
        self,
        batch: Batches,
        values: Tensor,
        coloured: Tensor,
        tempo: Tensor,
        timbre: Tensor,
        truths: tuple[Tensor, Tensor],
        knowns: tuple[Tensor, Tensor],
    ) -> dict[str, Tensor]:
        """Each part of the loss, scalar; values of texture; truths and what is known for timbre and for texture."""
        model, labels = self.model, len(self.recipe.labels)
        mixed, mixed_targets, mixed_known = blend(values, truths[1], knowns[1], self.recipe.augment.blend)
        texture = model.texture_embedding(mixed)
        truths, knowns = (truths[0], mixed_targets), (knowns[0], mixed_known)
        losses = {"teacher_loss": torch.zeros((), device=self.device)}
        halves = zip(
            ("timbre_loss", "texture_loss"), model.halves(timbre, texture), (timbre, texture),
            self.as_teacher or (None, None), truths, knowns, strict=True,
        )  # fmt: skip
        for name, logits, embedding, head, truth, is_known in halves:
            genres, spoken_of = truth[:, :labels], is_known[:, :labels]
            losses[name] = genre_loss(logits, genres, spoken_of)
            losses[name] = losses[name] + ranking_loss(logits, genres, spoken_of) / labels
            if head is not None:
                losses["teacher_loss"] = losses["teacher_loss"] + teacher_loss(
                    head(embedding), truth[:, labels:], is_known[:, labels:]
                )
        # the tempo head takes the genre as it is and does not bend it
        usual = model.texture_embedding(values).detach()
        beat = tempo_loss(model.tempo_head(model.tempo_head.frames(coloured), usual), tempo)
        if "drawn" in batch:
            # a drawn rhythm has no genre: only the tempo head hears it, and no usual tempo helps it
            drawn = batch["drawn"]
            no_music = torch.zeros(len(drawn.log_mel), usual.shape[1], device=usual.device)
            beat = beat + tempo_loss(model.tempo_head(model.tempo_head.frames(drawn.coloured), no_music), drawn.tempo)
        return {**losses, "tempo_loss": beat}

    def on_train_start(self) -> None:
        # a run that was cut off after its last epoch, before its checkpoint was written, is over
        self._stop_when_over(self.current_epoch - 1)

    def optimizer_step(self, *args: object, **kwargs: object) -> None:
        super().optimizer_step(*args, **kwargs)  # type: ignore[arg-type]
        self.average.update_parameters(self.model)
        self.log("learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"], on_step=True, on_epoch=False)

    def validation_step(self, batch: Window, batch_idx: int) -> None:
        """What the averaged model says of music that is not learned from."""
        with torch.autocast(self.device.type, enabled=False):
            said = self.average.module(batch.log_mel)
        self.heard.append((said.genre_logits, batch.targets, batch.known, said.tempo_logits, batch.tempo))

    def on_validation_epoch_end(self) -> None:
        """One verdict over all windows; the weights of the best epoch are kept."""
        logits, targets, known, tempo_logits, tempo = (torch.cat(parts) for parts in zip(*self.heard, strict=True))
        self.heard.clear()
        genre, beat = genre_loss(logits, targets, known), tempo_loss(tempo_logits, tempo)
        loss = genre * len(self.recipe.labels) + self.recipe.tempo_weight * beat
        # every process judges all of the music, which is little: they must stop together
        loss = self.trainer.strategy.broadcast(loss)
        precision = mean_average_precision(logits.cpu().numpy(), targets.cpu().numpy(), known.cpu().numpy())
        self.log_dict({"validation_loss": loss, "validation_average_precision": precision}, prog_bar=True)
        if loss < self.best_loss:
            self.best_loss.copy_(loss)
            self.best_epoch.fill_(self.current_epoch)
            self.best.load_state_dict(self.average.module.state_dict())
        self._stop_when_over(self.current_epoch)

    def _stop_when_over(self, last_epoch: int) -> None:
        patience = self.recipe.patience_epochs
        if patience and last_epoch - int(self.best_epoch) >= patience:
            self.trainer.should_stop = True

    def configure_optimizers(self) -> Any:
        trained = [*self.model.parameters(), *self.as_teacher.parameters()]
        steps = int(self.trainer.estimated_stepping_batches)
        return adamw_one_cycle(trained, self.recipe.learning_rate, self.recipe.weight_decay, steps, warm_up_share=0.2)


@torch.no_grad()
def move_average(averages: Sequence[Tensor], values: Sequence[Tensor], count: Tensor, decay: float) -> None:
    """Exponential moving average of each; torch's own cannot be sent to another process."""
    for average, value in zip(averages, values, strict=True):
        if average.is_floating_point():
            average.lerp_(value, 1 - decay)
        else:
            average.copy_(value)


def mean_average_precision(logits: np.ndarray, targets: np.ndarray, known: np.ndarray) -> float:
    """Average precision, mean over the labels of which there is music with and without; NaN where there is none.

    All shapes (windows, labels).
    """
    from sklearn.metrics import average_precision_score

    found = []
    for said, truth, is_known in zip(logits.T, targets.T > 0.5, known.T > 0.5, strict=True):
        if len(set(truth[is_known].tolist())) == 2:
            found.append(average_precision_score(truth[is_known], said[is_known]))
    return float(np.mean(found)) if found else float("nan")


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
