"""A checkpoint's README.md: its metadata as the Hub renders them, and its text as blocks that any view can draw."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.repocard import REGEX_YAML_BLOCK
from huggingface_hub.repocard_data import eval_results_to_model_index
from markdown_it import MarkdownIt
from markdown_it.token import Token

from fluxbeat.errors import ModelLoadError
from fluxbeat.hub.fetching import CARD_FILE
from fluxbeat.models import ModelConfig
from fluxbeat.models.metrics import measured

TASK = "audio-classification"
LIBRARY = "fluxbeat"
TAGS = ("music", "genre", "tempo")
MEASURES = {
    "accuracy": "Right genre first",
    "accuracy_all_labels": "Right genre first of all labels",
    "top3": "Right genre among the first three",
    "tempo_accuracy1": "Right tempo",
    "tempo_accuracy2": "Right tempo, or a half, third, double or triple of it",
    "macro_average_precision": "Average precision, mean over genres",
    "macro_roc_auc": "ROC-AUC, mean over genres",
    "ece": "Calibration error",
    "both_in_top3": "Both genres of a mix among the first three",
    "f1": "Borders within 3 s, F1",
    "precision": "Borders within 3 s, precision",
    "recall": "Borders within 3 s, recall",
}
"""What is measured of a model itself; what config.json says of others (librosa, MusiCNN) is no metric of it."""

_PLAIN = """# {title}

A {family} checkpoint for FluxBeat: says which of {count} genres are present in {window_s:g} seconds of music (several
may be), and how fast it goes.

Genres: {labels}.
"""
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
    before = metadata.get("model-index")
    others = [one for one in before if _name(one) != folder] if isinstance(before, list) else []
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
    fixed = {"library_name": LIBRARY, "pipeline_tag": TASK, "tags": list(dict.fromkeys([*own, *TAGS]))}
    return {**before, **named, **fixed}


def _written(metadata: dict[str, Any], text: str) -> str:
    index = metadata.pop("model-index", None)
    data = ModelCardData(**metadata, ignore_metadata_errors=True)
    if index:
        data["model-index"] = index
    return f"---\n{data.to_yaml()}\n---\n\n{text.strip()}\n"


def _name(entry: Any) -> str:
    return str(entry.get("name", "")) if isinstance(entry, Mapping) else ""


def card_blocks(text: str) -> list[dict[str, Any]]:
    """The text of a card as blocks of plain text: nothing of it is ever read as HTML, no picture is fetched.

    Returns
    -------
    list of dict
        Each with `kind`: `heading` (level, text), `text` (text), `items` (items) or `table` (rows; first is the head).
    """
    tokens = MarkdownIt("commonmark", {"html": False}).enable("table").parse(text)
    blocks: list[dict[str, Any]] = []
    items: list[str] | None = None
    rows: list[list[str]] | None = None
    level = 0
    for token in tokens:
        if token.type in ("bullet_list_open", "ordered_list_open"):
            items = [] if items is None else items
        elif token.type in ("bullet_list_close", "ordered_list_close") and token.level == 0:
            blocks.append({"kind": "items", "items": items or []})
            items = None
        elif token.type == "table_open":
            rows = []
        elif token.type == "table_close":
            blocks.append({"kind": "table", "rows": rows or []})
            rows = None
        elif token.type == "tr_open" and rows is not None:
            rows.append([])
        elif token.type == "heading_open":
            level = int(token.tag[1:])
        elif token.type in ("fence", "code_block"):
            blocks.append({"kind": "text", "text": token.content.rstrip()})
        elif token.type == "inline":
            words = _words(token.children or ())
            if rows:
                rows[-1].append(words)
            elif items is not None:
                items.append(words)
            else:
                blocks.append(
                    {"kind": "heading", "level": level, "text": words} if level else {"kind": "text", "text": words}
                )
        elif token.type == "heading_close":
            level = 0
    return blocks


def _words(tokens: Iterable[Token]) -> str:
    parts = {"softbreak": " ", "hardbreak": "\n"}
    return "".join(
        token.content if token.type in ("text", "code_inline", "image") else parts.get(token.type, "")
        for token in tokens
    )
