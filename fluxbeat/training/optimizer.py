"""How every task here learns: AdamW with a one-cycle schedule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def adamw_one_cycle(
    parameters: Iterable[Tensor],
    learning_rate: float,
    weight_decay: float,
    steps: int,
    cycle_momentum: bool = True,
) -> dict[str, Any]:
    """AdamW (Loshchilov & Hutter, ICLR 2019), its rate up and down once (Smith & Topin 2019).

    Only matrices and kernels decay: not biases, nor the scales of norms.

    Parameters
    ----------
    parameters : iterable of Tensor
    learning_rate, weight_decay : float
        The greatest rate, and the decay.
    steps : int
        Of the whole run; at least two are planned for. On the first tenth the rate rises.
    cycle_momentum : bool
        Whether the momentum goes down where the rate goes up.
    """
    trained = list(parameters)
    optimizer = torch.optim.AdamW(
        [
            {"params": [value for value in trained if value.ndim > 1], "weight_decay": weight_decay},
            {"params": [value for value in trained if value.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=learning_rate,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=max(steps, 2), pct_start=0.1, cycle_momentum=cycle_momentum
    )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
