# Vigía Streams. `make` alone lists what can be done. Needed: GNU make and Python 3.11, 3.12 or 3.13; nothing else.

# A Python of your choice: make PYTHON=/opt/python3.12/bin/python demo
PYTHON ?=
VENV := .venv
PY := $(VENV)/bin/python
# The environment is made again when what is pinned, what is declared or where the checkout lies changes.
KEY := $(shell { pwd; cat requirements.lock setup.cfg pyproject.toml; } | cksum | tr ' ' '-')
STAMP := $(VENV)/.complete-$(KEY)
# An environment whose interpreter was removed counts as none.
ifeq ($(wildcard $(PY)),)
$(shell rm -f $(VENV)/.complete-*)
endif
PYTEST := $(PY) -m pytest
# Tests that run side by side. Each process of the integration tests has a broker and a registry of its own, and starts
# systems beside them: up to 3 GB of memory per process.
JOBS ?= 2
# Integration tests wait for a quarter of their time: one more process than cores, where there is memory for it.
SYSTEMS ?= $(if $(filter 2,$(JOBS)),$(shell awk '/^MemAvailable/ { free = $$2 } END { print (free > 12000000 ? 3 : 2) }' \
	/proc/meminfo 2>/dev/null || echo 2),$(JOBS))
# Per cent of the statements that the unit tests reach, all packages together: slightly below what was measured.
COVERED := 73
AGAIN := --last-failed --last-failed-no-failures none
PACKAGES := schemas inference streams ops

.DEFAULT_GOAL := help
.PHONY: help demo up test test-unit lint format bench sbom venv lock clean

help: ## this list
	@echo 'Vigía Streams: from a wound picture to the right people, in time'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  The program itself: $(VENV)/bin/vigia --help'

demo: $(STAMP) ## start everything, publish generated pictures, watch them become escalations, check, stop
	@$(PY) -m ops demo

up: $(STAMP) ## start everything and keep it running; ctrl-C stops it
	@$(PY) -m ops up

# Only the unit part is traced: that one is to reach the rules and the state machines, and tracing the rest would cost
# minutes; nor is a unit test marked no_cover, which goes the lines of others many times. Lines of the second part begin
# with the process: [gw0], [gw1]. What fails, beside another test on the same cores, runs once more alone, and must pass
# then: whole systems, and child processes, have deadlines of seconds. Both failures are printed. Only where every test has
# run (pytest's 1): a process that crashes ends the run, instead of leaving its files to nobody.
test: $(STAMP) ## every test: unit, with a coverage report, then on a real broker, then with processes killed
	@$(PYTEST) -n $(JOBS) --cov --cov-report=term --cov-fail-under=$(COVERED) tests/unit; code=$$?; \
		test $$code -eq 0 || { test $$code -eq 1 && $(PYTEST) -v $(AGAIN) tests/unit && \
		$(PY) -m coverage report --fail-under=$(COVERED) >/dev/null; }
	@$(PYTEST) -n $(SYSTEMS) --max-worker-restart 0 -v tests/integration tests/chaos; code=$$?; \
		test $$code -eq 0 || { test $$code -eq 1 && $(PYTEST) -v $(AGAIN) tests/integration tests/chaos; }

test-unit: $(STAMP) ## the tests that need no service; a minute
	@$(PYTEST) -n $(JOBS) tests/unit

lint: $(STAMP) ## ruff and strict mypy
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

format: $(STAMP) ## let ruff put the code in form
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

bench: $(STAMP) ## measure throughput and latency
	@$(PY) -m ops bench

sbom: $(STAMP) ## write build/sbom.cdx.json: every wheel, jar and image, with licence and hash (CycloneDX)
	@$(PY) -m ops.sbom

venv: $(STAMP) ## make .venv: the pinned dependencies and this project

# What is declared is in setup.cfg; requirements.lock pins all of it, with hashes, for every supported Python and
# platform at once, and two things more: the build backend of pyproject.toml, which an install without build isolation
# needs, and an older backports.strenum (wanted by ai-edge-litert), since the newest refuses Python 3.11 and later, which
# pip heeds and uv does not. pip cannot write such a file, so this one target needs uv on the PATH.
lock: ## pin the dependencies again from setup.cfg, keeping what still fits (needs uv)
	printf '%s\n' 'setuptools>=77' 'backports.strenum<1.3' | uv pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-header --all-extras --output-file requirements.lock setup.cfg -

clean: ## remove the environment, run folders and caches (not the downloads below ~/.cache/vigia)
	rm -rf $(VENV) .vigia build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(STAMP):
	@sh ops/bootstrap.sh '$(VENV)' '$(PYTHON)'
	@touch '$@'
