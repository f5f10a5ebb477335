"""The Models tab: each model's card, its speed and files on this machine, and weights fetched from the Hub."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr

from fluxbeat.benchmark import milliseconds_per_window
from fluxbeat.charts.wording import model_title
from fluxbeat.errors import AnalysisCancelled, FluxBeatError
from fluxbeat.hub import HubAddress, fetch, models_in
from fluxbeat.ui.hub_permission import REFUSAL, may_fetch
from fluxbeat.ui.model_facts import model_facts
from fluxbeat.ui.offered_models import OfferedModels
from fluxbeat.ui.panel import panel, panel_answer
from fluxbeat.zoo import ZooModel, forget, hub_choice, load, verify

LOOK_EVERY_S = 0.25
FETCHES_AT_ONCE = 2


@dataclass(frozen=True)
class Shelf:
    """What one open page knows of models beyond those the server offers to all.

    Attributes
    ----------
    fetched : tuple of str
        Names of models fetched on this page.
    speeds, checks : dict
        What was measured and checked, by name.
    """

    fetched: tuple[str, ...] = ()
    speeds: dict[str, str] = field(default_factory=dict)
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ModelsPieces:
    """The components of the tab."""

    hub: gr.HTML
    cards: gr.HTML
    shelf: gr.State


def models_pieces(kept_s: int) -> ModelsPieces:
    """The content of the tab; a page's own models are kept for `kept_s` seconds after it is closed."""
    cards = panel("models", events=["asked"])
    hub = panel("hub", events=["wanted"])
    return ModelsPieces(hub, cards, gr.State(Shelf(), time_to_live=kept_s))


class ModelsTab:
    """What the tab does.

    Parameters
    ----------
    offered : OfferedModels
        Fetched models are added to it.
    """

    def __init__(self, offered: OfferedModels) -> None:
        self._offered = offered
        self._known_facts: WeakKeyDictionary[ZooModel, dict[str, Any]] = WeakKeyDictionary()

    def names(self, shelf: Shelf | None) -> list[str]:
        """Models that a page offers: the server's, then its own."""
        fetched, there = shelf.fetched if shelf else (), self._offered.models
        return [*self._offered.own, *(name for name in fetched if name in there)]

    def connect(self, page: gr.Blocks, at: ModelsPieces, model: gr.Radio, switches: gr.CheckboxGroup) -> Any:
        """Wire the tab; returns the event that brings fetched models."""
        hidden: dict[str, Any] = {
            "api_visibility": "private",
            "show_progress": "hidden",
            # the panels take one question at a time; one put just before the last is over Gradio would drop silently
            "trigger_mode": "multiple",
        }
        page.load(self.greet, at.shelf, [at.hub, at.cards], **hidden)
        at.cards.asked(
            self.answer, at.shelf, [at.cards, at.shelf], concurrency_id="models", concurrency_limit=1, **hidden
        )
        return at.hub.wanted(
            self.fetch,
            [at.shelf, switches],
            [at.hub, at.cards, at.shelf, model, switches],
            concurrency_id="hub",
            concurrency_limit=FETCHES_AT_ONCE,
            **hidden,
        )

    def greet(self, shelf: Shelf, request: gr.Request) -> tuple[str, str]:
        """The tab as it is when the page is opened."""
        return self._hub_view(request), self._cards_view(shelf)

    def answer(self, shelf: Shelf, event: gr.EventData) -> Iterator[tuple[Any, Any]]:
        """Measure the speed of every model, or check its files, and show each result as it comes."""
        wanted = str(event.what)
        for name in self.names(shelf):
            model = self._offered.models.get(name)
            if model is None:
                continue
            if wanted == "speed":
                shelf = replace(shelf, speeds={**shelf.speeds, name: _speed(model)})
            else:
                shelf = replace(shelf, checks={**shelf.checks, name: _check(model)})
            yield self._cards_view(shelf, doing=wanted), shelf
        yield self._cards_view(shelf), shelf

    def fetch(
        self, shelf: Shelf, compared: list[str], event: gr.EventData, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        """Fetch what was asked for and offer it in the other tabs; what fails leaves everything as it was."""
        nothing = (gr.skip(),) * 4
        if not may_fetch(request):
            yield self._hub_view(request), *nothing
            return
        fetching = _Fetching(str(event.address).strip())
        try:
            with ThreadPoolExecutor(1) as pool:
                doing = pool.submit(fetching.run)
                try:
                    while not doing.done():
                        busy = {"share": fetching.share, "words": fetching.words}
                        yield self._hub_view(request, busy=busy), *nothing
                        wait([doing], LOOK_EVERY_S)
                finally:
                    fetching.stop()
                found = doing.result()
        except FluxBeatError as error:
            yield self._hub_view(request, error=f"{error}."), *nothing
            return
        yield self._offer(found, shelf, compared, request)

    def _offer(self, found: list[ZooModel], shelf: Shelf, compared: list[str], request: gr.Request) -> tuple[Any, ...]:
        names = [model.info.name for model in found]
        for model in self._offered.add(found):
            forget(model)
        shelf = replace(shelf, fetched=tuple(dict.fromkeys([*shelf.fetched, *names])))
        offered = self.names(shelf)
        choices = [(model_title(name), name) for name in offered]
        shown = [name for name in offered if name in compared or name in names]
        done = {"names": names, "sources": [model.info.source for model in found]}
        return (
            self._hub_view(request, done=done),
            self._cards_view(shelf),
            shelf,
            gr.Radio(choices=choices, value=names[0]),
            gr.CheckboxGroup(choices=choices, value=shown),
        )

    def _hub_view(self, request: gr.Request, **now: Any) -> str:
        allowed, choice = may_fetch(request), hub_choice()
        chosen = {"repo": choice.wanted, "failures": list(choice.failures.values())} if choice.wanted else None
        return panel_answer({"allowed": allowed, "why": "" if allowed else REFUSAL, "chosen": chosen, **now})

    def _cards_view(self, shelf: Shelf, doing: str = "") -> str:
        there = self._offered.models
        cards = [
            {**self._facts(there[name]), "speed": shelf.speeds.get(name), "check": shelf.checks.get(name)}
            for name in self.names(shelf)
            if name in there
        ]
        return panel_answer({"cards": cards, "doing": doing})

    def _facts(self, model: ZooModel) -> dict[str, Any]:
        """What does not change while the model is here; its card is read once."""
        if model not in self._known_facts:
            self._known_facts[model] = model_facts(model)
        return self._known_facts[model]


class _Fetching:
    """One fetch from the Hub, whose share and words another thread reads."""

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self._stopped = threading.Event()
        self.share, self.words = 0.0, "Asking the Hub"

    def stop(self) -> None:
        """The page was closed, or the fetch is over."""
        self._stopped.set()

    def run(self) -> list[ZooModel]:
        found = models_in(HubAddress.parse(self._wanted))
        models = []
        for number, address in enumerate(found):

            def report(share: float, file: str, number: int = number, address: HubAddress = address) -> None:
                if self._stopped.is_set():
                    raise AnalysisCancelled("the page was closed")
                self.share = (number + share) / len(found)
                self.words = f"Fetching {file} of {address.short_name}"

            fetch(address, report)
            self.words = f"Checking {address.short_name}"
            models.append(load(str(address)))
        return models


def _speed(model: ZooModel) -> str:
    milliseconds = milliseconds_per_window(model.network)
    window_s = model.network.config.window_s
    times = 1000 * window_s / milliseconds
    return f"{milliseconds:.1f} ms for {window_s:g} s of music: {times:,.0f} times as fast as it plays"


def _check(model: ZooModel) -> dict[str, Any]:
    try:
        found = verify(model)
    except FluxBeatError as error:
        return {"sound": False, "words": f"{error}."}
    listed = ", and those that the Hub listed" if model.info.source.startswith("hf://") else ""
    return {"sound": True, "words": f"The files are whole, and those that were loaded{listed}. SHA-256 {found}"}
