"""The free-music corpus: freely licensed music from Debian packages and rendered accompaniments, as training items."""

from fluxbeat.training.corpus.read import read_corpus

__all__ = ["read_corpus"]
