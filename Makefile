# `make serve` and `make test` are all that a fresh machine needs: they make .venv and everything in it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MENTORGRAPH_DATA ?= data
export MENTORGRAPH_DATA

.PHONY: setup serve test test-long browser login-provider lint clean

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

# What takes too long for every change: 5,000 records imported under twenty kills.
test-long: setup
	MENTORGRAPH_TEST_IMPORT_ROWS=5000 $(BIN)/python -m pytest tests/crash/test_import_kill.py

# Two programs that no Python package brings: Chromium for the browser tests, strace for what processes may open. Where
# they cannot be installed those tests are skipped and say so.
browser:
	@command -v chromium >/dev/null && command -v strace >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium strace >/dev/null; } || \
	  echo "Chromium or strace is not installed and cannot be: their tests are skipped"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) .cache dist build
