"""The web app and the REST service under one address: server, live session, `api` (REST) and `ui` (the page)."""
