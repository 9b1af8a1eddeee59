# memoryd: the words a newcomer needs. `make help` lists them.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# Processes of a test run: two for each of two cores, since half of the time a test waits for Postgres or a browser.
JOBS ?= 4

.PHONY: help setup setup-dev demo test check fix bench conformance faults chaos canary exactness invariants fuzz lint types walls package clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

# Without a python3.11 on the path, whatever python3 is (3.11 or newer) serves.
$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null 2>&1 && $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)

$(VENV)/.runtime: $(VENV)/bin/python pyproject.toml
	@echo "setting up $(VENV) (runtime)"
	@$(BIN)/pip install -q --disable-pip-version-check --no-warn-script-location -e . 2>&1 | grep -v '^WARNING: Location' || true
	@$(BIN)/memoryd --version >/dev/null
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@echo "setting up $(VENV) (tests and checks)"
	@$(BIN)/pip install -q --disable-pip-version-check -e '.[dev]' 2>&1 | grep -v '^WARNING: Location' || true
	@$(BIN)/pytest --version >/dev/null
	@touch $@

$(VENV)/.bench: $(VENV)/.dev
	@echo "setting up $(VENV) (what benchmarks compare with)"
	@$(BIN)/pip install -q --disable-pip-version-check -e '.[bench]' 2>&1 | grep -v '^WARNING: Location' || true
	@touch $@

setup: $(VENV)/.runtime ## a .venv with what memoryd needs to run
setup-dev: $(VENV)/.dev ## the same, with the tools for tests and checks

demo: setup ## the whole main job on real pictures, in a place of its own; ends by itself
	@$(BIN)/memoryd demo

test: setup-dev ## the tests
	@$(BIN)/pytest -q -n $(JOBS) --dist worksteal

lint: setup-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup-dev
	@$(BIN)/mypy

walls: setup-dev
	@$(BIN)/lint-imports

check: lint types walls test ## everything that CI does: style, types, walls, tests

fix: setup-dev ## mend style where a machine can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.bench ## every benchmark, quick
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script --quick || exit 1; done

conformance: setup-dev ## the protocol suite: stand-in, and a real ComfyUI at MEMORYD_TEST_COMFYUI_URL
	@$(BIN)/pytest -q tests/conformance

faults: setup-dev ## kill -9 in the middle of work and of a backlog, twenty times each; a root unmounted
	@$(BIN)/python tests/faults/run.py
	@$(BIN)/python tests/faults/backlog.py

chaos: setup-dev ## a farm on fire: kill -9 of everything, cut networks, zombies, in 10,000 jobs; under 8 minutes
	@$(BIN)/python tests/chaos/run.py

canary: setup-dev ## a worker that drifts: found, since when, after which change, and decided about; about 3 minutes
	@$(BIN)/python tests/canary/run.py

exactness: setup-dev ## a real ComfyUI, named by two variables: 100 runs made again, and what differs named; about 20 minutes
	@$(BIN)/python tests/exactness/run.py

invariants: setup-dev ## the queue as state machines, a thousand times as long as in `make test`; other properties, far longer
	@MEMORYD_TEST_LONG=1 $(BIN)/pytest -q tests/dispatch/test_invariants.py tests/dispatch/test_invariants_of_order.py
	@MEMORYD_TEST_LONG=1 $(BIN)/pytest -q -n $(JOBS) --dist worksteal -m hypothesis --ignore tests/dispatch

fuzz: setup-dev ## 200,000 mutated files over every reader and the whole way of recording, 100,000 mutated models
	@$(BIN)/python tests/fuzz/run.py

clean: ## take away the .venv and all caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
