"""Freely licensed music from Debian packages and rendered accompaniments, as a folder of excerpts with a table."""
