"""The REST service under /api/v1: the engine for programs, over HTTP."""
