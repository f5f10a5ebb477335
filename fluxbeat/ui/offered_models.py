"""The models that a page offers: the server's own, those that visitors fetched, and a colour for every label."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from fluxbeat.charts.colours import Paint, genre_paints, more_paints
from fluxbeat.charts.wording import model_title
from fluxbeat.errors import FluxBeatError
from fluxbeat.zoo import ZooModel


class OfferedModels:
    """Models that come and go while pages use them.

    Parameters
    ----------
    own : sequence of ZooModel
        The server's; they stay.
    most_fetched : int
        How many others are kept; the one fetched first goes first.

    Attributes
    ----------
    models : mapping of str to ZooModel
        By name. Neither mapping is ever changed, only replaced: whoever goes through one sees one moment.
    paints : mapping of str to Paint
        For every label of a model that is or was here.
    own : tuple of str
        Names of the server's models.
    """

    def __init__(self, own: Sequence[ZooModel], most_fetched: int) -> None:
        self.own = tuple(model.info.name for model in own)
        self.models: Mapping[str, ZooModel] = {model.info.name: model for model in own}
        self.paints: Mapping[str, Paint] = genre_paints(label for model in own for label in model.network.config.labels)
        self._most_fetched = most_fetched
        self._changing = threading.Lock()

    def __getitem__(self, name: str) -> ZooModel:
        """The model of this name.

        Raises
        ------
        FluxBeatError
            If it is not here, or not any more.
        """
        model = self.models.get(name)
        if model is None:
            raise FluxBeatError(not_kept(name))
        return model

    def add(self, found: Sequence[ZooModel]) -> list[ZooModel]:
        """Offer these too, whatever their number; returns those that had to go."""
        new = {model.info.name: model for model in found}
        labels = [label for model in found for label in model.network.config.labels]
        with self._changing:
            self.paints = {**self.paints, **more_paints(self.paints, labels)}
            earlier = [name for name in self.models if name not in self.own and name not in new]
            gone = set(earlier[: max(0, len(earlier) + len(new) - self._most_fetched)])
            before = self.models
            self.models = {name: model for name, model in before.items() if name not in gone and name not in new} | new
        return [before[name] for name in earlier if name in gone]


def not_kept(name: str) -> str:
    """What to tell those who ask for a model that had to go."""
    return f"{model_title(name)} is not kept any more: fetch it again in the Models tab."
