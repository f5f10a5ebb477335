"""Any audio classifier that transformers knows, in a model's place: windows of sound to probabilities of its labels.

Nothing that a repository holds is executed: its weights are safetensors, and the code is transformers' own.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import torch
from torch import Tensor

from fluxbeat.errors import ConfigMismatchError, ModelLoadError
from fluxbeat.models.base import ModelConfig, ModelOutput, WindowModel
from fluxbeat.models.checkpoint import sha256_of
from fluxbeat.models.config_file import CONFIG_FILE, LARGEST_CONFIG_BYTES, LONGEST_LABEL, MOST_LABELS
from fluxbeat.models.weights_file import WEIGHTS_FILE, tensors_in

FEATURE_FILES = ("preprocessor_config.json", "processor_config.json")
"""What a classifier has and FluxBeat's own checkpoints have not: how its features are made."""
WORDS = ("tokenizer.json", "vocab.json", "merges.txt")
OTHER_FILES = (*FEATURE_FILES, *WORDS, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
"""What else of a repository is fetched and read: the words are for models that are asked in words."""
WINDOW_S = 10.0
"""Windows are as long as those of FluxBeat's networks, or shorter where a classifier takes no more."""
MOST_GENRES = 100


def parse_options(text: str) -> tuple[tuple[str, ...], str]:
    """Read what follows the question mark of an address: `genres=dub,techno&scores=sigmoid`.

    Returns
    -------
    genres : tuple of str
        What a zero-shot model listens for.
    scores : str
        'softmax' or 'sigmoid'; empty: as the model's problem type says.

    Raises
    ------
    ModelLoadError
        If that is something else.
    """
    given = dict(parse_qsl(text, keep_blank_values=True))
    named = (genre.strip() for genre in given.pop("genres", "").split(","))
    genres, scores = tuple(dict.fromkeys(filter(None, named))), given.pop("scores", "")
    if given or scores not in ("", "softmax", "sigmoid") or len(genres) > MOST_GENRES:
        raise ModelLoadError(
            f"?{text[:80]} is no way to ask a classifier: expected genres=dub,techno ({MOST_GENRES} at most), "
            "scores=softmax or scores=sigmoid"
        )
    return genres, scores


class HubClassifier(WindowModel):
    """A classifier of transformers with its own feature extractor.

    `forward` takes sound, not a spectrogram, and so it cannot be slid over one:
    `fluxbeat.analysis.sound_windows` asks it.
    Tempo, music or not, and how familiar a sound is are not known of it.

    Parameters
    ----------
    network : Module
        A model for audio classification, or a CLAP model.
    extractor : transformers' feature extractor
    labels : sequence of str
    scores : 'softmax' or 'sigmoid'
    texts : Tensor, shape (labels, size), optional
        Normalised embeddings of what a CLAP model listens for.
    """

    time_stride = 1
    takes_sound = True

    def __init__(self, network: Any, extractor: Any, labels: tuple[str, ...], scores: str, texts: Tensor | None = None):
        self.rate_hz, longest_s = int(extractor.sampling_rate), _longest_s(extractor)
        if not 4_000 <= self.rate_hz <= 192_000 or not longest_s <= 120:
            raise ModelLoadError(
                f"its features are made of {longest_s:g} s at {self.rate_hz:,} Hz, which makes no sense"
            )
        family = f"{network.config.model_type} of transformers, {scores}"
        thresholds = (0.5,) * len(labels)  # nothing better is known of a stranger's model
        super().__init__(ModelConfig(family, labels, thresholds, tempo_taught=False, window_s=min(WINDOW_S, longest_s)))
        self.network, self.extractor, self.scores, self.texts = network, extractor, scores, texts

    @property
    def window_samples(self) -> int:
        """Length of one window in samples at `rate_hz`."""
        return round(self.config.window_frames / self.config.features.frame_rate_hz * self.rate_hz)

    def forward(self, samples: Tensor) -> ModelOutput:
        """Mono sound (batch, window_samples) at `rate_hz` -> ModelOutput; only its genre logits say anything.

        The sound is on the CPU, where features are made; the answer is where the network is.
        """
        # one by one: for a batch some extractors draw lots (CLAP's, which of its sounds counts as longer)
        features = [self.extractor(sound, sampling_rate=self.rate_hz, return_tensors="pt") for sound in samples.numpy()]
        device = next(self.network.parameters()).device
        inputs = {name: torch.cat([window[name] for window in features]).to(device) for name in features[0]}
        logits = self.network(**inputs).logits if self.texts is None else self._likeness(inputs, self.texts)
        nothing = logits.new_zeros(len(logits), 0)
        return ModelOutput(logits, logits.new_zeros(len(logits), self.config.tempo_grid.bins), nothing, nothing)

    def probabilities(self, genre_logits: Tensor) -> Tensor:
        return torch.softmax(genre_logits, -1) if self.scores == "softmax" else torch.sigmoid(genre_logits)

    def _likeness(self, inputs: Any, texts: Tensor) -> Tensor:
        """How like each text the sounds are, (batch, labels), as CLAP's own forward has it."""
        sounds = self.network.get_audio_features(**inputs).pooler_output
        likeness: Tensor = sounds @ texts.to(sounds.device).T * self.network.logit_scale_a.exp()
        return likeness


def is_classifier(folder: Path) -> bool:
    """Whether a folder holds a model of transformers, by the file that says how its features are made."""
    return any((folder / name).is_file() for name in FEATURE_FILES)


def require_transformers() -> None:
    """Refuse to begin where transformers is not installed.

    Raises
    ------
    ModelLoadError
    """
    if importlib.util.find_spec("transformers") is None:
        raise ModelLoadError(
            "this is a model of transformers, which is not installed: pip install 'fluxbeat[transformers]'"
        )


def load_classifier(folder: Path, asked: str = "") -> tuple[HubClassifier, str]:
    """Read a classifier of transformers.

    Parameters
    ----------
    folder : Path
        With config.json, model.safetensors and one of `FEATURE_FILES`.
    asked : str
        As `parse_options` reads it.

    Returns
    -------
    model : HubClassifier
        In evaluation mode.
    revision : str
        First 12 hexadecimal digits of the SHA-256 of all its files, one after the other, and of `asked`.

    Raises
    ------
    ModelLoadError
        If transformers is not installed, the model needs code of its own, is no audio classifier, is damaged or not
        finished, or does not fit what was asked.
    """
    genres, scores = parse_options(asked)
    _check_settings(folder)
    require_transformers()
    try:
        import transformers

        with _quiet(transformers.utils.logging):
            model = _read(transformers, folder, genres, scores)
    except (ModelLoadError, ConfigMismatchError):
        raise
    except Exception as error:  # whatever a strange configuration makes transformers raise
        why = " ".join(str(error).split())[:200]
        raise ModelLoadError(f"transformers cannot read this model ({type(error).__name__}: {why})") from error
    files = sorted(path for path in folder.iterdir() if path.name in (CONFIG_FILE, WEIGHTS_FILE, *OTHER_FILES))
    digest = hashlib.sha256(b"".join(bytes.fromhex(sha256_of(path)) for path in files) + asked.encode())
    return model, digest.hexdigest()[:12]


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Without the bars and notes by which transformers tells of its loading, and afterwards with them as before."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _read(transformers: Any, folder: Path, genres: tuple[str, ...], scores: str) -> HubClassifier:
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    settings = transformers.AutoConfig.from_pretrained(folder, **local)
    zero_shot = settings.model_type == "clap"
    kind = transformers.ClapModel if zero_shot else transformers.AutoModelForAudioClassification
    if not zero_shot and type(settings) not in transformers.MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING:
        raise ModelLoadError(f"this is a model of the type {settings.model_type}, which is no audio classifier")
    if zero_shot and not genres:
        raise ModelLoadError("this model listens for what you name: add ?genres=dub,techno to its address")
    if settings.problem_type == "regression":
        raise ModelLoadError("this model gives numbers, and no probabilities of labels")
    if genres and not zero_shot:
        raise ModelLoadError("this model has labels of its own: genres can be named for zero-shot models (CLAP) only")
    _refuse_bomb(kind, settings, folder)
    network, report = kind.from_pretrained(
        folder, config=settings, use_safetensors=True, local_files_only=True, dtype=torch.float32,
        attn_implementation="eager", output_loading_info=True, ignore_mismatched_sizes=True,
    )  # fmt: skip
    if report["mismatched_keys"]:
        raise ModelLoadError(f"{WEIGHTS_FILE} does not fit its {CONFIG_FILE}: {min(report['mismatched_keys'])[0]}")
    # wav2vec2 and its kin need this one for training only
    missing = [name for name in sorted(report["missing_keys"]) if not name.endswith(".masked_spec_embed")]
    if missing:
        raise ModelLoadError(f"this is no finished classifier: its weights lack {missing[0]}")
    if any(not torch.isfinite(value).all() for value in network.parameters()):
        raise ModelLoadError(f"{WEIGHTS_FILE} holds values that are not finite: the file is damaged")
    network.eval().requires_grad_(False)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder, **local)
    labels, texts = genres or _labels(settings), None
    # as transformers' own pipeline decides it
    scores = scores or ("sigmoid" if settings.problem_type == "multi_label_classification" else "softmax")
    with torch.inference_mode():
        if zero_shot:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **local)
            # as transformers' own zero-shot pipeline asks
            asked = tokenizer([f"This is a sound of {genre}." for genre in labels], padding=True, return_tensors="pt")
            texts = network.get_text_features(**asked).pooler_output
        model = HubClassifier(network, extractor, labels, scores, texts).eval()
        model(torch.zeros(1, model.window_samples))  # what fails had better do so now than amid a recording
    return model


def _check_settings(folder: Path) -> None:
    """Refuse a model that needs code of its repository, and settings that would only fill memory."""
    for path in (folder / name for name in (CONFIG_FILE, *OTHER_FILES) if name not in WORDS):
        if not path.is_file():
            continue
        if path.stat().st_size > LARGEST_CONFIG_BYTES:
            raise ModelLoadError(f"{path.name} has {path.stat().st_size / 1e6:,.1f} MB: that is no configuration")
        content = path.read_bytes()
        if b'"auto_map"' in content:
            raise ModelLoadError(
                f"this model needs program code of its repository ({path.name} names it), and nothing of a repository "
                "is executed: choose a model that transformers itself knows"
            )
        if path.name in (CONFIG_FILE, *FEATURE_FILES):
            try:
                _refuse_large(path.name, json.loads(content))
            except (ValueError, RecursionError) as error:
                raise ModelLoadError(f"{path.name} is not JSON that can be read") from error


def _refuse_large(file: str, value: Any, name: str = "") -> None:
    """Refuse more layers than any network has, and numbers beyond all use."""
    if isinstance(value, list | dict):
        for key, part in value.items() if isinstance(value, dict) else ((name, part) for part in value):
            _refuse_large(file, part, key)
    elif isinstance(value, int | float):
        most = 200 if "layers" in name or name == "depths" else 10_000_000
        if value > most:
            raise ModelLoadError(f"{file} asks for {name[:40]} of {value:.3g}: at most {most:,} makes sense")


def _refuse_bomb(kind: Any, settings: Any, folder: Path) -> None:
    """Refuse settings that ask for more values than the weights can fill, before they are made."""
    with torch.device("meta"):
        network = kind(settings) if hasattr(kind, "forward") else kind.from_config(settings, trust_remote_code=False)
    there = sum(math.prod(shape) for shape, _ in tensors_in(folder / WEIGHTS_FILE).values())
    wanted = sum(value.numel() for value in network.parameters())
    if wanted > 1.5 * there:
        raise ModelLoadError(f"{CONFIG_FILE} asks for {wanted:,} values, and {WEIGHTS_FILE} holds {there:,}")


def _labels(settings: Any) -> tuple[str, ...]:
    labels = tuple(str(settings.id2label[index]) for index in range(settings.num_labels))
    for label in labels:
        if not 0 < len(label) <= LONGEST_LABEL or not label.isprintable() or len(labels) > MOST_LABELS:
            raise ModelLoadError(
                f"{CONFIG_FILE} names {len(labels):,} labels such as {label[:40]!r}, which cannot be shown"
            )
    return labels


def _longest_s(extractor: Any) -> float:
    """How much sound a feature extractor takes at a time, in seconds; a window where it does not say."""
    if hasattr(extractor, "nb_max_samples"):
        return float(extractor.nb_max_samples / extractor.sampling_rate)
    if type(extractor).__name__ == "ASTFeatureExtractor":
        return float(extractor.max_length * 0.01)  # frames of 10 ms
    return float(getattr(extractor, "chunk_length", None) or WINDOW_S)
