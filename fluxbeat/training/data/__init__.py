"""Recordings, their features and what teachers say of them, in memory-mapped files."""
