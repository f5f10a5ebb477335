"""`fluxbeat push`: a checkpoint onto the Hugging Face Hub."""

from __future__ import annotations

import argparse
from pathlib import Path

from fluxbeat.cli.output import complain
from fluxbeat.models.hub.publishing import push
from fluxbeat.models.registry import bundled_names, checkpoints_folder


def push_command(options: argparse.Namespace) -> int:
    """Publish a checkpoint on the Hugging Face Hub and print its address."""
    checkpoint = Path(options.checkpoint)
    if options.checkpoint in bundled_names():
        checkpoint = checkpoints_folder() / options.checkpoint
    address = push(
        checkpoint,
        options.repo,
        folder=options.folder,
        branch=options.branch,
        private=options.private,
        licence=options.license,
        warn=lambda note: complain(f"note: {note}"),
    )
    print(address)
    return 0
