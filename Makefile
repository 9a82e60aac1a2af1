# make run: set up and run the main job.  make test: every check.  make test-all: the long ones too.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
RESULTS ?= results/quickstart

.PHONY: run test test-all lint clean

$(VENV)/.run: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) --editable '.[bayesian,optimizers,analysis,clusters]'
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(PIP) --editable '.[bayesian,optimizers,analysis,clusters,dev]'
	touch $@

run: $(VENV)/.run
	$(BIN)/hwgpt-blackbox run --suite quickstart --out $(RESULTS)
	$(BIN)/hwgpt-blackbox report $(RESULTS) --out $(RESULTS)-report

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest --numprocesses 2 -m 'not slow'

test-all: lint
	$(BIN)/python -m pytest --numprocesses 2

clean:
	rm -rf $(VENV) build dist *.egg-info
