"""Fixtures of this gear."""

from hub_fixtures import choose, hub

__all__ = ["choose", "hub"]
