"""Targets that teachers give: their outputs as standardised logits, matched by squared error.

Cross-entropy on a teacher's probabilities drowns rare genres; its logits, standardised per class, do not (Hinton et
al., "Distilling the knowledge in a neural network", 2015, section 2.1, matched logits likewise).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fluxbeat.training.data.store import FeatureStore

PROBABILITIES = ("audioset", "msd", "genre")
"""Outputs that are probabilities; others are matched as they are."""
OUTPUT_WEIGHTS: Mapping[str, float] = {"audioset": 1.0, "msd": 1.0, "genre": 1.0, "embedding": 0.5}
"""Outputs that are matched, and their weight."""
LEAST_PROBABILITY = 1e-4


def as_logit(probability: Tensor) -> Tensor:
    """Log odds, not below those of `LEAST_PROBABILITY` nor above those of its opposite; any shape."""
    return torch.logit(probability.clamp(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))


class TeacherHeads(nn.Module):
    """Heads that learn teachers' outputs from the embedding; in training only, never in a checkpoint.

    Parameters
    ----------
    embedding_size : int
    means, scales : mapping of str to Tensor
        Of each output: mean and standard deviation of every class over the training rows.
    """

    def __init__(self, embedding_size: int, means: Mapping[str, Tensor], scales: Mapping[str, Tensor]):
        super().__init__()
        self.names = sorted(means)
        self.heads = nn.ModuleDict({name: nn.Linear(embedding_size, len(means[name])) for name in self.names})
        for name in self.names:
            self.register_buffer(f"mean_{name}", means[name])
            self.register_buffer(f"scale_{name}", scales[name])

    @classmethod
    def of(cls, stores: Sequence[FeatureStore], embedding_size: int) -> TeacherHeads:
        """Heads for all outputs that the stores hold, standardised over their training rows."""
        means, scales = {}, {}
        for name in OUTPUT_WEIGHTS:
            if name in stores[0].outputs:
                rows = [store.outputs[name][store.rows("train")].astype(np.float32) for store in stores]
                over_time = [row if row.ndim == 2 else row.mean(1) for row in rows]
                values = torch.from_numpy(np.concatenate(over_time))
                values = as_logit(values) if name in PROBABILITIES else values
                means[name], scales[name] = values.mean(0), values.std(0).clamp(min=1e-3)
        return cls(embedding_size, means, scales)

    def forward(self, embedding: Tensor, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Mean squared error of each output, scalars; embedding (batch, d), outputs (batch, classes)."""
        losses = {}
        for name in self.names:
            values = as_logit(outputs[name]) if name in PROBABILITIES else outputs[name]
            wanted = (values - self.get_buffer(f"mean_{name}")) / self.get_buffer(f"scale_{name}")
            losses[name] = F.mse_loss(self.heads[name](embedding), wanted)
        return losses
