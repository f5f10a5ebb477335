"""What each command takes: light to import, so that `--help` and mistakes are answered at once."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from fluxbeat import __version__
from fluxbeat.export.formats import FORMATS

SORTS = ("bpm", "title", "length", "genre")
MODEL_HELP = "all, cnn, crnn, vit, a checkpoint folder, or hf://owner/repo[@revision] (also any audio classifier)"

Commands = argparse._SubParsersAction


def parser() -> argparse.ArgumentParser:
    """The program with all its commands; `run` of the parsed options is None where no command is given."""
    program = argparse.ArgumentParser(prog="fluxbeat", description="See how genre and tempo flow through music.")
    program.add_argument("--version", action="version", version=f"fluxbeat {__version__}")
    program.set_defaults(run=None)
    commands = program.add_subparsers(metavar="COMMAND")
    _add_analyze(commands)
    _add_explain(commands)
    _add_library(commands)
    _add_export(commands)
    _add_models(commands)
    _add_push(commands)
    _add_benchmark(commands)
    _add_serve(commands)
    _add_evaluate(commands)
    _add_train(commands)
    return program


def _command(commands: Commands, name: str, text: str, module: str = "") -> argparse.ArgumentParser:
    """A command that calls NAME_command in the module of its name beside this one, or in another."""

    def run(options: argparse.Namespace) -> int:
        status: int = getattr(import_module(f"fluxbeat.cli.{module or name}"), f"{name}_command")(options)
        return status

    added: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    added.set_defaults(run=run)
    return added


def _add_analyze(commands: Commands) -> None:
    analyze = _command(commands, "analyze", "Genres and tempo of audio files, along their whole length.")
    analyze.add_argument("files", nargs="+", metavar="FILE")
    analyze.add_argument(
        "--model",
        help=f"{MODEL_HELP} (default: all three together where they are there, else crnn or the first there is)",
    )
    analyze.add_argument("--hop", type=_seconds, default=1.0, metavar="SECONDS", help="distance of windows (default 1)")
    analyze.add_argument(
        "--find", metavar="WORD", help="of a model with hundreds of labels: those that have this in their name"
    )
    _add_tempo(analyze)
    analyze.add_argument("--click", metavar="OUT.wav", help="write the music there with a click on every beat")
    analyze.add_argument("--json", action="store_true", help="one JSON object for one file, a list for several")

    compare = _command(commands, "compare", "What several models say of the same file.", module="analyze")
    compare.add_argument("file", metavar="FILE")
    compare.add_argument("--models", nargs="+", metavar="MODEL", help=f"{MODEL_HELP}; default: every bundled model")
    compare.add_argument("--json", action="store_true")


def _add_explain(commands: Commands) -> None:
    explain = _command(commands, "explain", "What in the sound speaks for a genre or a tempo.")
    explain.add_argument("file", nargs="?", metavar="FILE")
    explain.add_argument("--model", nargs="+", metavar="MODEL", help="one or several, as for analyze")
    explain.add_argument("--label", help="genre to explain (default: the most probable one)")
    explain.add_argument(
        "--window", dest="start_s", type=float, metavar="SECONDS",
        help="where the window begins (default: where it is strongest)",
    )  # fmt: skip
    explain.add_argument("--tempo", action="store_true", help="explain the tempo, not a genre")
    explain.add_argument("--bpm", type=float, help="with --tempo: this tempo (default: the most probable one)")
    explain.add_argument("--track", action="store_true", help="what carried each segment, over the whole track")
    explain.add_argument("--layer", help="where in the network: conv1, conv2, ... (default: as measured best)")
    methods = ("grad-cam", "hires-cam", "layer-cam", "integrated")
    explain.add_argument("--method", choices=methods, help="how gradients and activations make a map")
    out = explain.add_argument_group("what to write (for several models their names are added)")
    out.add_argument("--png", type=Path, metavar="FILE", help="spectrogram and map")
    out.add_argument("--npz", type=Path, metavar="FILE", help="all arrays")
    out.add_argument("--sound", type=Path, metavar="FOLDER", help="the marked sound and the rest, as WAV")
    explain.add_argument("--json", action="store_true")
    judging = explain.add_argument_group("how far explanations may be trusted")
    judging.add_argument(
        "--report", type=Path, metavar="FOLDER", help="measure it on the music or the store of features there"
    )
    judging.add_argument("--compare", action="store_true", help="compare all layers and methods, or those of --layer")
    judging.add_argument(
        "--split", choices=("train", "dev", "test"), default="dev", help="of a store of features (default dev)"
    )
    judging.add_argument("--most", type=int, default=100, metavar="N", help="windows of a store (default 100)")
    judging.add_argument("--windows", type=int, default=1, metavar="N", help="windows of each file (default 1)")
    judging.add_argument("--seed", type=int, default=0)


def _add_library(commands: Commands) -> None:
    library = _command(commands, "library", "Genres and tempo of every sound file in a folder, as one table.")
    library.add_argument("folder", type=Path, metavar="FOLDER", help="with all folders below it")
    library.add_argument("--model", help=MODEL_HELP)
    library.add_argument("--csv", type=Path, metavar="FILE", help="write the table there instead of showing it")
    library.add_argument("--json", action="store_true", help="print the rows as one JSON list")
    library.add_argument("--sort", choices=SORTS, help="rising, unknown last (default: by path)")
    library.add_argument("--genre", metavar="GENRE", help="only files in which this genre is present")
    library.add_argument("--bpm", type=_bpm_range, metavar="LOW-HIGH", help="only files of such a tempo: 120-130")
    library.add_argument(
        "--tempo",
        action="append",
        default=[],
        type=_correction,
        metavar="FILE=BPM",
        help="a file's tempo, if you know better: half, double or a number; it is remembered until FILE=back",
    )
    library.add_argument("--fresh", action="store_true", help="analyse everything anew, whatever is remembered")
    library.add_argument("--workers", type=_count, metavar="N", help="files in work at once (default: one per core)")
    library.add_argument(
        "--ray", metavar="ADDRESS", help="analyse them on a Ray cluster: auto, HOST:PORT, ray://HOST:PORT, or local"
    )


def _add_export(commands: Commands) -> None:
    export = _command(commands, "export", "Write what is found in audio files for other programs, or as a report.")
    export.add_argument("files", nargs="+", metavar="FILE")
    titles = "; ".join(f"{one.name}: {one.title}" for one in FORMATS.values())
    export.add_argument("--format", required=True, choices=tuple(FORMATS), help=titles)
    export.add_argument(
        "--output", default=".", metavar="PATH", help="file to write, or a folder; for several files a folder"
    )
    export.add_argument("--model", help=MODEL_HELP)
    _add_tempo(export)
    export.add_argument("--explain", action="store_true", help="html: also what in the sound speaks for each genre")
    export.add_argument("--force", action="store_true", help="replace what is there")


def _add_models(commands: Commands) -> None:
    models = _command(commands, "models", "The bundled models, or the one named.")
    models.add_argument("names", nargs="*", metavar="MODEL")
    models.add_argument("--measure", action="store_true", help="also measure milliseconds per window on this machine")
    models.add_argument("--markdown", action="store_true", help="the README's tables; measures as well")
    models.add_argument("--json", action="store_true")


def _add_push(commands: Commands) -> None:
    push = _command(
        commands, "push",
        "Publish a checkpoint on the Hugging Face Hub: config, weights and model card. Log in with `hf auth login`.",
    )  # fmt: skip
    push.add_argument("checkpoint", metavar="CHECKPOINT", help="cnn, crnn, vit, or a checkpoint folder")
    push.add_argument("repo", metavar="OWNER/REPO", help="made where there is none")
    push.add_argument("--folder", default="", help="folder inside the repository, for one that holds several models")
    push.add_argument("--branch", "--revision", default="main", help="made where there is none (default: main)")
    push.add_argument("--private", action="store_true", help="a new repository is seen by its owner alone")
    push.add_argument("--license", default="", metavar="NAME", help="mit, cc-by-4.0, ...; else what the card says")


def _add_benchmark(commands: Commands) -> None:
    benchmark = _command(commands, "benchmark", "How fast analyses and explanations are on this machine.")
    benchmark.add_argument("file", nargs="?", metavar="FILE", help="default: a drawn stereo MP3")
    benchmark.add_argument(
        "--minutes", nargs="+", type=float, default=[4.0], metavar="N", help="length of what is drawn (default 4)"
    )
    benchmark.add_argument("--models", nargs="+", metavar="MODEL", help="default: all")
    benchmark.add_argument("--runs", type=int, default=3, metavar="N", help="how often each step is timed (default 3)")
    benchmark.add_argument("--json", action="store_true")


def _add_serve(commands: Commands) -> None:
    serve = _command(commands, "serve", "Serve the web app and, under /api/v1, the REST service.")
    serve.add_argument("--host", default=None, help="address to listen on (default: this machine only)")
    serve.add_argument("--port", type=int, default=None, help="default: 7860; 0 takes a free one")
    serve.add_argument("--api-only", action="store_true", help="the REST service without the page")
    mcp = _command(
        commands, "mcp", "Tools for a desktop client that starts this command and speaks MCP to it.", module="serve"
    )
    mcp.add_argument("folders", nargs="*", metavar="FOLDER", help="below these, and nowhere else, it may name a file")


def _add_evaluate(commands: Commands) -> None:
    evaluate = _command(commands, "evaluate", "How good models are on recordings that they did not see, beside others.")
    evaluate.add_argument("models", nargs="*", metavar="MODEL", help="names or folders (default: all bundled ones)")
    source = evaluate.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, metavar="PATH", help="your own music with labels, as `train` takes it")
    source.add_argument(
        "--recordings", type=Path, metavar="FOLDER",
        help="with recordings.csv: file, split, labels separated by ;, artist, dataset, seconds, and where known bpm",
    )  # fmt: skip
    evaluate.add_argument("--split", default="dev", help="dev (default), train, or test: once, for published numbers")
    evaluate.add_argument(
        "--teachers", type=Path, metavar="FOLDER", help="weights of MusiCNN and mn04, to ask them too (in a checkout)"
    )
    evaluate.add_argument("--cache", type=Path, metavar="FOLDER", help="where spectrograms and answers are kept")
    evaluate.add_argument(
        "--mixes", type=int, default=80, metavar="N", help="of --recordings, mixes of two (default 80)"
    )
    evaluate.add_argument("--splices", type=int, default=40, metavar="N", help="and splices of 2 to 4 (default 40)")
    evaluate.add_argument("--explained", type=int, default=0, metavar="N", help="also explanations of N windows; slow")
    evaluate.add_argument("--seed", type=int, default=0, help="of mixes and splices")
    evaluate.add_argument("--answers", type=Path, metavar="FILE.csv", help="also every answer of the first model")
    evaluate.add_argument("--save", type=Path, metavar="FILE.json", help="also write all measures")
    evaluate.add_argument("--json", action="store_true")


def _add_train(commands: Commands) -> None:
    train = _command(commands, "train", "Train a model on your own music, or by a recipe.")
    own = train.add_argument_group("on your own music")
    own.add_argument(
        "--data",
        metavar="PATH",
        help="FOLDER/GENRE/FILE, a CSV (path, labels), or the folder of GTZAN, FMA or MTG-Jamendo",
    )
    own.add_argument("--model", default="", help="network it rests on: crnn (default), cnn or vit; with --full cnn")
    own.add_argument(
        "--from", dest="start", default="", metavar="CHECKPOINT", help="default: the bundled one; none: random weights"
    )
    own.add_argument("--full", action="store_true", help="after the quick head, train the whole network: much longer")
    own.add_argument("--epochs", type=int, default=0, help="of --full; default: as many as are needed")
    own.add_argument("--seed", type=int, default=0, help="of everything random in --full (default 0)")
    _add_cache(train)
    _add_recipe(train, nargs="?")
    _add_machine(train)

    pretrain = _command(commands, "pretrain", "Pretrain a model by SimCLR on music without labels.", module="train")
    pretrain.add_argument("--data", type=Path, metavar="FOLDER", help="any music, in place of the recipe's stores")
    _add_cache(pretrain)
    _add_recipe(pretrain)
    _add_machine(pretrain)

    probe = _command(
        commands, "probe", "What pretraining is worth with few labels, beside random weights and MFCC.", module="train"
    )
    probe.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT", help="none may have seen what is tested on")
    source = probe.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, metavar="PATH", help="labelled music, as train takes it")
    source.add_argument("--store", type=Path, metavar="FOLDER", help="features with labels and a split")
    _add_cache(probe)
    probe.add_argument("--split", default="dev", help="whose rows are tested on (default dev)")
    probe.add_argument("--seeds", type=int, default=3, metavar="N", help="how often labels are drawn (default 3)")
    probe.add_argument(
        "--shares", type=float, nargs="+", default=[0.01, 0.1, 1.0], metavar="SHARE", help="of the labels"
    )
    probe.add_argument("--json", action="store_true")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.05 <= value <= 600:
        raise argparse.ArgumentTypeError(f"must be 0.05 to 600 seconds, got {text}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 4096:
        raise argparse.ArgumentTypeError(f"must be 1 to 4096, got {text}")
    return value


def _bpm_range(text: str) -> tuple[float, float]:
    low, dash, high = text.partition("-")
    try:
        found = float(low), float(high)
    except ValueError:
        found = (0.0, -1.0)
    if not dash or not 0 <= found[0] <= found[1] <= 1000:
        raise argparse.ArgumentTypeError(f"must be LOW-HIGH, such as 120-130, got {text!r}")
    return found


def _correction(text: str) -> tuple[str, str]:
    file, equals, given = text.rpartition("=")
    if not equals or not file or not given:
        raise argparse.ArgumentTypeError(f"must be FILE=BPM, such as song.mp3=half, got {text!r}")
    return file, given


def _add_cache(added: argparse.ArgumentParser) -> None:
    added.add_argument("--cache", type=Path, metavar="FOLDER", help="where features are kept (default: your cache)")


def _add_recipe(added: argparse.ArgumentParser, nargs: str | None = None) -> None:
    by_recipe = added.add_argument_group("by a recipe")
    by_recipe.add_argument("recipe", nargs=nargs, metavar="RECIPE.yaml")
    by_recipe.add_argument("--data-root", type=Path, default=Path("."), metavar="FOLDER", help="where its stores lie")
    by_recipe.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change one setting")
    added.add_argument("--output", type=Path, metavar="FOLDER", help="run folder (default: runs/NAME)")


def _add_tempo(added: argparse.ArgumentParser) -> None:
    """The option `--tempo`: a person's word on how fast a track is."""
    added.add_argument(
        "--tempo", metavar="BPM", help="what the tempo is, if you know better: half, double, or a number"
    )


def _add_machine(added: argparse.ArgumentParser) -> None:
    """Options that say what to compute on."""
    computing = added.add_argument_group("what to compute on (a GPU where there is one)")
    computing.add_argument("--devices", type=int, default=1, metavar="N", help="GPUs, or processes on the CPU")
    computing.add_argument("--nodes", type=int, default=1, metavar="N", help="machines that run this same command")
    computing.add_argument("--strategy", default="auto", help="of several processes, by Lightning's names")
    computing.add_argument("--precision", default="32-true", help="32-true, bf16-mixed or 16-mixed")
    computing.add_argument("--workers", type=int, default=0, metavar="N", help="processes that load windows")
