# Every target is a line or two over the real tool; `make help` lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
ENGINE ?= native
IMAGE ?= byoc
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check
# pip says much; the package it is at is what one wants to see.
PROGRESS := sed -n -e 's/^ *Collecting \([^ ]*\).*/  \1/p' -e 's/^Installing collected.*/  installing .../p'
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-annotate

.PHONY: help install demo test lint image doctor notebook bench bench-quick bench-guard bench-wide lock clean

help: ## Show this list
	@echo "make TARGET [ENGINE=native|docker] [IMAGE=name] [PYTHON=python3.12] [ONLY=work] [PEERS=names]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/.installed ## Make .venv with the locked packages and the command byoc

demo: install ## Train, serve and predict; with the image: make demo ENGINE=docker
	@local_test/install_tools.sh
	@[ "$(ENGINE)" != docker ] || $(BIN)/byoc docker image --name "$(IMAGE)"
	@$(BIN)/byoc demo --engine "$(ENGINE)" --image "$(IMAGE)"

test: .venv/.installed-dev lint ## Lint, then run every test; those of the image need a Docker engine
	$(BIN)/pytest

lint: .venv/.installed-dev ## Check style, types and shell scripts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	@if command -v shellcheck >/dev/null; then set -x; shellcheck -x $(SCRIPTS); \
	else echo "shellcheck is missing (apt-get install shellcheck): the shell scripts are not checked"; [ -z "$${CI-}" ]; fi

image: install ## Build the image IMAGE, and its base where that cannot be pulled
	@$(BIN)/byoc docker image --name "$(IMAGE)"

doctor: install ## Examine the image IMAGE by SageMaker's contract: make doctor IMAGE=name
	@$(BIN)/byoc doctor "$(IMAGE)"

notebook: .venv/.installed-dev ## Execute notebook.ipynb whole, on the emulator or, with AWS_ROLE_ARN, on AWS
	@local_test/install_tools.sh
	@mkdir -p build
	$(BIN)/jupyter-execute notebook.ipynb --output=$(CURDIR)/build/notebook.ipynb
	@echo "With its pictures: build/notebook.ipynb"

# ONLY='forest boosting' measures some works, PEERS='litserve mlserver' those servers as well: .venv/bin/python -m benchmarks --help
BENCH = $(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(PEERS),--peers $(PEERS))

bench: install ## Measure against the classic sample, its peers and the limits: half an hour
	@local_test/install_tools.sh $$(command -v wrk >/dev/null || echo wrk)
	@$(BENCH) $(if $(ONLY),,--picture docs/benchmarks.svg)

bench-quick: install ## The same in three minutes: ours, the classic sample and the echo limit
	@local_test/install_tools.sh $$(command -v wrk >/dev/null || echo wrk)
	@$(BENCH) --quick

bench-guard: install ## Fail where the speed fell to less than half of what benchmarks/guard.json keeps
	@local_test/install_tools.sh $$(command -v wrk >/dev/null || echo wrk)
	@$(BENCH) --guard

bench-wide: install ## What going wide costs, on 1, 2 and 4 hosts here and simulated to 128: ten minutes
	@PYTHONPATH=container/program $(BIN)/python -m benchmarks.wide --picture docs/going_wide.svg

lock: ## Re-make the locked requirements from the *.in files
	$(COMPILE) container/requirements.in -o container/requirements.txt
	for extra in container/extras/*.in; do \
		$(COMPILE) $$extra -c container/requirements.txt --excludes <(sed -n 's/^# without: //p' $$extra) \
			-o $${extra%.in}.txt; done
	$(COMPILE) requirements.in -c container/requirements.txt -o requirements.txt
	for sdk in tests/sdk/*.in; do $(COMPILE) $$sdk -o $${sdk%.in}.txt; done
	$(COMPILE) requirements-dev.in -c container/requirements.txt $(patsubst %,-c container/extras/%.txt,parquet xgboost lightgbm) \
		-o requirements-dev.txt

clean: ## Remove what make, the tests and local_test made
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find local_test/test_dir/model local_test/test_dir/output -mindepth 1 ! -name .gitkeep -delete

SCRIPTS = $(shell find . -path ./.venv -prune -o -name '*.sh' -print) $(wildcard .ci/run)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "make: $(PYTHON) is missing or older than 3.11; install a newer one, or name it: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv .venv >/dev/null 2>&1 || \
		{ rm -rf .venv; local_test/install_tools.sh python3-venv; $(PYTHON) -m venv .venv >/dev/null 2>&1; } || \
		{ rm -rf .venv; echo "make: $(PYTHON) cannot make a virtual environment; run: apt-get install python3-venv" >&2; exit 1; }

# Touched once the step is done, so that a second make is quick and a changed requirements file installs again.
.venv/.installed: requirements.txt pyproject.toml | .venv/bin/python
	@echo "Installing the locked packages into .venv (about a minute)"
	@$(PIP) --require-hashes -r requirements.txt | $(PROGRESS)
	@$(PIP) --quiet --no-deps --no-build-isolation -e .
	@touch $@

.venv/.installed-dev: requirements-dev.txt .venv/.installed
	@echo "Installing what the tests and the linters need"
	@$(PIP) --require-hashes -r requirements-dev.txt | $(PROGRESS)
	@touch $@
