"""A checkpoint's README.md: its metadata as the Hub renders them, its text as blocks for any view, its key facts."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult
from huggingface_hub.repocard import REGEX_YAML_BLOCK
from huggingface_hub.repocard_data import eval_results_to_model_index
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from fluxbeat.errors import FluxBeatError, ModelLoadError
from fluxbeat.models.base import ModelConfig
from fluxbeat.models.hub.fetching import CARD_FILE
from fluxbeat.models.registry import LoadedModel, checkpoint_folder

_log = logging.getLogger(__name__)
TASK = "audio-classification"
MEASURES = {
    "accuracy": "Right genre first",
    "accuracy_all_labels": "Right genre first of all labels",
    "top3": "Right genre among the first three",
    "tempo_accuracy1": "Right tempo",
    "tempo_accuracy2": "Right tempo, or a half, third, double or triple of it",
    "tempo_exact": "The same within 0.1 %",
    "beats_f": "Beats within 70 ms, F-measure",
    "macro_average_precision": "Average precision, mean over genres",
    "macro_roc_auc": "ROC-AUC, mean over genres",
    "both_in_top3": "Both genres of a mix among the first three",
    "ece": "Calibration error",
    "no_music_called_music": "Speech and noise called music",
    "music_called_none": "Music called none",
    "insertion_minus_deletion": "Explanations, insertion minus deletion",
    "first_changes_without_network": "Windows whose first genre hangs on the network",
    "logit_correlation": "Correlation of two networks' genre logits",
    "f1": "Borders within 3 s, F1",
    "precision": "Borders within 3 s, precision",
    "recall": "Borders within 3 s, recall",
}
"""What is measured of a model itself, in the order of tables; what config.json says of others (librosa, MusiCNN) is no
metric of it."""

_PLAIN = """# {title}

A {family} checkpoint for FluxBeat: says which of {count} genres are present in {window_s:g} seconds of music (several
may be), and how fast it goes.

Genres: {labels}.
"""
MUST_NOT = """## What it must not be used for

- Genres beyond these {count}: music of other kinds gets the nearest of them, or none.
- Judging music, people or rights"""
"""How the last section of every card begins."""
_SEVERAL = """# {title}

Checkpoints for FluxBeat, one folder each. Use them with `FLUXBEAT_HUB_REPO={repo}@COMMIT`.
"""


@dataclass(frozen=True)
class Card:
    """What a README.md says.

    Attributes
    ----------
    metadata : dict
        Its front matter.
    text : str
        What comes after.
    """

    metadata: Mapping[str, Any]
    text: str

    @property
    def licence(self) -> str:
        """Licence as the front matter names it; empty where it does not."""
        found = self.metadata.get("license") or self.metadata.get("license_name")
        return found if isinstance(found, str) else ""


def thresholds_in_words(config: ModelConfig) -> str:
    """From which probability each genre counts as present, as a card's sentence."""
    thresholds = (f"{label} {least:.2f}" for label, least in zip(config.labels, config.thresholds, strict=True))
    return f"A genre counts as present from these probabilities: {', '.join(thresholds)}."


def read_card(folder: Path) -> Card | None:
    """The card that lies beside a checkpoint, or None.

    Raises
    ------
    ModelLoadError
        If its metadata are no YAML, or it is no text.
    """
    path = folder / CARD_FILE
    if not path.is_file():
        return None
    try:
        return parse_card(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ModelLoadError(f"{CARD_FILE} is no UTF-8 text") from error


def parse_card(text: str) -> Card:
    """Split a README.md into metadata and text.

    Raises
    ------
    ModelLoadError
        If the metadata are no YAML.
    """
    block = REGEX_YAML_BLOCK.search(text)
    try:
        metadata = yaml.safe_load(block.group(2)) if block else {}
    except yaml.YAMLError as error:
        raise ModelLoadError(f"the metadata at the top of {CARD_FILE} are no YAML; mend or remove them") from error
    if not isinstance(metadata, dict):
        raise ModelLoadError(f"the metadata at the top of {CARD_FILE} are no list of names and values")
    return Card({str(key): value for key, value in metadata.items()}, text[block.end() :] if block else text)


def card_to_publish(config: ModelConfig, card: Card | None, title: str, licence: str = "") -> str:
    """A README.md whose metadata say what the Hub renders: task, library, licence, tags and metrics.

    Parameters
    ----------
    config : ModelConfig
        Its labels and metrics.
    card : Card or None
        What lies beside the checkpoint; its text and its further metadata are kept.
    title : str
        Name of the model in its metrics.
    licence : str
        Takes the place of what the card says.
    """
    text = card.text if card else _PLAIN.format(
        title=title, family=config.family.upper(), count=len(config.labels), window_s=config.window_s,
        labels=", ".join(config.labels),
    )  # fmt: skip
    metadata = _metadata(card.metadata if card else {}, licence)
    metadata["model-index"] = model_index(title, config.metrics) or metadata.get("model-index")
    return _written(metadata, text)


def card_of_several(existing: Card | None, config: ModelConfig, repo: str, folder: str, licence: str) -> str:
    """The README.md at the root of a repository with a folder for each model, with this model's metrics in it."""
    metadata = _metadata(existing.metadata if existing else {}, licence)
    index = metadata.get("model-index")  # written by anybody
    entries = index if isinstance(index, list) else []
    others = [entry for entry in entries if not isinstance(entry, dict) or entry.get("name") != folder]
    metadata["model-index"] = others + model_index(folder, config.metrics)
    text = existing.text if existing else _SEVERAL.format(title=repo.split("/")[1], repo=repo)
    return _written(metadata, text)


def model_index(title: str, metrics: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """config.json's metrics as the Hub's model-index; a measure's first value on each data set counts."""
    kept = {(row["measure"], row["split"]): row for row in reversed(metrics) if row.get("measure") in MEASURES}
    results = [
        EvalResult(
            task_type=TASK,
            dataset_type=re.sub(r"[^a-z0-9]+", "-", str(row["split"]).lower()).strip("-"),
            dataset_name=str(row["split"]),
            metric_type=measure,
            metric_name=MEASURES[measure],
            metric_value=row["value"],
            metric_args=measured(row, "n", "interval_95", "seed", "date"),
        )
        for (measure, _), row in reversed(kept.items())
    ]
    index: list[dict[str, Any]] = eval_results_to_model_index(title, results) if results else []
    return index


def _metadata(before: Mapping[str, Any], licence: str) -> dict[str, Any]:
    tags = before.get("tags")
    own = [str(tag) for tag in tags] if isinstance(tags, list) else []
    named = {"license": licence} if licence else {}
    fixed = {
        "library_name": "fluxbeat",
        "pipeline_tag": TASK,
        "tags": list(dict.fromkeys([*own, "music", "genre", "tempo"])),
    }
    return {**before, **named, **fixed}


def _written(metadata: dict[str, Any], text: str) -> str:
    known = {name: value for name, value in metadata.items() if value is not None}
    return f"---\n{yaml.safe_dump(known, sort_keys=False, allow_unicode=True)}---\n\n{text.strip()}\n"


def card_blocks(text: str) -> list[dict[str, Any]]:
    """The text of a card as blocks of plain text: nothing of it is ever read as HTML, no picture is fetched.

    Returns
    -------
    list of dict
        Each with `kind`: `heading` (level, text), `text` (text), `items` (items) or `table` (rows; first is the head).
    """
    tokens = MarkdownIt("commonmark", {"html": False}).enable("table").parse(text)
    return [block for node in SyntaxTreeNode(tokens).children for block in _blocks(node)]


def _blocks(node: SyntaxTreeNode) -> list[dict[str, Any]]:
    if node.type == "heading":
        return [{"kind": "heading", "level": int(node.tag[1:]), "text": _words(node)}]
    if node.type in ("bullet_list", "ordered_list"):
        return [{"kind": "items", "items": [_words(inline) for inline in node.walk() if inline.type == "inline"]}]
    if node.type == "table":
        rows = [[_words(cell) for cell in row.children] for row in node.walk() if row.type == "tr"]
        return [{"kind": "table", "rows": rows}]
    if node.type in ("fence", "code_block"):
        return [{"kind": "text", "text": node.content.rstrip()}]
    return [{"kind": "text", "text": _words(inline)} for inline in node.walk() if inline.type == "inline"]


def _words(node: SyntaxTreeNode) -> str:
    """All that can be read in a node, without marks; of a picture its description."""
    parts = {"softbreak": " ", "hardbreak": "\n"}
    readable = (child for child in node.walk() if child.type in ("text", "code_inline", *parts))
    return "".join(parts.get(child.type) or child.content for child in readable)


def facts_of(model: LoadedModel) -> dict[str, Any]:
    """What a person wants to know before choosing a model, as JSON.

    `licence` is what the card says of the weights; None where there is no card, or none that can be read or names one.
    `accuracy` and `tempo_accuracy` are the first measurement of each in the checkpoint; None where there is none.
    """
    config, found = model.network.config, dict[str, Any]()
    for row in config.metrics:
        found.setdefault(row["measure"], measured(row, "measure", "value", "n", "interval_95", "split", "seed", "date"))
    return {
        "name": model.info.name,
        "family": config.family,
        "parameters": model.network.n_parameters,
        "window_s": config.window_s,
        "labels": list(config.labels),
        "source": model.info.source,
        "revision": model.info.revision,
        "licence": _licence(model),
        "accuracy": found.get("accuracy"),
        "tempo_accuracy": found.get("tempo_accuracy1"),
    }


def _licence(model: LoadedModel) -> str | None:
    try:
        card = read_card(checkpoint_folder(model))
    except FluxBeatError as error:
        _log.debug("the card of %s cannot be read: %s", model.info.source, error)
        return None
    return (card.licence or None) if card else None


def measured(metric: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Some of a metric's values by their names, without what is missing or null."""
    return {name: metric[name] for name in names if metric.get(name) is not None}
