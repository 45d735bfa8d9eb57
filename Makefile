PYTHON ?= python3
CORES ?= all
# One file, or several files of which later files override earlier files: CONFIG="a.yaml b.yaml".
CONFIG ?= config/config.yaml
# What make init writes.
OUTPUT ?= config/mine.yaml
BIN := .venv/bin
# The command line of the library, and the screen of a run: progress by work, results and errors.
WHATWHERE := PYTHONPATH=workflow_scripts $(BIN)/python -m whatwhere
SNAKEMAKE := PYTHONPATH=workflow_scripts $(BIN)/snakemake --logger whatwhere --cores $(CORES) --configfile $(CONFIG)
# The tests are read faster a second time if they are compiled, too.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n 2 --dist worksteal
# Types take as long as everything else, and one core.
LINT := { $(BIN)/mypy & types=$$!; \
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && \
	$(BIN)/snakefmt --check Snakefile workflow rules && $(BIN)/snakemake --lint; \
	others=$$?; wait $$types && exit $$others; }
# A run that was killed (kill -9, power loss) leaves a lock.
UNLOCK := PYTHONPATH=workflow_scripts $(BIN)/python -m whatwhere.unlock

.DEFAULT_GOAL := run
.PHONY: run report test test-fast lint format docs docs-site init check plan bench bench-scaling clean help

run: .venv/run  ## Install, then run the quick configuration (or CONFIG=...) and print the answers
	@$(UNLOCK)
	@$(SNAKEMAKE)
	@$(WHATWHERE) answers $(CONFIG)

report: .venv/run  ## Run CONFIG and write results/<run>/report.html
	@$(UNLOCK)
	@$(SNAKEMAKE) -- all build_report
	@$(WHATWHERE) answers $(CONFIG)

test: .venv/test  ## Install, lint and run all tests
	@# Lint runs beside the tests, which often wait, and is printed after them.
	@$(LINT) > .venv/lint.log 2>&1 & lint=$$!; \
	$(PYTEST); tests=$$?; wait $$lint; style=$$?; cat .venv/lint.log; exit $$((tests + style))

test-fast: .venv/test  ## Run the tests that are not marked slow
	$(PYTEST) -m "not slow"

lint: .venv/test  ## Style, types and Snakemake's own checks
	@$(LINT)

format: .venv/test  ## Format all code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow rules

docs: .venv/run  ## Write keys into config/README.md, and numbers of committed tables into the documents
	PYTHONPATH=workflow_scripts $(BIN)/python docs/write_keys.py
	$(BIN)/python docs/write_numbers.py

docs-site: .venv/docs  ## Build the documentation site in site/, and execute its tutorials
	$(BIN)/sphinx-build -W --keep-going -q -b html docs site

init: .venv/run  ## Write config/mine.yaml (OUTPUT=...) for FILES="images.npy responses.npy", to be checked by you
	@$(WHATWHERE) init $(FILES) --output $(OUTPUT) $(if $(WINDOW),--window $(WINDOW))

check: .venv/run  ## Validate CONFIG in seconds, without running anything
	@$(WHATWHERE) check $(CONFIG)

plan: .venv/run  ## Print the fits, minutes and files of CONFIG, without running anything
	@$(WHATWHERE) plan $(CONFIG)

bench: .venv/test  ## Time against the eager PyTorch baseline; results in benchmarks/results
	OMP_NUM_THREADS=1 PYTHONPATH=workflow_scripts $(BIN)/python benchmarks/bench.py

bench-scaling: .venv/test  ## Time and memory against neurons, images and image size
	OMP_NUM_THREADS=1 PYTHONPATH=workflow_scripts $(BIN)/python benchmarks/scaling.py

clean:  ## Remove the environment and caches, never results
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

.venv/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Making an environment in .venv (5 s) ..."
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/run: .venv/created envs/install.py envs/requirements.lock envs/torch.txt
	@$(BIN)/python envs/install.py envs/requirements.lock envs/torch.txt
	@touch $@

.venv/docs: .venv/run envs/requirements-docs.lock
	@$(BIN)/python envs/install.py envs/requirements-docs.lock
	@touch $@

.venv/test: .venv/docs envs/requirements-test.lock
	@$(BIN)/python envs/install.py envs/requirements-test.lock
	@touch $@
