"""`fluxbeat push`: a checkpoint onto the Hugging Face Hub."""

from __future__ import annotations

import argparse
from pathlib import Path

from fluxbeat.cli.output import complain
from fluxbeat.cli.registering import Commands, command


def add(commands: Commands) -> None:
    """Register the commands of this file."""
    push = command(
        commands,
        "push",
        _push,
        "Publish a checkpoint on the Hugging Face Hub: config, weights and model card. Log in with `hf auth login`.",
    )
    push.add_argument("checkpoint", metavar="CHECKPOINT", help="cnn, crnn, vit, or a checkpoint folder")
    push.add_argument("repo", metavar="OWNER/REPO", help="made where there is none")
    push.add_argument("--folder", default="", help="folder inside the repository, for one that holds several models")
    push.add_argument("--branch", "--revision", default="main", help="made where there is none (default: main)")
    push.add_argument("--private", action="store_true", help="a new repository is seen by its owner alone")
    push.add_argument("--license", default="", metavar="NAME", help="mit, cc-by-4.0, ...; else what the card says")


def _push(options: argparse.Namespace) -> int:
    from fluxbeat.models.hub.publishing import push
    from fluxbeat.models.registry import bundled_names, checkpoints_folder

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
