# make run: everything a newcomer needs.  make help: the rest.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
VENUE  ?=
SYMBOLS ?=
LAB    := tests/engine tests/research tests/strategies tests/learn tests/daily tests/services/test_lookahead.py

# Hundreds of tests start a process of their own: they read bytecode, whatever the surroundings say.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help setup run test test-slow test-lab test-line test-browser test-cluster test-airflow lint bench lock clean

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

run: $(VENV)/.installed  ## start everything on the exchange in a box (VENUE=binance SYMBOLS=BTCUSDT,ETHUSDT for the real feed)
	@exec $(BIN)/quantlytic up $(if $(VENUE),--venue $(VENUE)) $(if $(SYMBOLS),--symbols $(SYMBOLS))

setup: $(VENV)/.installed  ## make .venv and install the pinned requirements and the project

test: $(VENV)/.installed-dev  ## every test that needs no server and no browser
	$(BIN)/pytest -q -n 3 --dist loadfile -m "not cluster and not browser and not airflow and not slow"

test-slow: test-lab test-line  ## all long tests: over an hour

test-lab: $(VENV)/.installed-dev  ## the long tests of engine, strategies, research, learning, look-ahead
	$(BIN)/pytest -q -n 2 --dist worksteal -m "slow and not cluster and not browser and not airflow" $(LAB)

test-line: $(VENV)/.installed-dev  ## the long seeded simulations of the line (200 kills, 50 runs a fault)
	$(BIN)/pytest -q -n 2 --dist worksteal -m "slow and not cluster and not browser and not airflow" $(addprefix --ignore=,$(LAB))

test-browser: $(VENV)/.installed-dev  ## the page and the report in Chromium
	$(BIN)/pytest -q -m browser

test-cluster: $(VENV)/.installed-dev  ## the log on a real Kafka broker (needs Java and Maven)
	$(BIN)/pytest -q -m cluster

test-airflow: $(VENV)/.installed-dev  ## the daily run under a real Airflow (installed apart, in .cache/airflow)
	test -x .cache/airflow/venv/bin/airflow || { $(PYTHON) -m venv .cache/airflow/venv && .cache/airflow/venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r deploy/airflow/requirements.txt; }
	$(BIN)/pytest -q -m airflow

lint: $(VENV)/.installed-dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-dev  ## measure this machine against the goals (peers are installed on demand)
	$(BIN)/quantlytic bench

lock: $(VENV)/.installed-dev  ## pin the requirements anew
	$(BIN)/python -m pip install -q uv
	bash requirements/lock.sh $(BIN)/uv

clean:  ## remove what was made (never what was recorded)
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache

$(VENV)/.python: 
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "quantlytic needs Python 3.11 or newer; name one with: make PYTHON=python3.12 run"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.python requirements/base.txt pyproject.toml
	@echo "installing what is needed (a minute or two, once) ..."
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/base.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements/dev.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@
