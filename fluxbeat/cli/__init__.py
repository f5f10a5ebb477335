"""`fluxbeat COMMAND`: `options` says what each takes, `main` runs it, and a file per group of commands does the work."""
