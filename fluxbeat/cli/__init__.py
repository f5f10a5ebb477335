"""`fluxbeat COMMAND`: `options` says what each takes, `main` runs it, a file per group of commands does it."""
