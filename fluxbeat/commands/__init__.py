"""What `fluxbeat COMMAND` does, one file per group of commands; each registers its own with `add`."""
