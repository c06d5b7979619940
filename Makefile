# Every command is listed by `make help`. Nothing is installed outside this folder but package caches.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
# Nodes of tests live for seconds: Java compiles quickly rather than well.
QUICK_JAVA := JAVA_TOOL_OPTIONS=-XX:TieredStopAtLevel=1
.DEFAULT_GOAL := help

.PHONY: help run test check prove chaos soak mutations bench fmt lock clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

$(UV): requirements/uv.lock
	@$(PYTHON) -c 'import sys; sys.exit("Tally needs Python 3.11 or newer; try make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@echo "Making the virtual environment .venv"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.lock
	@touch $(UV)

.venv/run.stamp: requirements/run.lock $(UV)
	@$(UV) pip install --python $(BIN)/python --require-hashes -r requirements/run.lock
	@touch $@

.venv/dev.stamp: requirements/dev.lock .venv/run.stamp
	@$(UV) pip install --python $(BIN)/python --require-hashes -r requirements/dev.lock
	@touch $@

run: .venv/run.stamp ## start OpenSearch, the service and the sample data; Ctrl-C stops all of it
	@exec $(BIN)/python -m service run --with-parent

check: .venv/dev.stamp ## format, lint, types, import contracts and the tests that need no node
	@$(BIN)/ruff format --check --quiet || { echo "run: make fmt"; exit 1; }
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/lint-imports --no-logo | tail -n 8
	@$(BIN)/python -m pytest tests/unit tests/golden

test: check ## everything: `check`, then all tests on a real OpenSearch, at last faults of a cluster
	@$(QUICK_JAVA) $(BIN)/python -m pytest tests $(addprefix --ignore tests/,unit golden chaos)
	@$(QUICK_JAVA) $(BIN)/python -m pytest tests/chaos

prove: .venv/dev.stamp ## thousands of generated cases against the oracle, with a table of what ran
	@TALLY_PROVE_DATASETS=$${DATASETS:-270} TALLY_PROVE_LEAST=$${LEAST:-200} TALLY_PROVE_EXAMPLES=300 TALLY_PROVE_ZONES=$${ZONES:-600} \
		TALLY_PROVE_FUZZ=$${FUZZ:-40} TALLY_PROVE_HOSTILE=$${HOSTILE:-20000} \
		TALLY_PROVE_INTERLEAVINGS=$${INTERLEAVINGS:-100000} \
		$(BIN)/python -m pytest -n $${WORKERS:-2} --dist loadfile -rP tests/properties tests/properties/flights.py tests/model

chaos: .venv/dev.stamp ## nodes, services, answers and indices fail under load; writes the table in docs/quality.md
	@TALLY_CHAOS=full $(BIN)/python -m pytest tests/chaos -s

soak: .venv/dev.stamp ## a mixed load at 80 % of the maximum for MINUTES (15); nothing fails, nothing grows
	@TALLY_SOAK_MINUTES=$${MINUTES:-15} $(BIN)/python -m pytest tests/chaos/soak.py -s

mutations: .venv/dev.stamp ## deliberate faults, one at a time in a copy of the code; the tests must catch each
	@$(BIN)/python -m tests.mutations

bench: .venv/dev.stamp ## what a write and an aggregate cost, beside the bare OpenSearch requests
	@$(BIN)/python -m bench

fmt: .venv/dev.stamp ## format the code
	@$(BIN)/ruff check --fix --quiet; $(BIN)/ruff format --quiet

clean: ## remove the virtual environment and caches (the data stays in .data)
	@rm -rf .venv .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist

lock: $(UV) ## make the lock files again from pyproject.toml
	@echo 'uv==0.13.9' | $(UV) pip compile --quiet --no-header --generate-hashes --no-emit-index-url --universal --python-version 3.11 -o requirements/uv.lock -
	@$(UV) pip compile --quiet --no-header --generate-hashes --no-emit-index-url --universal --python-version 3.11 --all-extras -o requirements/run.lock pyproject.toml
	@$(UV) pip compile --quiet --no-header --generate-hashes --no-emit-index-url --universal --python-version 3.11 --extra traces -c requirements/run.lock -o requirements/serve.lock pyproject.toml
	@$(UV) pip compile --quiet --no-header --generate-hashes --no-emit-index-url --universal --python-version 3.11 --all-extras --group dev -c requirements/run.lock -o requirements/dev.lock pyproject.toml
