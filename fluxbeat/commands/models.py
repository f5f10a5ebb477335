"""`fluxbeat models`: which models there are."""

from __future__ import annotations

import argparse
from typing import Any

from fluxbeat.commands.registering import Commands, command, print_json


def add(commands: Commands) -> None:
    """Register the commands of this file."""
    models = command(commands, "models", _models, "The bundled models, or the one named.")
    models.add_argument("names", nargs="*", metavar="MODEL")
    models.add_argument("--measure", action="store_true", help="also measure milliseconds per window on this machine")
    models.add_argument("--markdown", action="store_true", help="the README's table; measures as well")
    models.add_argument("--json", action="store_true")


def _models(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from fluxbeat.benchmark import milliseconds_per_window
    from fluxbeat.model_facts import facts_of
    from fluxbeat.zoo import load, load_all

    entries = []
    for model in [load(name) for name in options.names] if options.names else load_all():
        entry: dict[str, Any] = facts_of(model).to_dict()
        if options.measure or options.markdown:
            entry["ms_per_window"] = round(milliseconds_per_window(model.network), 2)
        entries.append(entry)
    if options.json:
        print_json(entries)
    elif options.markdown:
        print("\n".join(_markdown(entries)))
    else:
        table = Table("model", "parameters", "labels", "source", "revision")
        if options.measure:
            table.add_column("ms per window", justify="right")
        for entry in entries:
            row = [
                entry["name"],
                f"{entry['parameters']:,}",
                ", ".join(entry["labels"]),
                entry["source"],
                entry["revision"],
            ]
            table.add_row(*row, *([str(entry["ms_per_window"])] if options.measure else []))
        Console().print(table)
    return 0


def _markdown(entries: list[dict[str, Any]]) -> list[str]:
    lines = ["| model | parameters | ms per window | genre accuracy, unseen artists |", "|---|---|---|---|"]
    for entry in entries:
        accuracy = entry["accuracy"]
        shown = "-"
        if accuracy:
            interval = accuracy.get("interval_95")
            between = f"{interval[0]:.0%} to {interval[1]:.0%}; " if interval else ""
            shown = f"{accuracy['value']:.1%} of {accuracy['n']} ({between}{accuracy['split']})"
        lines.append(f"| {entry['name']} | {entry['parameters']:,} | {entry['ms_per_window']:.1f} | {shown} |")
    return lines
