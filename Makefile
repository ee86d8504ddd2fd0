# `make` alone says what there is.
CHOSEN := $(filter command environment,$(firstword $(origin STUDY)))
STUDY ?= quick
DATA ?=
CORES ?=
PROFILE ?=
COMMIT ?=
PYTHON ?= python3
N ?= 25
BIN := .venv/bin
# The README shows the table of this study.
SHOWN := quick
# Handed on in the environment as they are written: make would expand a $ in them, and a shell would
# run what stands between backticks.
override STUDY := $(value STUDY)
override DATA := $(value DATA)
override CORES := $(value CORES)
override PROFILE := $(value PROFILE)
override N := $(value N)
export STUDY DATA CORES PROFILE N
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help reproduce publish clean docs readme setup test test-fast test-lowest test-slurm torture lint format lock

help:
	@echo 'make reproduce [STUDY=quick] [DATA=<folder>] [CORES=4] [PROFILE=profiles/slurm] [COMMIT=1]'
	@echo '                            a study, whole; COMMIT=1 records it with DVC'
	@echo 'make publish [STUDY=quick]  its report to reports/, where git keeps it'
	@echo 'make clean [STUDY=<name>]   remove what runs have made; without a study it asks'
	@echo 'make test | test-fast       all tests | without those that take minutes'
	@echo 'make test-slurm             a study through a Slurm of one node (root, Debian)'
	@echo 'make test-lowest            the oldest dependencies that pyproject.toml allows'
	@echo 'make torture [N=25]         kill a small study N times; it must end the same'
	@echo 'make lint | format          style and types'
	@echo 'make docs                   the documentation site, in build/site'
	@echo 'make lock | readme          the lock in envs/ | the table in README.md'

reproduce: setup
	@noise2mask reproduce --study "$$STUDY" --data "$$DATA" $(if $(COMMIT),--commit)

publish: setup
	@noise2mask publish --study "$$STUDY"

clean: setup
	@noise2mask clean $(if $(CHOSEN),--study "$$STUDY")

setup: .venv/installed

.venv/installed: envs/torch.txt envs/core.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "noise2mask needs Python 3.11 or newer; name one with PYTHON=<path>."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -r envs/torch.txt
	$(BIN)/pip install -r envs/core.txt -c envs/torch.txt
	$(BIN)/pip install --no-deps -e .
	touch $@

docs: setup
	mkdocs build --strict

readme: setup
	noise2mask report --study $(SHOWN) --readme README.md

test: setup
	pytest -n auto --dist loadfile -m "not slurm and not torture"

test-fast: setup
	pytest -n auto --dist loadfile -m "not slow"

test-slurm: setup
	pytest -m slurm tests/workflow/test_slurm.py

# torch stays that of the lock, as its older builds come with CUDA alone.
test-lowest: setup
	mkdir -p build
	$(BIN)/pip install uv
	uv pip compile pyproject.toml --extra workflow --extra report --resolution lowest-direct \
	    -c envs/torch.txt --no-annotate --no-header 2>/dev/null | grep -vE '^(torch|triton|nvidia-|cuda-)' > build/lowest.txt
	$(PYTHON) -m venv build/lowest
	build/lowest/bin/pip install -r envs/torch.txt
	build/lowest/bin/pip install -r build/lowest.txt -c envs/torch.txt
	build/lowest/bin/pip install hypothesis jsonschema psutil pytest pytest-timeout -c build/lowest.txt
	build/lowest/bin/pip install --no-deps -e .
	build/lowest/bin/python -m pytest -m "not slow and not slurm and not torture" tests/contracts tests/data \
	    tests/diffusion tests/evaluation tests/networks tests/sampling tests/study tests/report/test_tables.py tests/test_files.py

torture: setup
	PYTHONPATH=tests python -m helpers.torture "$$N"

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
	uv pip compile pyproject.toml --extra workflow --extra report --extra export --extra live \
	    --extra docs --extra develop --universal --python-version 3.11 -c envs/torch.txt --no-emit-index-url --no-emit-find-links \
	    --no-annotate --no-header 2>/dev/null | grep -vE '^(torch|triton|nvidia-|cuda-)' > envs/core.txt
