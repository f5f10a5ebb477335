"""`fluxbeat COMMAND`: `main` runs it, one file per group of commands, each registers its own with `add`."""
