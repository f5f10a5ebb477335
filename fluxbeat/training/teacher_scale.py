"""What a teacher hears, brought to one scale: soft targets on music of which no label is known.

The student learns the teacher's answers by regression (Hinton, Vinyals & Dean, "Distilling the knowledge in a neural
network", 2015, with embeddings beside the answers as in Romero et al., "FitNets", ICLR 2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fluxbeat.training.items import Item

CLIP = 4.0


@dataclass(frozen=True, eq=False)
class TeacherScale:
    """Mean and standard deviation of every answer of the teacher, float32 (answers,) each."""

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, items: Sequence[Item]) -> TeacherScale:
        """Measured over the items that the teacher heard; of size 0 where it heard none."""
        heard = [item.teacher.mean(axis=0) for item in items if item.teacher is not None]
        if not heard:
            return cls(np.zeros(0, np.float32), np.zeros(0, np.float32))
        answers = np.stack(heard).astype(np.float32)
        return cls(answers.mean(axis=0), np.maximum(answers.std(axis=0), 1e-3))

    @property
    def size(self) -> int:
        """Number of answers."""
        return len(self.mean)

    def targets(self, items: Sequence[Item]) -> tuple[np.ndarray, np.ndarray]:
        """Mean answer over each clip, standardised, and a mask, float32 (items, answers) both."""
        values = np.zeros((len(items), self.size), np.float32)
        mask = np.zeros_like(values)
        for row, item in enumerate(items):
            if item.teacher is not None and self.size:
                values[row] = ((item.teacher.mean(axis=0) - self.mean) / self.deviation).clip(-CLIP, CLIP)
                mask[row] = 1.0
        return values, mask
