"""What only maintainers run, from the repository's root: `python -m tools.NAME --help`. Not part of the package."""
