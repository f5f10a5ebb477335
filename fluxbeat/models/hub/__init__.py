"""The Hugging Face Hub: fetching pinned, verified checkpoints from it, and publishing one's own there."""

from fluxbeat.models.hub.address import HubAddress
from fluxbeat.models.hub.fetching import Fetched, fetch, models_in

__all__ = ["Fetched", "HubAddress", "fetch", "models_in"]
