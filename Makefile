# Bare `make` lists the targets.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
CURRENT = $(VENV)/.installed
AUDIT = .cache/audit
OPS = .cache/ops
OSV = https://api.osv.dev/v1/query
UV = $(BIN)/uv pip install --quiet --python $(BIN)/python
PYTEST = $(BIN)/python -m pytest
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header pyproject.toml

.DEFAULT_GOAL = help
.PHONY: help install run docs reference test coverage prove faults fuzz lint format lock audit bench bench-growth bench-capacity docker-test ops-test browser-test screenshots clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

install: $(CURRENT)  ## set up .venv with all extras and development tools

$(CURRENT): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "locapi needs Python 3.11 or newer: make PYTHON=...")'
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV), which takes about half a minute" >&2
	@sed -n '/^uv==/,/[^\\]$$/p' requirements-dev.txt >$(VENV)/uv.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	@$(UV) --compile-bytecode --require-hashes -r requirements-dev.txt
	@$(UV) --no-deps --no-build-isolation -e .
	@touch $@

run: install  ## replay the sample tracks on the embedded database, roll up, export, print minutes
	@$(BIN)/python simulation/demo.py

test: install  ## run all tests; MONGODB_URI=... runs them against that MongoDB instead of the embedded one
	@$(PYTEST) -n 3 --dist worksteal

coverage: install  ## run all tests and list the lines and branches that none of them reaches
	@$(PYTEST) -n 3 --dist worksteal --cov --cov-report term-missing:skip-covered

prove: install  ## run the same tests much deeper: 5,000 histories, a crash at every command (hours)
	@HYPOTHESIS_PROFILE=prove $(PYTEST) -n 2 --dist worksteal --timeout 7200

faults: install  ## kill, pause and cut off processes and fill disks under load (9 minutes); SEED=N repeats a run
	@$(BIN)/python -m tests.faults $(SEED)

fuzz: install  ## send a million bodies, and malformed HTTP to a real server; SEED=N repeats a run
	@$(BIN)/python -m tests.fuzz $(if $(SEED),--seed $(SEED))

lint: install  ## run ruff, mypy and import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config pyproject.toml
	@! grep -rnE '^ *(from|import) tests\.[a-z_.]*\btest_' tests benchmarks || \
		{ echo "import shared helpers from tests/support, not from a test module" >&2; exit 1; }

format: install  ## apply ruff's fixes and format the code
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

docs: install  ## build the documentation as a site in build/docs
	@$(BIN)/sphinx-build -W --keep-going -n -q -c docs -d .cache/docs . build/docs
	@cp build/docs/README.html build/docs/index.html
	@echo "build/docs/index.html" >&2

reference: install  ## write what is generated from the code: tables in the pages, files in ops/
	@$(BIN)/python -m ops
	@$(BIN)/python -m cogapp -r -p 'from docs import reference' --verbosity 0 docs/*.md

lock: install  ## write requirements.txt and requirements-dev.txt again from pyproject.toml
	@$(COMPILE) --output-file requirements.txt
	@$(COMPILE) --all-extras --group dev --output-file requirements-dev.txt

audit:  ## look up every locked dependency in the OSV database (needs the network)
	@test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) && $(AUDIT)/bin/pip install --quiet pip-audit; }
	@$(AUDIT)/bin/pip-audit --strict --disable-pip --require-hashes --vulnerability-service osv \
		--osv-url $(OSV) --requirement requirements-dev.txt 2>$(AUDIT)/talk; code=$$?; \
		if grep -q ConnectionError $(AUDIT)/talk; \
		then echo "nothing was audited: $(OSV) cannot be reached; a mirror is named by make audit OSV=URL" >&2; \
		else grep -v ^WARNING $(AUDIT)/talk >&2; fi; exit $$code

bench: install  ## measure, and write the table of docs/PERFORMANCE.md (8 to 13 minutes)
	@$(BIN)/python -m benchmarks

bench-growth: install  ## measure beside 10 million raw fixes (20 minutes)
	@$(BIN)/python -m benchmarks growth

bench-capacity: install  ## measure what a fix costs, and write the tables of docs/SCALING.md
	@$(BIN)/python -m benchmarks capacity

docker-test: install  ## build the containers and test them, alone and as a cluster (needs Docker)
	@$(PYTEST) --timeout 900 tests/docker tests/cluster

ops-test: install  ## check ops/, and let each alarm fire in a real Prometheus (needs prometheus)
	@test -x $(OPS)/bin/kubernetes-validate || \
		{ $(PYTHON) -m venv $(OPS) && $(OPS)/bin/pip install --quiet kubernetes-validate; }
	@PATH="$(OPS)/bin:$$PATH" $(PYTEST) --timeout 600 tests/ops

browser-test: install  ## test the map and the API's page in headless Chromium (needs chromium)
	@$(PYTEST) tests/browser

screenshots: install  ## take the pictures in docs/MAP.md again (needs chromium)
	@$(BIN)/python -m tests.browser

clean:  ## remove everything that was built
	@rm -rf $(VENV) .cache build dist *.egg-info
