# `make serve` and `make test` are all that a fresh machine needs: they make .venv and everything in it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MENTORGRAPH_DATA ?= data
export MENTORGRAPH_DATA

.PHONY: setup serve test browser login-provider lint clean

setup: $(VENV)/.installed

# torch first and by version: asked for through another package, pip may fetch a build with several
# gigabytes of GPU libraries that nothing here uses.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet -e '.[dev]' torch==2.13.0
	touch $@

# A complete folder is not even asked about: starting a process for it is a fifth of the second start.
serve: setup
	@[ -e "$(MENTORGRAPH_DATA)/models/current.json" ] && [ -d "$(MENTORGRAPH_DATA)/search" ] || \
	  $(BIN)/mentorgraph init --start-data --if-missing
	@$(BIN)/mentorgraph serve

test: setup browser login-provider
	$(BIN)/python -m pytest

# The browser tests need Chromium, which no Python package brings. Where it cannot be installed they are skipped and say so.
browser:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } || \
	  echo "Chromium is not installed and cannot be: the browser tests are skipped"

# Login is tried against a real provider, a package of Node.js that the tests install into .cache themselves.
login-provider:
	@command -v npm >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nodejs npm >/dev/null; } || \
	  echo "Node.js is not installed and cannot be: login is not tried against a real provider"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) .cache dist build
