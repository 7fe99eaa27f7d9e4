# The commands of the project. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help install run real test test-tools retest check conformance drift bench bench-quick bench-scale bench-changes first-paint instructions soak format docs pictures lock clean FORCE
PORT ?= 8080
CASES ?= some
LOOP ?= turns
DEPS ?= locked
CONFORMANCE ?=
PYTHON ?= python3

# What is installed: docs/develop/decisions/0019-lock.md. Only the locked versions go into .venv.
ifeq ($(DEPS),locked)
VENV := .venv
LOCKS := requirements
else ifneq ($(filter $(DEPS),latest lowest),)
VENV := .venv-$(DEPS)
LOCKS := build/requirements-$(DEPS)
else
$(error DEPS is locked, latest or lowest, not "$(DEPS)")
endif
RUN := $(VENV)/.run
DEVELOPMENT := $(VENV)/.development
UV := .venv-uv/.installed
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-deps
LOCKED := $(PIP_INSTALL) --require-hashes --requirement

# A Python asked for by name is the one that is used: a .venv of another one is made anew.
ifneq ($(filter command environment,$(firstword $(origin PYTHON))),)
IS_PYTHON := $(shell $(VENV)/bin/python -c 'import sys; print(sys.version)' 2>/dev/null)
ifneq ($(IS_PYTHON),$(shell $(PYTHON) -c 'import sys; print(sys.version)'))
$(shell rm -f $(RUN))
endif
endif

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What running needs. Runs again only when what is to be installed has changed; a new .venv then, so that nothing stays
# behind which the lock no longer names. The project itself is built with the locked setuptools, without an index.
$(RUN): $(LOCKS)/run.txt $(LOCKS)/development.txt setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "gguf-gateway needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Installing into $(VENV) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/python $(LOCKED) $(LOCKS)/run.txt
	@$(VENV)/bin/python $(PIP_INSTALL) --no-index --no-build-isolation --editable .
	@touch $@

# What tests, checks and measures, beside it.
$(DEVELOPMENT): $(RUN)
	@echo "Installing what tests and checks need, too ..."
	@$(VENV)/bin/python $(LOCKED) $(LOCKS)/development.txt
	@touch $@

$(UV): requirements/uv.txt
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python $(LOCKED) $<
	@touch $@

# Worked out anew each time: there may be a release since.
build/requirements-%/run.txt: FORCE $(UV)
	@.venv-uv/bin/python -m scripts.lock --resolution $* $(@D)

build/requirements-%/development.txt: build/requirements-%/run.txt ;

FORCE:

install: $(DEVELOPMENT) ## Create .venv with everything in it

run: $(RUN) ## Serve the sandbox: gateway and mocks on this machine (PORT=8080, TRAFFIC=1 for a team at work, REAL=1 for a real model)
	@exec $(VENV)/bin/gguf-gateway sandbox --port $(PORT) $(if $(REAL),--real) $(if $(TRAFFIC),--traffic)

real: $(RUN) ## Build a real llama-server, once, in ~/.cache/gguf-gateway (20 to 40 minutes; VERSION=11434.0.0)
	@exec $(VENV)/bin/python -m scripts.real_server $(if $(VERSION),--version $(VERSION))

test: $(DEVELOPMENT) ## Run the tests (CASES=all for every case, LOOP=both for either event loop, DEPS=latest, DEPS=lowest)
	@$(VENV)/bin/python -m pytest -n 4 --dist worksteal --cases $(CASES) --loop $(LOOP)

test-tools: $(DEVELOPMENT) ## Run the tests of the tools, and those that take long
	@$(VENV)/bin/python -m pytest -n 2 --dist worksteal -m "tools or slow" --loop $(LOOP)

retest: $(DEVELOPMENT) ## Run again, one at a time, what failed last
	@$(VENV)/bin/python -m pytest --last-failed --last-failed-no-failures none --cases all --loop both

check: $(DEVELOPMENT) ## Lint, format check, types, and which folder imports which; no test
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo

conformance: $(DEVELOPMENT) ## Run llama.cpp's own server tests against the mock (downloads 37 MB once)
	@$(VENV)/bin/python -m scripts.conformance $(CONFORMANCE)

drift: $(DEVELOPMENT) ## Compare the mock with the real llama-server, and write docs/reference/drift.md (SEED=1, VERSION=11434.0.0, CONFORMANCE=no)
	@exec $(VENV)/bin/python -m scripts.drift $(if $(VERSION),--version $(VERSION)) $(if $(SEED),--seed $(SEED)) $(if $(filter no,$(CONFORMANCE)),--no-conformance)

bench: $(DEVELOPMENT) ## Compare the gateway with nginx and a bare relay, and write docs/operate/performance.* (15 minutes)
	@$(VENV)/bin/python -m scripts.bench

bench-quick: $(DEVELOPMENT) ## The same, roughly: nothing is written (a minute and a half)
	@$(VENV)/bin/python -m scripts.bench --quick

bench-scale: $(DEVELOPMENT) ## A thousand deployments, a hundred thousand keys, and a client beside them (15 minutes)
	@$(VENV)/bin/python -m scripts.bench_scale

bench-changes: $(DEVELOPMENT) ## What a change costs a request beside it, with 10,000 and with 100,000 keys (10 minutes)
	@$(VENV)/bin/python -m scripts.scaling.bench_changes

first-paint: $(DEVELOPMENT) ## How soon Chromium paints the team's pages, the first time, again and from another of them (4 minutes)
	@$(VENV)/bin/python -m scripts.painting.first_paint

instructions: $(DEVELOPMENT) ## Count the instructions of a request and of an event, beside a bare relay's (3 minutes)
	@$(VENV)/bin/python -m scripts.instructions

soak: $(DEVELOPMENT) ## 200,000 mixed requests, good and bad, and what they leave behind (2 minutes)
	@$(VENV)/bin/python -m scripts.soak

format: $(DEVELOPMENT) ## Rewrite the code in the one format
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

docs: $(DEVELOPMENT) ## Regenerate the tables of the documents from the code
	@$(VENV)/bin/python -m tests.docs.docs_blocks

pictures: $(DEVELOPMENT) ## Take the documents' pictures of the team's pages, with Chromium (a minute and a half)
	@$(VENV)/bin/python -m scripts.pictures

lock: $(UV) ## Renew requirements/: the newest versions that setup.cfg allows, with their hashes
	@.venv-uv/bin/python -m scripts.lock

clean: ## Remove what was made here: environments, builds and caches
	rm -rf .venv .venv-latest .venv-lowest .venv-uv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find gateway mockserver scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
