# The commands of the project. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help install run test retest check conformance bench bench-quick soak format clean docs
PORT ?= 8080
CASES ?= some
LOOP ?= turns
CONFORMANCE ?=
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Runs again only when what is to be installed has changed.
$(STAMP): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "gguf-gateway needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Installing into $(VENV) (the first time takes about half a minute) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test,check,bench]'
	@touch $@

install: $(STAMP) ## Create .venv with everything in it

run: $(STAMP) ## Serve the sandbox: gateway and mocks on this machine (PORT=8080)
	@exec $(VENV)/bin/gguf-gateway sandbox --port $(PORT)

test: $(STAMP) ## Run the tests (CASES=all for every case, LOOP=both for either event loop)
	@$(VENV)/bin/python -m pytest -n 4 --dist worksteal --cases $(CASES) --loop $(LOOP)

retest: ## Run again, one at a time, what failed last
	@$(VENV)/bin/python -m pytest --last-failed --last-failed-no-failures none --cases all --loop both

check: $(STAMP) ## Lint, format check, types, and the import floors; no test
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo

conformance: $(STAMP) ## Run llama.cpp's own server tests against the mock (downloads 77 MB once)
	@$(VENV)/bin/python -m scripts.conformance $(CONFORMANCE)

bench: $(STAMP) ## Compare the gateway with nginx, and write docs/performance.* (11 minutes)
	@$(VENV)/bin/python -m scripts.bench

bench-quick: $(STAMP) ## The same, roughly: nothing is written (a minute and a half)
	@$(VENV)/bin/python -m scripts.bench --quick

soak: $(STAMP) ## 200,000 mixed requests, good and bad, and what they leave behind (2 minutes)
	@$(VENV)/bin/python -m scripts.soak

format: $(STAMP) ## Rewrite the code in the one format
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

docs: $(STAMP) ## Regenerate the tables of the documents from the code
	@$(VENV)/bin/python -m tests.docs.docs_blocks

clean: ## Remove .venv and caches
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
