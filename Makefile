# Bare `make` lists the targets.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
CURRENT = $(VENV)/.installed
AUDIT = .cache/audit
OSV = https://api.osv.dev/v1/query
UV = $(BIN)/uv pip install --quiet --python $(BIN)/python
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header pyproject.toml

.DEFAULT_GOAL = help
.PHONY: help install run docs test prove faults fuzz lint format lock audit bench bench-growth bench-capacity docker-test browser-test screenshots clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

install: $(CURRENT)  ## set up .venv with all extras; nothing to do when it is current

$(CURRENT): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "locapi needs Python 3.11 or newer: make PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV)" >&2
	@sed -n '/^uv==/,/[^\\]$$/p' requirements-dev.txt >$(VENV)/uv.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	@$(UV) --compile-bytecode --require-hashes -r requirements-dev.txt
	@$(UV) --no-deps --no-build-isolation -e .
	@touch $@

run: install  ## start on the embedded database, replay the sample tracks, roll up, export, show
	@$(BIN)/python simulation/demo.py

test: install  ## run all tests, three at a time
	@$(BIN)/python -m pytest -n 3 --dist worksteal

prove: install  ## the same tests, each as deep as it goes: 5,000 histories, a break at every command
	@HYPOTHESIS_PROFILE=prove $(BIN)/python -m pytest -n 2 --dist worksteal

faults: install  ## kill, pause, cut off and fill disks under load, some 9 minutes; SEED=N repeats one
	@$(BIN)/python -m tests.faults $(SEED)

fuzz: install  ## throw a million bodies, and bytes at a real server; SEED=... repeats a run
	@$(BIN)/python -m tests.fuzz $(if $(SEED),--seed $(SEED))

lint: install  ## ruff, ruff format, mypy, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config pyproject.toml

format: install  ## put the code into its form
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

docs: install  ## build these pages as a site, in build/docs
	@$(BIN)/sphinx-build -W --keep-going -n -q -c docs -d .cache/docs . build/docs
	@cp build/docs/README.html build/docs/index.html
	@echo "build/docs/index.html" >&2

lock: install  ## write the locks anew from pyproject.toml
	@$(COMPILE) --output-file requirements.txt
	@$(COMPILE) --all-extras --output-file requirements-dev.txt

audit:  ## look up every locked dependency in the advisories at OSV (needs the network)
	@test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) && $(AUDIT)/bin/pip install --quiet pip-audit; }
	@$(AUDIT)/bin/pip-audit --strict --disable-pip --require-hashes --vulnerability-service osv \
		--osv-url $(OSV) --requirement requirements-dev.txt 2>$(AUDIT)/talk; code=$$?; \
		if grep -q ConnectionError $(AUDIT)/talk; \
		then echo "nothing was audited: $(OSV) cannot be reached; a mirror is named by make audit OSV=URL" >&2; \
		else grep -v ^WARNING $(AUDIT)/talk >&2; fi; exit $$code

bench: install  ## measure; prints a table
	@$(BIN)/python -m benchmarks

bench-growth: install  ## measure beside 10 million raw fixes; takes some 20 minutes
	@$(BIN)/python -m benchmarks growth

bench-capacity: install  ## measure what a fix takes, and write docs/SCALING.md's tables
	@$(BIN)/python -m benchmarks capacity

docker-test: install  ## build and run the containers, send fixes, see their minutes (needs Docker)
	@$(BIN)/python -m pytest tests/docker tests/cluster

browser-test: install  ## open maps in a headless Chromium (needs the command chromium)
	@$(BIN)/python -m pytest tests/browser

screenshots: install  ## take the pictures of the map anew that the docs show (needs chromium)
	@$(BIN)/python -m tests.browser

clean:  ## remove what was built
	@rm -rf $(VENV) .cache build dist *.egg-info
