"""The routes of the service: one file per subject, each with a `router` that `fluxbeat.web.api.program` lists."""
