"""The Models tab: each model's card, its speed on this machine, and weights fetched from the Hub."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr

from fluxbeat.charts.wording import model_title
from fluxbeat.errors import FluxBeatError
from fluxbeat.models.registry import LoadedModel, hub_choice
from fluxbeat.models.speed import milliseconds_per_window
from fluxbeat.web.analysis_queue import AnalysisQueue
from fluxbeat.web.hub_fetching import Fetching
from fluxbeat.web.security import HUB_REFUSAL, may_fetch_weights, may_use_login
from fluxbeat.web.ui.jobs import session_of
from fluxbeat.web.ui.model_facts import model_facts
from fluxbeat.web.ui.offered_models import OfferedModels
from fluxbeat.web.ui.panel import AT_ONCE, HIDDEN, panel, panel_answer

LOOK_EVERY_S = 0.25
_facts = functools.lru_cache(maxsize=64)(model_facts)  # of which the card takes half a second


@dataclass(frozen=True)
class ModelsState:
    """What one open page knows of models beyond those the server offers to all.

    Attributes
    ----------
    fetched : tuple of str
        Names of models fetched or taught on this page.
    speeds : dict
        What was measured, by name.
    """

    fetched: tuple[str, ...] = ()
    speeds: dict[str, str] = field(default_factory=dict)


class ModelsTab:
    """The tab, and what it does; a page's own models are kept for `kept_s` after it is closed."""

    def __init__(self, offered: OfferedModels, queue: AnalysisQueue, allow_hub: bool | None, kept_s: int) -> None:
        self._offered, self._queue, self._allow_hub = offered, queue, allow_hub
        self.cards = panel("models", events=["asked"])
        self._hub = panel("hub", events=["wanted", "stopped"])
        self._fetches: dict[str, Fetching] = {}
        self.state = gr.State(ModelsState(), time_to_live=kept_s)

    def names(self, state: ModelsState | None) -> list[str]:
        """Models that a page offers: the server's, then its own."""
        return [*self._offered.own, *(state.fetched if state else ())]

    def connect(self, page: gr.Blocks, model: gr.Radio, compared: gr.CheckboxGroup) -> None:
        """Wire the tab."""
        # the panels take one question at a time; one put just before the last is over Gradio would drop silently
        each: dict[str, Any] = {**HIDDEN, "concurrency_limit": 1}
        page.load(self.greet, self.state, [self._hub, self.cards], **HIDDEN)
        self.cards.asked(self.measure, self.state, [self.cards, self.state], **each)
        self._hub.stopped(self.stop, None, None, **AT_ONCE)
        outputs = [self._hub, self.cards, self.state, model, compared]
        self._hub.wanted(self.fetch, [self.state, compared], outputs, **each)

    def greet(self, state: ModelsState, request: gr.Request) -> tuple[str, str]:
        """The tab as it is when the page is opened."""
        return self._hub_view(request), self._cards_view(state)

    def measure(self, state: ModelsState) -> Iterator[tuple[Any, Any]]:
        """Measure the speed of every model, each when it is its turn, and show each result as it comes."""
        for name in self.names(state):
            with self._queue.turn_of_thread(threading.Event()) as go_on:
                speed = _speed(self._offered.models[name], go_on)
            state = replace(state, speeds={**state.speeds, name: speed})
            yield self._cards_view(state, measuring=True), state
        yield self._cards_view(state), state

    def fetch(
        self, state: ModelsState, compared: list[str], event: gr.EventData, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        """Fetch what was asked for and offer it in the other tabs; what fails leaves everything as it was."""
        nothing = (gr.skip(),) * 4
        if not self._may_fetch(request):
            yield self._hub_view(request), *nothing
            return
        session = session_of(request)
        fetching = self._fetches[session] = Fetching(str(event.address).strip())
        try:
            with closing(fetching.steps(LOOK_EVERY_S)) as steps:
                for _ in steps:
                    busy = {"share": fetching.share, "words": fetching.words, "size": fetching.size}
                    yield self._hub_view(request, busy=busy), *nothing
            self._offered.add(found := fetching.found)
        except FluxBeatError as error:
            yield self._hub_view(request, error=f"{error}."), *nothing
            return
        finally:
            self._fetches.pop(session, None)
        names = [model.info.name for model in found]
        done = {"names": names, "sources": [model.info.source for model in found]}
        yield self._hub_view(request, done=done), *self.offering(state, compared, names)

    def stop(self, request: gr.Request) -> None:
        """Whoever asked for weights does not want them any more; what came of them stays in the cache."""
        fetching = self._fetches.get(session_of(request))
        if fetching:
            fetching.stop()

    def offering(
        self, state: ModelsState, compared: list[str], names: Sequence[str], gone: Sequence[str] = ()
    ) -> tuple[Any, ...]:
        """A page's models once some came and some are gone: values for the cards, the state, the choice and Compare."""
        kept = [name for name in (*state.fetched, *names) if name not in gone]
        state = replace(state, fetched=tuple(dict.fromkeys(kept)))
        offered = self.names(state)
        choices = [(model_title(name), name) for name in offered]
        return (
            self._cards_view(state),
            state,
            gr.Radio(choices=choices, value=names[0]),
            gr.CheckboxGroup(choices=choices, value=[name for name in offered if name in compared or name in names]),
        )

    def may_push(self, request: gr.Request) -> bool:
        """Whether who asks may publish under the login of this machine."""
        return may_use_login(self._allow_hub, *_who(request))

    def _may_fetch(self, request: gr.Request) -> bool:
        return may_fetch_weights(self._allow_hub, *_who(request))

    def _hub_view(self, request: gr.Request, **now: Any) -> str:
        allowed, choice = self._may_fetch(request), hub_choice()
        chosen = {"repo": choice.wanted, "failures": list(choice.failures.values())} if choice.wanted else None
        return panel_answer({"allowed": allowed, "why": "" if allowed else HUB_REFUSAL, "chosen": chosen, **now})

    def _cards_view(self, state: ModelsState, measuring: bool = False) -> str:
        models = [self._offered.models[name] for name in self.names(state)]
        cards = [{**_facts(model), "speed": state.speeds.get(model.info.name)} for model in models]
        return panel_answer({"cards": cards, "measuring": measuring})


def _who(request: gr.Request) -> tuple[Mapping[str, str], str]:
    """Headers of a request, and the address that it came from."""
    return request.headers, request.client.host if request.client else ""


def _speed(model: LoadedModel, before_each: Callable[[], None]) -> str:
    milliseconds = milliseconds_per_window(model.network, before_each)
    window_s = model.network.config.window_s
    times = 1000 * window_s / milliseconds
    return f"{milliseconds:.1f} ms for {window_s:g} s of music: {times:,.0f} times as fast as it plays"
