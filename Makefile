PYTHON ?= python3
CORES ?= all
# One file, or several files of which later files override earlier files: CONFIG="a.yaml b.yaml".
CONFIG ?= config/config.yaml
# What make init writes.
OUTPUT ?= config/mine.yaml
BIN := .venv/bin
# Every job is a process and loads its libraries four seconds faster if they are compiled. The first job would not
# compile them if PYTHONDONTWRITEBYTECODE is set; pip compiles on one core only, and also the tests of libraries.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
COMPILE := $(BIN)/python -m compileall -q -j 0 -x '/(tests?|testing)/' .venv/lib
# The tests are read faster a second time if they are compiled, too.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n 2 --dist worksteal
ANSWERS := PYTHONPATH=workflow_scripts $(BIN)/python -m whatwhere.sentences

.DEFAULT_GOAL := run
.PHONY: run report test test-fast lint format docs docs-site init check plan bench bench-scaling clean help

run: .venv/run  ## Install, then run the quick configuration (or CONFIG=...) and print the answers
	$(BIN)/snakemake --cores $(CORES) --configfile $(CONFIG)
	@$(ANSWERS) $(CONFIG)

report: .venv/run  ## Run CONFIG and write results/<run>/report.html
	$(BIN)/snakemake --cores $(CORES) --configfile $(CONFIG) -- all build_report
	@$(ANSWERS) $(CONFIG)

test: .venv/test lint  ## Install, lint and run all tests
	$(PYTEST)

test-fast: .venv/test  ## Run the tests that are not marked slow
	OMP_NUM_THREADS=1 $(PYTEST) -m "not slow"

lint: .venv/test  ## Style, types and Snakemake's own checks
	@# Types take as long as everything else, and one core.
	$(BIN)/mypy & types=$$!; \
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && \
	$(BIN)/snakefmt --check Snakefile workflow rules && $(BIN)/snakemake --lint; \
	others=$$?; wait $$types && exit $$others

format: .venv/test  ## Format all code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow rules

docs: .venv/run  ## Write keys into config/README.md, and numbers of committed tables into the documents
	PYTHONPATH=workflow_scripts $(BIN)/python -m whatwhere.config.reference config/README.md
	$(BIN)/python docs/write_numbers.py

docs-site: .venv/docs  ## Build the documentation site in site/, and execute its tutorials
	$(BIN)/sphinx-build -W --keep-going -q -b html docs site

init: .venv/run  ## Write config/mine.yaml (OUTPUT=...) for FILES="images.npy responses.npy", to be checked by you
	PYTHONPATH=workflow_scripts $(BIN)/python -m whatwhere init $(FILES) --output $(OUTPUT)

check: .venv/run  ## Validate CONFIG in seconds, without running anything
	PYTHONPATH=workflow_scripts $(BIN)/python -m whatwhere.check $(CONFIG)

plan: .venv/run  ## Print the fits and files of CONFIG, without running anything
	PYTHONPATH=workflow_scripts $(BIN)/python -m whatwhere.config.plan $(CONFIG)

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
	$(PYTHON) -m venv .venv
	touch $@

.venv/run: .venv/created envs/requirements.lock envs/torch.txt
	$(PIP) --no-deps --require-hashes -r envs/requirements.lock
	$(PIP) -r envs/torch.txt
	$(COMPILE)
	touch $@

.venv/docs: .venv/run envs/requirements-docs.lock
	$(PIP) --no-deps --require-hashes -r envs/requirements-docs.lock
	touch $@

.venv/test: .venv/docs envs/requirements-test.lock
	$(PIP) --no-deps --require-hashes -r envs/requirements-test.lock
	$(COMPILE)
	touch $@
