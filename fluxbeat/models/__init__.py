"""The three model families on one base, their consensus, and classifiers of the Hub in a model's place."""

from fluxbeat.models.base import Calibration, FrameFeatures, GenreTempoModel, ModelConfig, ModelOutput, WindowModel
from fluxbeat.models.checkpoint import FAMILIES, build_model, load_checkpoint, save_checkpoint
from fluxbeat.models.classifier import HubClassifier
from fluxbeat.models.cnn import BaselineCNN
from fluxbeat.models.consensus import Consensus
from fluxbeat.models.tempo import TempoGrid
from fluxbeat.models.vit import AudioTransformer

__all__ = [
    "FAMILIES",
    "AudioTransformer",
    "BaselineCNN",
    "Calibration",
    "Consensus",
    "FrameFeatures",
    "GenreTempoModel",
    "HubClassifier",
    "ModelConfig",
    "ModelOutput",
    "TempoGrid",
    "WindowModel",
    "build_model",
    "load_checkpoint",
    "save_checkpoint",
]
