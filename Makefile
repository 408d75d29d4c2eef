# Everything runs in .venv, which the first target makes. PYTHON chooses the interpreter (3.10 to 3.12).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ONEDL := .venv-onedl
export OMP_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1

.PHONY: help install demo test test-slow test-onedl lint types docs clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo        train on long-tailed digits and print one table (2 minutes)'
	@echo 'make test        lint, types, documentation, fast tests, doctests (5 minutes)'
	@echo 'make test-slow   the tests that take minutes'
	@echo 'make test-onedl  a short smoke of the second stack, in its own environment'
	@echo 'make docs        the documentation site, into docs/_build/html (1 minute)'
	@echo 'make clean       remove both environments and caches'

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

install: $(VENV)/installed

demo: install
	$(BIN)/python tools/demo.py

lint: install
	$(BIN)/ruff check .

types: install
	$(BIN)/mypy mmlt/functional

docs: install
	$(BIN)/python -m sphinx -W --keep-going -n -q -b html docs docs/_build/html

test: lint types docs
	$(BIN)/python -m pytest tests -n 2 --dist worksteal -q
	$(BIN)/python -m pytest --doctest-modules mmlt -q -p no:cacheprovider

test-slow: install
	$(BIN)/python -m pytest tests -m slow -n 2 --dist worksteal -q

test-onedl: $(ONEDL)/installed
	$(ONEDL)/bin/python -m pytest tests/integration/test_smoke.py -q

clean:
	rm -rf $(VENV) $(ONEDL) build *.egg-info mmlt/.mim .mypy_cache .pytest_cache .ruff_cache docs/_build
