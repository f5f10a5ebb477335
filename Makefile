# The verbs people type. Everything runs in the environment that `make install` was run in.
PYTHON ?= python

.PHONY: help install run check test test-all unit engine web slow format wheel screenshots

help:           ## what there is
	@grep -E '^[a-z -]+: +##' $(MAKEFILE_LIST) | sed 's/: *## */	/'

install:        ## FluxBeat and everything that tests need, editable
	$(PYTHON) -m pip install -e ".[test]"

run:            ## the web app
	$(PYTHON) app.py

check:          ## style, types and the arrows between the rooms
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	lint-imports

test:           ## the first gear, under a minute
	$(PYTHON) -m pytest

test-all:       ## all four gears, as continuous integration runs them
	$(PYTHON) -m pytest tests -n 2 --dist loadfile

unit engine web slow: ## one gear
	$(PYTHON) -m pytest tests/$@ -n 2 --dist loadfile

format:         ## mend what ruff can mend
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

wheel:          ## what `pip install fluxbeat` would install
	$(PYTHON) -m pip wheel --no-deps --wheel-dir dist .

screenshots:    ## the guide's pictures, from the running app
	$(PYTHON) tools/screenshots.py
