"""`fluxbeat evaluate` and `fluxbeat probe`: how good checkpoints are."""

from __future__ import annotations

import argparse
import sys

from fluxbeat.commands.registering import Commands, command, print_json


def add(commands: Commands) -> None:
    """Register the commands of this file."""
    evaluate = command(
        commands, "evaluate", _evaluate, "How good a checkpoint is on music whose genre and tempo are known."
    )
    evaluate.add_argument(
        "models", nargs="+", metavar="CHECKPOINT", help="several: runs that differ in their seed; mean and spread"
    )
    source = evaluate.add_mutually_exclusive_group(required=True)
    source.add_argument("--gtzan-archive", metavar="STEM", help="picture archive STEM.npz with STEM.csv")
    source.add_argument("--data", metavar="FILE.csv", help="recordings: path, labels separated by ;, optional bpm")
    source.add_argument("--corpus", metavar="FOLDER", help="the test split of what `fluxbeat corpus` built")
    evaluate.add_argument("--recordings", metavar="FOLDER", help="judge the archive's clips by their audio in FOLDER")
    evaluate.add_argument("--fold", type=int, default=0, help="only clips of this fold (1 or 2)")
    evaluate.add_argument("--mixes", type=int, default=0, metavar="N", help="also N mixes of two clips")
    evaluate.add_argument("--splices", type=int, default=0, metavar="N", help="also N tracks of 2 to 4 clips in a row")
    evaluate.add_argument(
        "--peers", nargs="*", default=["librosa"], metavar="NAME", help="tempo estimators beside: librosa, essentia"
    )
    evaluate.add_argument("--teacher", default="", metavar="FOLDER", help="MusiCNN's weights, to ask it as well")
    evaluate.add_argument("--seed", type=int, default=0, help="of the mixes and splices")
    evaluate.add_argument("--answers", metavar="FILE.csv", help="also write every single answer of the first model")
    evaluate.add_argument("--json", action="store_true")

    probe = command(
        commands, "probe", _probe, "What pretraining is worth with few labels, beside random weights and MFCC."
    )
    probe.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT", help="none may have seen the archive")
    probe.add_argument("--gtzan-archive", required=True, metavar="STEM", help="picture archive STEM.npz with STEM.csv")
    probe.add_argument("--seeds", type=int, default=3, metavar="N", help="how often labels are drawn (default 3)")
    probe.add_argument(
        "--shares", type=float, nargs="+", default=[0.01, 0.1, 1.0], metavar="SHARE", help="of a fold's labels"
    )
    probe.add_argument("--no-finetune", action="store_true", help="leave out the supervised runs, which take long")
    probe.add_argument("--json", action="store_true")


def _evaluate(options: argparse.Namespace) -> int:
    from rich.console import Console

    from fluxbeat.terminal import draw_evaluation
    from fluxbeat.training.evaluate import Protocol, judge, write_answers
    from fluxbeat.zoo import load

    protocol = Protocol(
        archive=options.gtzan_archive or "",
        recordings=options.recordings or "",
        fold=options.fold,
        table=options.data or "",
        corpus=options.corpus or "",
        mixes=options.mixes,
        splices=options.splices,
        peers=tuple(options.peers),
        teacher=options.teacher,
        seed=options.seed,
    )
    report, answers = judge([load(name) for name in options.models], protocol)
    if options.answers:
        write_answers(answers[0], options.answers)
    if options.json:
        print_json(report)
    else:
        Console().print(draw_evaluation(report))
    return 0


def _probe(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from fluxbeat.training.pictures import read_archive
    from fluxbeat.training.probe import FINETUNE_EPOCHS, probe
    from fluxbeat.zoo import load

    scores = probe(
        {name: load(name).network for name in options.checkpoints},
        lambda features: read_archive(options.gtzan_archive, features),
        seeds=options.seeds,
        shares=options.shares,
        finetune_epochs=0 if options.no_finetune else FINETUNE_EPOCHS,
        report=lambda doing: print(doing, file=sys.stderr) if sys.stderr.isatty() else None,
    )
    if options.json:
        print_json([score.to_dict() for score in scores])
        return 0
    table = Table("from", "probe", title="fold 1 -> 2 and 2 -> 1: genre accuracy")
    for share in options.shares:
        clips = sorted({count for score in scores if score.share == share for count in score.labelled})
        table.add_column(f"{share:.0%} of labels: {' or '.join(map(str, clips))} clips", justify="right")
    for start, kind in dict.fromkeys((score.start, score.probe) for score in scores):
        row = [score for score in scores if (score.start, score.probe) == (start, kind)]
        table.add_row(start, kind, *(f"{score.mean:.1%} ± {100 * score.spread:.1f}" for score in row))
    table.caption = f"{scores[0].tested} test clips; mean ± standard deviation over {options.seeds} seeds"
    Console().print(table)
    return 0
