# make reproduce [STUDY=quick] [DATA=<folder>] [CORES=all] [PROFILE=<folder>]   a study, whole
# make test | lint | format | lock | clean
STUDY ?= quick
DATA ?=
CORES ?= all
PROFILE ?=
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: reproduce setup test lint format lock clean

# A cell that fails does not stop the others; the report then lists what is missing.
reproduce: setup
	@snakemake $(if $(PROFILE),--profile $(PROFILE),--cores $(CORES)) \
	    --config study=$(STUDY) $(if $(DATA),data=$(DATA)) || \
	  { status=$$?; noise2mask report --study $(STUDY); exit $$status; }
	@echo "The report is reports/$(STUDY)/report.md"

setup: .venv/installed

.venv/installed: envs/torch.txt envs/core.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "noise2mask needs Python 3.11 or newer; name one with PYTHON=<path>."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -r envs/torch.txt
	$(BIN)/pip install -r envs/core.txt -c envs/torch.txt
	$(BIN)/pip install --no-deps -e .
	touch $@

test: setup
	pytest

lint: setup
	ruff format --check .
	ruff check .
	mypy
	snakefmt --check --compact-diff Snakefile workflow
	snakemake --lint --config study=test

format: setup
	ruff format .
	ruff check --fix .
	snakefmt Snakefile workflow

# Names and versions only, for every platform; torch is named apart, so that one lock serves
# machines with and without CUDA.
lock: setup
	$(BIN)/pip install uv
	uv pip compile pyproject.toml --extra workflow --extra develop --universal \
	    --python-version 3.11 -c envs/torch.txt --no-emit-index-url --no-emit-find-links \
	    --no-annotate --no-header 2>/dev/null | grep -vE '^(torch|triton|nvidia-|cuda-)' > envs/core.txt

clean:
	rm -rf .snakemake data/prepared results work logs
