"""From finished runs to the checkpoints that are shipped, and from measures to their cards.

    python -m tools.release make cnn=RUN crnn=RUN vit=RUN --recordings FOLDER --output checkpoints
    python -m tools.release tempo --output checkpoints
    fluxbeat evaluate --recordings FOLDER --split dev --teachers FOLDER --save dev.json      # and once: test
    python -m tools.release cards --recordings FOLDER --output checkpoints --measured dev.json test.json

`make` reads `train` and `dev` of the recordings, never `test`. `cards` also writes each model's measures into its
config.json. All give the same files from the same input.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
from pathlib import Path
from typing import Any

from fluxbeat.atomic_write import atomic_write
from fluxbeat.models.checkpoint import CONFIG_FILE
from fluxbeat.models.registry import LoadedModel, load
from fluxbeat.training.card import PER_LABEL, CardFacts, wrapped, write_card
from fluxbeat.training.evaluation.catalogue import default_cache
from fluxbeat.training.evaluation.explained_windows import explained_measures
from fluxbeat.training.evaluation.rankings import Measure
from fluxbeat.training.run import RUN_FILE
from tools.release.beatless import fit_tempo_threshold
from tools.release.making import CONSENSUS, Plan, release
from tools.release.shipped import WEAK, counted_data, explained_text, over_seeds, seeds_in_words, tempo_measures

RELEASE_FILE = "release.json"
LEFT_OUT = "Learned as well and left out, since too few recordings show whether they work"
DATA, NOTES, FRONT_END = (Path(__file__).with_name(f"shipped_{part}.md") for part in ("data", "notes", "front_end"))


def main() -> None:
    """Run one of the steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(required=True)
    make = steps.add_parser("make", help="checkpoints from runs")
    make.add_argument("runs", nargs="+", metavar="NAME=RUN")
    make.add_argument("--tempo-threshold", nargs="*", default=[], metavar="NAME=VALUE")
    make.set_defaults(run=_make)
    tempo = steps.add_parser("tempo", help="how strong a beat must be, from sound that has none")
    tempo.set_defaults(run=_tempo)
    cards = steps.add_parser("cards", help="cards and metrics from measures")
    cards.add_argument("--measured", nargs="+", type=Path, required=True, metavar="FILE.json")
    cards.add_argument("--front-end", type=Path, default=FRONT_END, metavar="FILE.md", help="why these features")
    cards.add_argument("--explained", nargs="*", default=[], metavar="NAME=FILE.json", help="reports of explain")
    cards.add_argument("--explained-split", default="test", help="that those reports were measured on")
    cards.add_argument("--tempo", type=Path, metavar="FILE.json", help="what known_tempo printed")
    cards.add_argument("--notes", type=Path, default=NOTES, metavar="FILE.md", help="for every card, below its tables")
    cards.add_argument(
        "--seeds", nargs="*", default=[], metavar="NAME=FILE.json",
        help="measures of runs of NAME's recipe that differ from each other in their seed alone",
    )  # fmt: skip
    cards.add_argument("--date", default=datetime.datetime.now(tz=datetime.UTC).date().isoformat())
    cards.set_defaults(run=_cards)
    for step in (make, tempo, cards):
        if step is not tempo:
            step.add_argument("--recordings", type=Path, required=True, metavar="FOLDER")
        step.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="folder of the checkpoints")
        step.add_argument("--cache", type=Path, default=default_cache(), metavar="FOLDER")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = parser.parse_args()
    options.run(options)


def _named(pairs: list[str]) -> dict[str, str]:
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def _make(options: argparse.Namespace) -> None:
    runs = {name: Path(run) for name, run in _named(options.runs).items()}
    thresholds = {name: float(value) for name, value in _named(options.tempo_threshold).items()}
    report = release(Plan(runs, options.recordings, options.output, options.cache, thresholds))
    report["recipes"] = {
        name: json.loads((run / RUN_FILE).read_text(encoding="utf-8"))
        for name, run in runs.items()
        if (run / RUN_FILE).is_file()
    }
    (options.output / RELEASE_FILE).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: report[name] for name in ("labels", "experimental", "chosen")}, indent=1))


def _tempo(options: argparse.Namespace) -> None:
    report = json.loads((options.output / RELEASE_FILE).read_text(encoding="utf-8"))
    for name in report["chosen"]:
        found = fit_tempo_threshold(load(options.output / name).network)
        _write(options.output / name / CONFIG_FILE, tempo_threshold=found)
        print(f"{name}: tempo_threshold {found:g}")


def _cards(options: argparse.Namespace) -> None:
    report = json.loads((options.output / RELEASE_FILE).read_text(encoding="utf-8"))
    measures = [one for path in options.measured for one in _read(path)]
    explained = {name: json.loads(Path(path).read_text()) for name, path in _named(options.explained).items()}
    for name, found in explained.items():
        measures += explained_measures(name, found, options.explained_split)
    if options.tempo:
        measures += tempo_measures(options.tempo.read_text(encoding="utf-8"), list(report["chosen"]))
    data = DATA.read_text(encoding="utf-8").format(counts=counted_data(options.recordings))
    for name in report["chosen"]:
        seed = report["recipes"].get(name, {}).get("seed", 0)
        own = sorted((one for one in measures if one.subject == name and one.value is not None), key=_rank)
        others = [_read(Path(path)) for who, _, path in (pair.partition("=") for pair in options.seeds) if who == name]
        rows = [_metric(one, seed, options.date) | over_seeds(one, others) for one in own]
        _write(options.output / name / CONFIG_FILE, metrics=rows)
        model = load(options.output / name)
        siblings = [other for other in report["chosen"] if other != name]
        left_out = ", ".join(report["experimental"])
        settings = ", ".join(f"{key} {value}" for key, value in model.network.config.features.to_dict().items())
        features = wrapped(f"{settings}.")
        why = options.front_end.read_text(encoding="utf-8")
        sections = {"Features, and why these": f"{features}\n\n{why}"}
        if name in explained:
            sections["How far its explanations may be trusted"] = explained_text(explained[name])
        facts = CardFacts(
            title=name,
            parameters=model.network.n_parameters,
            data=f"{data.strip()}\n\n{_made(name, report, model)}",
            measures=_beside(measures, name, siblings),
            notes=[
                *options.notes.read_text(encoding="utf-8").strip().split("\n\n"),
                *seeds_in_words(own, others),
                *([f"{LEFT_OUT}: {left_out}."] if left_out else []),
            ],
            licence="mit",
            sections=sections,
            weak=WEAK,
        )
        write_card(options.output / name, model.network.config, facts)


def _read(path: Path) -> list[Measure]:
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [Measure(**{**row, "interval_95": row["interval_95"] and tuple(row["interval_95"])}) for row in rows]


def _rank(one: Measure) -> tuple[bool, bool]:
    """What was tested before what was chosen on; what people know and post first: the first of a measure is shown."""
    return not one.split.endswith(", test"), not one.split.startswith("popular and public")


def _beside(measures: list[Measure], name: str, siblings: list[str]) -> list[Measure]:
    """This model's measures and those of its peers; of its siblings only what is said of pairs."""
    others = tuple(f"({sibling})" for sibling in siblings)
    return [
        one
        for one in measures
        if one.subject not in siblings
        and not one.subject.endswith(others)
        and (one.measure != PER_LABEL or one.subject == name)
    ]


def _metric(one: Measure, seed: int, date: str) -> dict[str, Any]:
    row = {"measure": one.measure, "value": one.value, "n": max(one.n, 1), "split": one.split}
    if one.interval_95:
        row["interval_95"] = list(one.interval_95)
    return {**row, "seed": seed, "date": date}


def _write(path: Path, **settings: Any) -> None:
    """Change settings of a config.json; the weights stay as they are."""
    config = json.loads(path.read_text(encoding="utf-8")) | settings
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _made(name: str, report: dict[str, Any], model: LoadedModel) -> str:
    chosen = report["chosen"][name]
    if name == CONSENSUS:
        members = ", ".join(f"{member} {weight:g}" for member, weight in chosen["weights"].items())
        return f"The consensus is the weighted mean of its members' genre logits ({members}), calibrated on `dev`."
    recipe = report["recipes"].get(name)
    trained = ""
    if recipe:
        steps = recipe["epochs"] * recipe["epoch_steps"]
        trained = f"Seed {recipe['seed']}; {steps:,} steps of {recipe['batch_size']} windows. "
    return wrapped(
        f"{trained}The genre head is {1 - chosen['blend']:.0%} what people's labels taught and {chosen['blend']:.0%} "
        "what the teachers taught, which named best on `dev`, crossed over artists."
    )


if __name__ == "__main__":
    main()
