# make reproduce [STUDY=quick] [DATA=<folder>] [CORES=all] [PROFILE=<folder>]   a study, whole
# make reproduce ... COMMIT=1   and record it with DVC
# make test | lint | format | lock | readme | clean
STUDY ?= quick
DATA ?=
CORES ?= all
PROFILE ?=
COMMIT ?=
PYTHON ?= python3
BIN := .venv/bin
# The README shows the table of this study.
SHOWN := quick
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: reproduce readme setup test lint format lock clean

reproduce: setup
	@noise2mask reproduce --study $(STUDY) $(if $(DATA),--data $(DATA)) \
	    $(if $(PROFILE),--profile $(PROFILE),--cores $(CORES)) $(if $(COMMIT),--commit)

setup: .venv/installed

.venv/installed: envs/torch.txt envs/core.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "noise2mask needs Python 3.11 or newer; name one with PYTHON=<path>."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -r envs/torch.txt
	$(BIN)/pip install -r envs/core.txt -c envs/torch.txt
	$(BIN)/pip install --no-deps -e .
	touch $@

readme: setup
	noise2mask report --study $(SHOWN) --readme README.md

test: setup
	pytest -n auto --dist loadfile

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

clean:
	rm -rf .snakemake data/prepared results work logs
