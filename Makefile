# `make demo` and `make test` need Python 3.10 or later and pip, nothing else: the rest goes into .venv; but for the
# browser that looks at the report, which comes from apt-get.

PYTHON ?= python3
BIN := .venv/bin
DEMO := build/demo

.PHONY: demo test lint man schemas bench bench-quick clean

demo: .venv/installed
	@mkdir -p $(DEMO)
	$(BIN)/python tests/demo/make_corpus.py $(DEMO)/corpus.jsonl --records 20000
	$(BIN)/tithe select $(DEMO)/corpus.jsonl -o $(DEMO)/subset.parquet --work-dir $(DEMO)/work --force
	$(BIN)/python tests/demo/show.py $(DEMO)/corpus.jsonl $(DEMO)/subset.parquet

test: .venv/developed .venv/browser
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: .venv/developed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# The manual page, built from the help: man build/tithe.1
man: .venv/installed
	@mkdir -p build
	$(BIN)/python -m tithe.cli.man > build/tithe.1

# The schema of manifests, after a change of options, methods or the like.
schemas: .venv/installed
	$(BIN)/python -m tithe.selection.review.manifest_schema

# TITHE_DATA names a folder with the corpora that the benchmarks read (t0.parquet and so on); without it they skip.
# To put one's tables into tests/benchmarks/README.md: .venv/bin/python -m tests.benchmarks NAME --write
bench: .venv/developed
	$(BIN)/python -m tests.benchmarks

# A glance in under five minutes.
bench-quick: .venv/developed
	$(BIN)/python -m tests.benchmarks --quick

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

# Both installs are editable, so that neither runs an old copy. A strict one links files, not folders, for the type
# checker's sake: when a file is added or removed, its folder is newer than the stamp.
FOLDERS := $(shell find cli selection embedders -type d -not -name __pycache__)

.venv/installed: pyproject.toml .venv/bin/python $(FOLDERS)
	$(BIN)/python -m pip install --quiet --editable . --config-settings editable_mode=strict
	@touch $@

# torch first, alone: pip then takes a CPU build where one is at hand, and sentence-transformers keeps it.
.venv/developed: pyproject.toml .venv/bin/python $(FOLDERS)
	$(BIN)/python -m pip install --quiet "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --editable ".[dev]" --config-settings editable_mode=strict
	@touch $@

# Without a browser its tests are skipped, or fail under CI. sudo -n: better none than a question for a password.
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo -n)

.venv/browser: .venv/bin/python
	@command -v chromium || command -v chromium-browser || command -v google-chrome || \
	{ $(SUDO) apt-get -qq update && $(SUDO) apt-get -qq install --no-install-recommends chromium fonts-dejavu-core; } || \
	echo "No Chromium, and none could be installed: the tests of the report's page will be skipped."
	@touch $@
