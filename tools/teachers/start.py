"""A network whose convolutions are EfficientAT mn04's, to start from: `python -m tools.teachers.start --help`.

Its kernels come from the teacher; those of five moments lose the outer two, and what enters
every band gets the mean and deviation that the teacher hears there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from fluxbeat.audio.decoding import load_audio
from fluxbeat.errors import FluxBeatError
from fluxbeat.models.base import GenreTempoModel
from fluxbeat.models.checkpoint import save_checkpoint
from fluxbeat.models.inverted_residuals import InvertedResidual, InvertedResidualStack
from fluxbeat.training.data.windows import WindowBatches
from fluxbeat.training.recipe import Recipe, read_recipe
from fluxbeat.training.run import batch_settings, new_model, open_stores
from tools.recordings.build import Folder
from tools.teachers.efficientat import EPSILON, EfficientAT

RECORDINGS, BATCHES = 150, 40


def take_over(stack: InvertedResidualStack, teacher: EfficientAT) -> None:
    """Copy the teacher's kernels and norms into the stack, in place."""
    first, *blocks, last = stack.layers
    assert isinstance(first, nn.Sequential) and isinstance(last, nn.Sequential)
    weights = teacher.weights
    _copy(first, weights, "features.0")
    for number, block in enumerate(blocks, 1):
        assert isinstance(block, InvertedResidual)
        name, part = f"features.{number}.block", 0
        for layer in (block.expand, block.convolve):
            if isinstance(layer, nn.Sequential):
                _copy(layer, weights, f"{name}.{part}")
                part += 1
        if not isinstance(block.gate, nn.Identity):
            for layer, inner in ((block.gate.first, "fc1"), (block.gate.second, "fc2")):
                where = f"{name}.{part}.conc_se_layers.0.{inner}"
                layer.weight.data.copy_(weights[f"{where}.weight"][:, :, None])
                layer.bias.data.copy_(weights[f"{where}.bias"])
            part += 1
        _copy(block.project, weights, f"{name}.{part}")
    _copy(last, weights, f"features.{len(blocks) + 1}")


def _copy(layers: nn.Sequential, weights: dict[str, Tensor], name: str) -> None:
    convolution, norm = layers[0], layers[1]
    assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    kernel = weights[f"{name}.0.weight"]
    lost = (kernel.shape[3] - convolution.kernel_size[1]) // 2
    convolution.weight.data.copy_(kernel[..., lost : kernel.shape[3] - lost])
    for ours, theirs in ((norm.weight, "weight"), (norm.bias, "bias")):
        ours.data.copy_(weights[f"{name}.1.{theirs}"])
    norm.running_mean.copy_(weights[f"{name}.1.running_mean"])
    norm.running_var.copy_(weights[f"{name}.1.running_var"] + EPSILON - norm.eps)


@torch.inference_mode()
def level_statistics(teacher: EfficientAT, folder: Folder, bands: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the teacher's input over music of `train`, (bands,) each."""
    rows = [row for row, excerpt in enumerate(folder.excerpts) if excerpt.split == "train" and excerpt.kind == "music"]
    rows = [int(row) for row in np.random.default_rng(0).permutation(rows)[:RECORDINGS]]
    sums, squares, frames = torch.zeros(bands), torch.zeros(bands), 0
    for row in rows:
        samples = load_audio(folder.path / folder.files[row], sample_rate_hz=teacher.sample_rate_hz).samples
        log_mel = teacher._log_mel(torch.from_numpy(samples)[None])[0, 0, :bands]
        sums, squares, frames = sums + log_mel.sum(1), squares + log_mel.square().sum(1), frames + log_mel.shape[1]
    mean = sums / frames
    return mean, (squares / frames - mean.square()).sqrt()


def started(recipe: Recipe, teachers: Path, recordings: Path, data_root: Path) -> GenreTempoModel:
    """The network of a recipe, started from the teacher.

    Raises
    ------
    FluxBeatError
        If the recipe's family has other convolutions.
    """
    model, teacher = new_model(recipe), EfficientAT(teachers)
    stack = getattr(model, "stack", None)
    if not isinstance(stack, InvertedResidualStack):
        raise FluxBeatError(f"a {recipe.family} has no convolutions like the teacher's: name a recipe of a crnn or vit")
    bands = stack.norm.num_features
    mean, deviation = level_statistics(teacher, Folder.read(recordings, recipe.labels), bands)
    stack.norm.weight.data.copy_(deviation)
    stack.norm.bias.data.copy_(mean)
    take_over(stack, teacher)
    batches = WindowBatches(*batch_settings(recipe, open_stores(recipe, data_root), model), balance=recipe.data.balance)
    update_bn((batches[number]["log_mel"] for number in range(BATCHES)), stack)
    return model.eval()


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the checkpoint; returns 0 done, 2 failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.teachers.start", description=__doc__)
    parser.add_argument("recipe", metavar="RECIPE")
    parser.add_argument("--teachers", type=Path, required=True, metavar="FOLDER", help="weights of the teachers")
    parser.add_argument("--recordings", type=Path, required=True, metavar="FOLDER", help="what is learned from")
    parser.add_argument("--data-root", type=Path, required=True, metavar="STORES")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="the checkpoint")
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    try:
        model = started(read_recipe(options.recipe), options.teachers, options.recordings, options.data_root)
        save_checkpoint(model, options.output)
    except FluxBeatError as error:
        print(f"tools.teachers.start: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
