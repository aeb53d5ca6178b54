# Every target sets itself up in .venv on first use; nothing else needs typing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROCESSES := -n auto --dist loadscope # conftest.py says which tests stay together

.DEFAULT_GOAL := help
.PHONY: help install app dashboard test test-slow test-js test-all bench generalise lint figures docs release-check clean

help: ## what there is to type
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

$(VENV)/.ready: requirements.txt pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed ($(PYTHON) is not). Install it, or name one: make PYTHON=/usr/bin/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "Python's venv module is missing. On Debian or Ubuntu: sudo apt install python3-venv"; exit 1; }
	@echo "Setting up $(VENV) (downloads about 3 GB with torch, 6 GB on disk, a few minutes, once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --editable '.[train]'
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	@echo "Installing the test tools"
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

install: $(VENV)/.ready ## set up .venv with everything the app and the command line need

app: $(VENV)/.ready ## open the app on http://127.0.0.1:7860
	@$(BIN)/python app.py

dashboard: $(VENV)/.ready ## the evaluation dashboard on http://127.0.0.1:8501
	@$(BIN)/python -m dashboard

test: $(VENV)/.ready-dev ## the tests that take minutes; real films where CXR_DATA_DIR names a folder with them
	@$(BIN)/python -m pytest $(PROCESSES) -m "not slow" $(PYTEST)

test-slow: $(VENV)/.ready-dev ## the slow tests alone
	@$(BIN)/python -m pytest $(PROCESSES) -m slow

test-all: ## every test, the linters and the documentation
	@$(MAKE) --no-print-directory test test-slow lint docs

test-js: ## the page's ES modules: their tests and their linter (needs Node 20 or newer)
	@npm install --no-package-lock --no-audit --no-fund --silent && npm run --silent lint && npm test --silent

bench: $(VENV)/.ready-dev ## measurements, side by side
	@$(BIN)/cxr bench

generalise: $(VENV)/.ready-dev ## every embedded model on every film set in CXR_DATA_DIR, into docs/generalisation.md
	@$(BIN)/python -m benchmarks.generalise $(GENERALISE)

lint: $(VENV)/.ready-dev ## style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

figures: $(VENV)/.ready-dev ## README's table and the embedded models' cards, from their scores; docs/api.md and stages.svg
	@$(BIN)/python -m benchmarks.embedded
	@$(BIN)/python -m docs.api_page
	@$(BIN)/python -m docs.stages

docs: $(VENV)/.ready-dev ## the documentation site, into build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet && echo "The site is in build/site; open build/site/index.html"

release-check: $(VENV)/.ready-dev ## what docs/release.md asks of a release; makes dist/
	@$(BIN)/python .ci/release_check.py
	@$(MAKE) --no-print-directory lint docs

clean: ## remove .venv and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist *.egg-info
