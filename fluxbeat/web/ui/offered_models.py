"""The models that a page offers: the server's own, those of visitors, and a colour for every label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fluxbeat.charts.colours import Paint, genre_paints, more_paints
from fluxbeat.errors import FluxBeatError
from fluxbeat.models.registry import LoadedModel
from fluxbeat.web.hub_fetching import with_fetched


class OfferedModels:
    """Models, to which others may come while pages use them.

    Attributes
    ----------
    models : mapping of str to LoadedModel
        By name. Neither mapping is ever changed, only replaced: whoever goes through one sees one moment.
    paints : mapping of str to Paint
        For every label of a model that is here.
    own : tuple of str
        Names of the server's models.
    """

    def __init__(self, own: Sequence[LoadedModel]) -> None:
        self.own = tuple(model.info.name for model in own)
        self.models: Mapping[str, LoadedModel] = {model.info.name: model for model in own}
        self.paints: Mapping[str, Paint] = genre_paints(label for model in own for label in model.network.config.labels)

    def find(self, name: str) -> LoadedModel:
        """The model of this name.

        Raises
        ------
        FluxBeatError
            If it is not offered any more, as one that was taught anew.
        """
        model = self.models.get(name)
        if model is None:
            raise FluxBeatError(f"{name} is not offered any more: choose another model.")
        return model

    def add(self, found: Sequence[LoadedModel]) -> None:
        """Offer these too.

        Raises
        ------
        FluxBeatError
            As `with_fetched`.
        """
        models = with_fetched(self.models, found, len(self.own))
        labels = [label for model in found for label in model.network.config.labels]
        self.paints = {**self.paints, **more_paints(self.paints, labels)}
        self.models = models

    def remove(self, names: Sequence[str]) -> None:
        """Offer these no longer; the server's own stay."""
        gone = set(names) - set(self.own)
        self.models = {name: model for name, model in self.models.items() if name not in gone}
