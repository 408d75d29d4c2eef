# Everything runs in .venv, which the first target makes. PYTHON chooses the interpreter (3.10 to 3.12).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ONEDL := .venv-onedl
PYTEST := -m pytest -q -n 2 --dist worksteal
export OMP_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1

.PHONY: help install demo test lint types docs fast coverage test-slow test-browser test-onedl results gpu clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/installed: requirements.txt requirements/runtime.txt setup.py
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' \
	  || { echo "mmlt needs Python 3.10 to 3.12; set PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(ONEDL)/installed: requirements/onedl-pinned.txt requirements/runtime.txt setup.py
	$(PYTHON) -m venv $(ONEDL)
	$(ONEDL)/bin/python -m pip install --disable-pip-version-check setuptools==80.9.0 wheel
	$(ONEDL)/bin/python -m pip install --disable-pip-version-check -r requirements/onedl-pinned.txt
	$(ONEDL)/bin/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

install: $(VENV)/installed ## the environment of all targets, in .venv

demo: install ## train on long-tailed digits and print one table and write a report (2 to 5 minutes)
	$(BIN)/python tools/demo.py

# The tests leave a core idle now and then; the rest of the gate runs beside them.
test: install ## the gate: lint, types, docs, fast (5 minutes)
	@$(MAKE) --no-print-directory -j 2 fast lint types docs

lint: install ## rules and layout, by ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install ## mypy, strict
	$(BIN)/mypy

docs: install ## the documentation site, in docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -n -q -b html docs docs/_build/html

fast: install ## the fast tests and the examples in docstrings
	$(BIN)/python $(PYTEST) tests mmlt --doctest-modules

coverage: install ## the same tests, and which lines and branches of mmlt they miss
	$(BIN)/coverage erase
	$(BIN)/coverage run $(PYTEST) tests mmlt --doctest-modules
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-slow: install ## the tests that take minutes
	$(BIN)/python $(PYTEST) tests -m slow

test-browser: install ## the report in headless Chromium, where there is one (30 seconds)
	$(BIN)/python -m pytest -q -rs -m slow -k browser tests/apps/test_report.py

test-onedl: $(ONEDL)/installed ## smoke and hostile checkpoints on the second stack, in its own environment
	$(ONEDL)/bin/python -m pytest -q tests/integration/test_smoke.py
	$(ONEDL)/bin/python -m pytest -q -m '' tests/integration/test_hostile_checkpoints.py

results: install ## the tables of docs/results, from the logs
	$(BIN)/python tools/results.py

gpu: install ## what a GPU changes and costs (8 minutes on one); writes docs/results/gpu.md
	status=0; \
	timeout 200 $(BIN)/python -m pytest -q -rs tests/gpu || status=$$?; \
	timeout 270 $(BIN)/python benchmarks/gpu.py --minutes 4 || status=$$?; \
	$(BIN)/python tools/results.py || status=$$?; \
	exit $$status

clean: ## remove both environments, caches and what was built
	rm -rf $(VENV) $(ONEDL) build dist *.egg-info mmlt/.mim .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache docs/_build
