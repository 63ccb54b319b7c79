# Everything a contributor runs. A fresh machine needs Python 3.11, git and make; `make demo` is the proof.

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
BENCH_ARGS ?=

bin := $(VENV)/bin
fuzzes := tests/unit/test_settings.py::TestFuzz tests/integration/test_cli_fuzz.py tests/integration/test_queue_fuzz.py \
	tests/integration/dashboard/test_api_fuzz.py tests/integration/dashboard/test_page_fuzz.py
manifests := pyproject.toml $(wildcard plugins/*/pyproject.toml)
packages := $(patsubst %/pyproject.toml,-e %,$(wildcard plugins/*/pyproject.toml))

.DEFAULT_GOAL := help
.PHONY: help venv demo frontend messages test check lint types fmt faults fuzz mutants screenshots bench bench-full clean

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

venv: $(VENV)/.dev ## Make the virtual environment with all that development needs

demo: $(VENV)/.user ## Install, dispatch a job, run it with a real worker, look at its row
	@scripts/demo $(bin)/jobman

frontend: ## Fetch what the dashboard's pages take from npm (live pages and charts need it)
	cd jobman_cli/dashboard/frontend && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && npm run --silent build

test: $(VENV)/.dev ## Run the tests against real servers of their own
	@scripts/test-deps
	$(bin)/python -m pytest $(PYTEST_ARGS)

check: lint types test ## Run all that a change must pass: lint, types, tests

lint: $(VENV)/.dev ## Check style and format
	$(bin)/ruff check .
	$(bin)/ruff format --check .

types: $(VENV)/.dev ## Check the types strictly
	$(bin)/mypy --strict -p jobman_cli

fmt: $(VENV)/.dev ## Put the code into its format
	$(bin)/ruff check --fix .
	$(bin)/ruff format .

faults: $(VENV)/.dev ## Run the long fault profile (JOBMAN_FAULT_SEEDS=5, JOBMAN_FAULT_SEED=n, JOBMAN_FAULT_SOAK=seconds)
	@scripts/test-deps
	JOBMAN_FAULT_PROFILE=long $(bin)/python -m pytest tests/faults --timeout 3600 $(PYTEST_ARGS)

fuzz: $(VENV)/.dev ## Try 10,000 inputs of each kind: config, attribs, CLI, HTTP, queue (FUZZ_INPUTS=n for another number)
	@scripts/test-deps
	FUZZ_INPUTS=$${FUZZ_INPUTS:-10000} $(bin)/python -m pytest $(fuzzes) $(PYTEST_ARGS)

mutants: $(VENV)/.dev ## Break the product on purpose and see that the tests notice
	$(bin)/python scripts/mutants

messages: $(VENV)/.dev ## Bring the dashboard's translations in step with its texts
	$(bin)/python scripts/messages

screenshots: $(VENV)/.dev frontend ## Take the dashboard's pictures for the documents anew (needs Chromium)
	$(bin)/python scripts/screenshots

bench: $(VENV)/.dev ## Measure Jobman beside other queues, in 10 minutes (BENCH_ARGS="--systems …")
	@scripts/test-deps
	$(bin)/python -m benchmarks $(BENCH_ARGS)

bench-full: $(VENV)/.dev ## The same for figures to quote, with a million rows; for a quiet machine
	@scripts/test-deps
	$(bin)/python -m benchmarks --profile full $(BENCH_ARGS)

clean: ## Remove what was made here
	rm -rf $(VENV) .bench-venv .demo build dist jobman_cli/dashboard/frontend/node_modules jobman_cli/dashboard/static/vendor .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find $(wildcard jobman_cli plugins tests benchmarks) -name __pycache__ -prune -exec rm -rf {} +

# What is installed is stamped, so that a second run is quick and a changed pyproject.toml is installed anew.

$(bin)/python:
	@scripts/make-venv $(PYTHON) $(VENV)

$(VENV)/.user: $(manifests) | $(bin)/python
	$(bin)/python -m pip install --quiet --disable-pip-version-check -e . $(packages)
	@touch $@

$(VENV)/.dev: $(manifests) | $(bin)/python
	$(bin)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' $(packages)
	@touch $@ $(VENV)/.user
