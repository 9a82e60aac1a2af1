# make run: set up and run the main job.  make test: every check.  make test-all: the long ones too.
# make docs: the documentation, in build/docs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
EXTRAS := bayesian,network,profiling,optimizers,analysis,storage,clusters,interop,docs,dev
# Two processes use both cores: more threads would only wait for one another.
PYTEST := -m pytest --numprocesses 2 --dist worksteal
RESULTS ?= results/quickstart

test test-all test-minimum test-newest: export OMP_NUM_THREADS := 1

.PHONY: run test test-all test-versions test-minimum test-newest lint docs clean

$(VENV)/.run: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) --editable '.[optimizers,analysis,clusters]'
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(PIP) --editable '.[$(EXTRAS)]'
	touch $@

# What long tests alone need: other families of surrogates.
$(VENV)/.all: $(VENV)/.test
	$(PIP) --editable '.[$(EXTRAS),comparison,autogluon]'
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
	$(BIN)/python $(PYTEST) -m 'not slow'

test-all: lint $(VENV)/.all test-versions
	$(BIN)/python $(PYTEST) --hypothesis-profile long

# The oldest and the newest versions that the requirements admit, each in an environment of its own.
test-versions: test-minimum test-newest

test-minimum test-newest: test-%: .venv-%/.test
	.venv-$*/bin/python $(PYTEST) -m 'not slow'

.venv-minimum/.test: PINS = $(PYTHON) tests/floors.py
.venv-newest/.test: PINS = grep '^torch==' constraints.txt
.venv-%/.test: pyproject.toml constraints.txt tests/floors.py
	test -x .venv-$*/bin/python || $(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --upgrade pip
	$(PINS) > .venv-$*/pins.txt
	.venv-$*/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager --constraint .venv-$*/pins.txt \
		--editable '.[$(EXTRAS)]'
	touch $@

docs: $(VENV)/.test
	$(BIN)/sphinx-build -q -W --keep-going -d build/doctrees docs build/docs
	@echo build/docs/index.html

clean:
	rm -rf $(VENV) .venv-minimum .venv-newest build dist *.egg-info
