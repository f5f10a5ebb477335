"""`fluxbeat models`: which models there are."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from fluxbeat.cli.output import print_json
from fluxbeat.cli.terminal import show
from fluxbeat.models.hub.model_card import MEASURES, facts_of
from fluxbeat.models.registry import LoadedModel, load, load_all
from fluxbeat.models.speed import milliseconds_per_window

PUBLISHED = ", test"
"""How a split's name ends that was measured once and never chosen on."""


def models_of(names: Sequence[str] | None) -> list[LoadedModel]:
    """The models of these names; all bundled ones where none is named."""
    return [load(name) for name in names] if names else load_all()


def models_command(options: argparse.Namespace) -> int:
    """Print what is known of the bundled models, or of those named."""
    entries = []
    models = models_of(options.names)
    for model in models:
        entry: dict[str, Any] = facts_of(model)
        if options.measure or options.markdown:
            entry["ms_per_window"] = round(milliseconds_per_window(model.network), 2)
        entries.append(entry)
    if options.json:
        print_json(entries)
    elif options.markdown:
        print("\n".join(_markdown(models, entries)))
    else:
        table = Table("model", "parameters", "labels", "source", "revision")
        if options.measure:
            table.add_column("ms per window", justify="right")
        for entry in entries:
            shown = entry | {"parameters": f"{entry['parameters']:,}", "labels": ", ".join(entry["labels"])}
            names = ("name", "parameters", "labels", "source", "revision", "ms_per_window")
            table.add_row(*(str(shown[name]) for name in names if name in shown))
        show(table)
    return 0


def _markdown(models: list[LoadedModel], entries: list[dict[str, Any]]) -> list[str]:
    """The README's two tables: what the models are, and what was measured on the split that nothing was chosen on."""
    lines = ["| model | parameters | ms per window |", "|---|---|---|"]
    lines += [f"| {entry['name']} | {entry['parameters']:,} | {entry['ms_per_window']:.1f} |" for entry in entries]
    metrics = {
        (row["measure"], row["split"], model.info.name): row for model in models for row in model.network.config.metrics
    }
    splits = list(dict.fromkeys(split for _, split, _ in metrics))
    published = [split for split in splits if split.endswith(PUBLISHED)] or splits
    names = [model.info.name for model in models]
    if published:
        lines += ["", f"| | on | {' | '.join(names)} |", "|---" * (2 + len(names)) + "|"]
    for measure, title in MEASURES.items():
        for split in published:
            rows = [metrics.get((measure, split, name)) for name in names]
            if any(rows):
                lines.append(f"| {title} | {split} | {' | '.join(map(_cell, rows))} |")
    return lines


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    interval = row.get("interval_95")
    between = f"{interval[0]:.2f} to {interval[1]:.2f}; " if interval else ""
    return f"{row['value']:.3f} ({between}{row['n']})"
