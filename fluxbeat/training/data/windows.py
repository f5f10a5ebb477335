"""Batches of augmented windows of training rows; every batch follows from the seed and its number alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from fluxbeat.features.log_mel import FeatureConfig, normalise
from fluxbeat.models.base import KINDS
from fluxbeat.models.tempo import TempoGrid
from fluxbeat.training.data.store import EXCERPT_S, FeatureStore, label_shares
from fluxbeat.training.losses import tempo_targets
from fluxbeat.training.machine import rank_and_processes

TEACHER_WINDOWS = 3
"""Outputs of a teacher that looks at 10 s, of one excerpt."""
KEEPS_TEMPO_DB = -9.0
"""A second piece that is at least this much softer leaves the tempo of the first."""


@dataclass(frozen=True)
class AugmentConfig:
    """How strongly windows are changed before they are learned from; 0 everywhere changes nothing.

    Attributes
    ----------
    mix_probability : float
        Share of windows into which another one is mixed.
    mix_range_db : float
        The other one is up to this much softer.
    eq_db : float
        Standard deviation of a random equaliser curve through six points.
    low_pass_probability : float
        Share of windows whose treble is cut off, from 3.5 kHz up.
    shift_bands : int
        The spectrum is moved by up to this many bands.
    masks : int
        Masks over bands, and as many over time, in each window.
    mask_bands, mask_share : float
        Widest mask in bands, and longest in time as share of the window.
    """

    mix_probability: float = 0.7
    mix_range_db: float = 12.0
    eq_db: float = 3.0
    low_pass_probability: float = 0.15
    shift_bands: int = 1
    masks: int = 2
    mask_bands: float = 12.0
    mask_share: float = 0.12


BatchSettings = tuple[Sequence[FeatureStore], Sequence[str], TempoGrid, int, int, AugmentConfig, int]
"""Stores, labels, tempo grid, window in frames, batch size, augmentation and seed, as `WindowBatches` takes them."""


class WindowBatches(Dataset[dict[str, object]]):
    """Batch number n: `batch_size` windows of random excerpts, rare genres more often.

    A place gives a dictionary: `log_mel` (batch, mels, frames), normalised; `shares` (batch, labels) of the genres that
    people named, summing to 1 or 0, and `known` (batch,), 1 where anybody named any; `kind` (batch, 3); `tempo` (batch,
    bins), a distribution over the tempo classes, all 0 where it is unknown; `outputs`, teachers' outputs by name.

    Parameters
    ----------
    stores : sequence of FeatureStore
        With the same features and teachers.
    labels : sequence of str
    grid : TempoGrid
    window_frames : int
    batch_size : int
    augment : AugmentConfig
    seed : int
    balance : float
        Exponent of rarity: 0 draws every excerpt equally often, 1 every genre.
    """

    def __init__(
        self,
        stores: Sequence[FeatureStore],
        labels: Sequence[str],
        grid: TempoGrid,
        window_frames: int,
        batch_size: int,
        augment: AugmentConfig,
        seed: int,
        balance: float = 0.5,
    ):
        self.stores, self.grid, self.window_frames = stores, grid, window_frames
        self.batch_size, self.augment, self.seed = batch_size, augment, seed
        self.features: FeatureConfig = stores[0].features
        self.places = [(number, int(row)) for number, store in enumerate(stores) for row in store.rows("train")]
        excerpts = [stores[number].excerpts[row] for number, row in self.places]
        self.shares, self.known = label_shares(excerpts, labels)
        self.kinds = np.array([KINDS.index(excerpt.kind) for excerpt in excerpts])
        self.tempo_bpm = np.array([excerpt.tempo_bpm or np.nan for excerpt in excerpts])
        self.has_beat = np.array([not excerpt.beatless for excerpt in excerpts])
        self.drawn = np.array([excerpt.dataset == "drawn" for excerpt in excerpts])
        self.weights = self._weights(balance)
        self.partners = {kind: np.flatnonzero((self.kinds == kind) & ~self.drawn) for kind in range(len(KINDS))}

    def _weights(self, balance: float) -> np.ndarray:
        per_label = self.shares.sum(0)
        median_share = np.median(per_label[per_label > 0]) if per_label.any() else 1.0
        rarity = (median_share / np.maximum(per_label, 1.0)) ** balance
        weights = np.where(self.shares.any(1), (self.shares * rarity.clip(0.5, 3.0)).sum(1), 1.0)
        return weights / weights.sum()

    def __len__(self) -> int:
        return 1 << 40  # there is always another batch: a sampler says how many are drawn

    def __getitem__(self, number: int) -> dict[str, object]:
        rng = np.random.default_rng((self.seed, number))
        first = rng.choice(len(self.places), self.batch_size, p=self.weights)
        second = np.array([self._partner(item, rng) for item in first])
        gain_db = rng.uniform(-self.augment.mix_range_db, 0.0, self.batch_size)
        gain_db[second < 0] = -200.0
        second[second < 0] = first[second < 0]
        excerpt_frames = round(EXCERPT_S * self.features.frame_rate_hz)
        start = rng.integers(0, excerpt_frames - self.window_frames + 1, (2, self.batch_size))
        log_mel = self._mixed(first, second, start, gain_db, rng)
        log_mel = masked(log_mel, self.augment, rng)
        share = (1 / (1 + 10 ** (gain_db / 10))).astype(np.float32)  # of the first in the power of both
        tempo = tempo_targets(
            np.where(gain_db <= KEEPS_TEMPO_DB, self.tempo_bpm[first], np.nan), self.has_beat[first], self.grid
        )
        weight = share[:, None]
        position = start / max(excerpt_frames - self.window_frames, 1) * (TEACHER_WINDOWS - 1)
        return {
            "log_mel": log_mel,
            "shares": torch.from_numpy(self.shares[first] * weight + self.shares[second] * (1 - weight)),
            "known": torch.from_numpy((self.known[first] & (self.known[second] | (gain_db < -30))).astype(np.float32)),
            "kind": F.one_hot(torch.from_numpy(self.kinds[first]), len(KINDS)).float(),
            "tempo": torch.from_numpy(tempo),
            "outputs": self._outputs(first, second, position, share),
        }

    def _partner(self, item: int, rng: np.random.Generator) -> int:
        """Another excerpt of the same kind to mix in, or -1."""
        others = self.partners[int(self.kinds[item])]
        if self.drawn[item] or not len(others) or rng.random() >= self.augment.mix_probability:
            return -1
        return int(others[rng.integers(len(others))])

    @property
    def context(self) -> int:
        """Frames on either side of a window that its normalisation depends on."""
        return round(self.features.norm_window_s * self.features.frame_rate_hz / 2)

    def _crop(self, items: np.ndarray, start: np.ndarray) -> Tensor:
        """Windows with the context that their normalisation needs; what lies beyond the excerpt is at the floor."""
        context = self.context
        length = self.window_frames + 2 * context
        found = np.full((len(items), self.features.n_mels, length), self.features.floor_db, np.float32)
        for number, (item, begin) in enumerate(zip(items, start, strict=True)):
            store, row = self.places[item]
            log_mel = self.stores[store].log_mel[row]
            first, last = max(begin - context, 0), min(begin + self.window_frames + context, log_mel.shape[1])
            found[number, :, first - begin + context : last - begin + context] = log_mel[:, first:last]
        return torch.from_numpy(found)

    def _mixed(
        self,
        first: np.ndarray,
        second: np.ndarray,
        start: np.ndarray,
        gain_db: np.ndarray,
        rng: np.random.Generator,
    ) -> Tensor:
        """Two pieces in one, through another equaliser; normalised, (batch, mels, window_frames)."""
        augment, features, context = self.augment, self.features, self.context
        one = self._crop(first, start[0])
        mixing = np.flatnonzero(gain_db > -100)
        if len(mixing):
            other = self._crop(second[mixing], start[1][mixing])
            level = [_level_db(one[mixing]), _level_db(other)]
            other += (level[0] - level[1] + torch.from_numpy(gain_db[mixing]).float())[:, None, None]
            one[mixing] = torch.logaddexp(one[mixing] * _NEPER, other * _NEPER) / _NEPER
        if augment.eq_db:
            points = torch.from_numpy(rng.normal(0, augment.eq_db, (len(first), 1, 6))).float()
            one += F.interpolate(points, features.n_mels, mode="linear", align_corners=True)[:, 0, :, None]
        for number in np.flatnonzero(rng.random(len(first)) < augment.low_pass_probability):
            one[number, rng.integers(round(0.6 * features.n_mels), features.n_mels) :] -= 60.0
        if augment.shift_bands:
            shift = int(rng.integers(-augment.shift_bands, augment.shift_bands + 1))
            one = one[:, (torch.arange(features.n_mels) - shift).clamp(0, features.n_mels - 1)]
        one.clamp_(min=features.floor_db)
        return normalise(one, features)[:, :, context : context + self.window_frames].contiguous()

    def _outputs(
        self, first: np.ndarray, second: np.ndarray, position: np.ndarray, share: np.ndarray
    ) -> dict[str, Tensor]:
        """The teachers' outputs of both, weighted by their power."""
        found: dict[str, Tensor] = {}
        for name in self.stores[0].outputs:
            one = np.stack([self._at(item, name, place) for item, place in zip(first, position[0], strict=True)])
            other = np.stack([self._at(item, name, place) for item, place in zip(second, position[1], strict=True)])
            weight = share.reshape(-1, *[1] * (one.ndim - 1))
            found[name] = torch.from_numpy(weight * one + (1 - weight) * other)
        return found

    def _at(self, item: int, name: str, position: float) -> np.ndarray:
        """A teacher's output at a position among its windows, interpolated; a single output holds throughout."""
        store, row = self.places[item]
        output = self.stores[store].outputs[name][row]
        if output.ndim == 1:
            return output.astype(np.float32)
        before = min(int(position), len(output) - 2)
        part = np.float32(position - before)
        return output[before].astype(np.float32) * (1 - part) + output[before + 1].astype(np.float32) * part


_NEPER = float(np.log(10) / 10)


def _level_db(log_mel_db: Tensor) -> Tensor:
    """Mean power over bands and frames in dB, (batch,)."""
    return (log_mel_db * _NEPER).logsumexp((1, 2)) / _NEPER


def masked(log_mel: Tensor, augment: AugmentConfig, rng: np.random.Generator) -> Tensor:
    """Bands and moments left out, in place (Park et al., "SpecAugment", Interspeech 2019): (batch, mels, frames)."""
    _, bands, frames = log_mel.shape
    for window in log_mel:
        for _ in range(augment.masks):
            width = int(rng.uniform(0, augment.mask_bands))
            low = int(rng.integers(0, bands - width))
            window[low : low + width] = 0.0
            length = int(rng.uniform(0, augment.mask_share) * frames)
            begin = int(rng.integers(0, frames - length))
            window[:, begin : begin + length] = 0.0
    return log_mel


class StepSampler(Sampler[int]):
    """Numbers of the batches of one epoch; Lightning calls `set_epoch`, so that a resumed run goes on where it was.

    Where several processes train together each takes its own batches of the epoch: a step learns from one of each.
    """

    def __init__(self, batches: int):
        self.batches, self.epoch = batches, 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch whose batches come next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches // rank_and_processes()[1]

    def __iter__(self) -> Iterator[int]:
        rank, processes = rank_and_processes()
        first = self.epoch * self.batches + rank
        return iter(range(first, first + len(self) * processes, processes))
