"""Models of the Hub that are fetched while the service runs: one fetch, how far it is, and its end."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from fluxbeat.errors import AnalysisCancelled, FluxBeatError
from fluxbeat.models.hub import HubAddress, fetch, models_in
from fluxbeat.models.hub.address import SCHEME
from fluxbeat.models.registry import LoadedModel, load

MOST_FETCHED = 32
"""Models of visitors that are kept in memory beside the server's, by the page and by REST."""


class NotFetchedError(FluxBeatError):
    """What was asked for could not be had from the Hub, or cannot be offered."""


class Fetching:
    """One fetch from the Hub, whose share, words and size another thread reads.

    Attributes
    ----------
    share : float
        0..1, of what is to be fetched.
    words : str
        What is being done.
    size : str
        What a classifier costs to fetch and in memory, in a sentence; empty until it is known, and of FluxBeat's own
        checkpoints, which are small.
    found : list of LoadedModel
        Empty until all is done.
    """

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self._stopped = threading.Event()
        self.share, self.words, self.size = 0.0, "Asking the Hub", ""
        self.found: list[LoadedModel] = []

    def stop(self) -> None:
        """Whoever asked has gone or changed their mind, or the fetch is over."""
        self._stopped.set()

    def steps(self, every_s: float) -> Generator[None]:
        """Fetch and load in a thread of its own; a step every so many seconds until that is done.

        Whoever closes this ends the fetch; what came of it stays in the cache.

        Raises
        ------
        FluxBeatError
            If it cannot be had.
        AnalysisCancelled
            If it was stopped.
        """
        with ThreadPoolExecutor(1) as pool:
            doing = pool.submit(self._run)
            try:
                while not doing.done():
                    yield
                    wait([doing], every_s)
            finally:
                self.stop()
            self.found = doing.result()

    def _run(self) -> list[LoadedModel]:
        found = models_in(HubAddress.parse(self._wanted))
        models = list[LoadedModel]()
        for number, address in enumerate(found):

            def report(share: float, file: str, number: int = number, address: HubAddress = address) -> None:
                self._go_on()
                self.share = (number + share) / len(found)
                self.words = f"Fetching {file} of {address.short_name}"

            fetch(address, report, self._tell_size)
            self.words = f"Checking {address.short_name}"
            models.append(load(str(address)))
            self._go_on()
        return models

    def _tell_size(self, size: str) -> None:
        self.size = size
        self._go_on()

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise AnalysisCancelled("Stopped: nothing was changed")


def with_fetched(
    models: Mapping[str, LoadedModel], found: Sequence[LoadedModel], own: int
) -> Mapping[str, LoadedModel]:
    """Models by name, with those that were fetched; `own` is how many of them are the server's.

    Raises
    ------
    FluxBeatError
        If there are too many already, or a name is another model's: repositories of two owners may have one name, and
        nobody's model takes the place of another's.
    """
    for model in found:
        known = models.get(model.info.name)
        if known and known.info.source != model.info.source and SCHEME in known.info.source + model.info.source:
            raise FluxBeatError(f"{model.info.name} is here already, from {known.info.source}")
    models_now = {**models, **{model.info.name: model for model in found}}
    if len(models_now) > own + MOST_FETCHED:
        raise FluxBeatError(f"this server keeps no more than {MOST_FETCHED} fetched models: start it anew")
    return models_now
