"""The three model families on one base."""

from fluxbeat.models.base import Calibration, FrameFeatures, GenreTempoModel, ModelConfig, ModelOutput
from fluxbeat.models.checkpoint import FAMILIES, build_model, load_checkpoint, save_checkpoint
from fluxbeat.models.cnn import BaselineCNN
from fluxbeat.models.crnn import CRNN
from fluxbeat.models.tempo import TempoGrid, TempoHead
from fluxbeat.models.vit import AudioTransformer

__all__ = [
    "CRNN",
    "FAMILIES",
    "AudioTransformer",
    "BaselineCNN",
    "Calibration",
    "FrameFeatures",
    "GenreTempoModel",
    "ModelConfig",
    "ModelOutput",
    "TempoGrid",
    "TempoHead",
    "build_model",
    "load_checkpoint",
    "save_checkpoint",
]
