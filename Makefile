# molrg: `make` alone lists what can be asked for.
#
#   make book                                 set up, run the notebooks, build the site
#   make env PYTHON=python3.12                with an interpreter of your choice
#   make env PIP_ARGS="--index-url URL"       with a package index of your choice
#   make book JOBS=4                          four notebooks at a time

SHELL   := /bin/bash
VENV    ?= .venv
PIP_ARGS ?=
JOBS    ?=

BIN   := $(VENV)/bin
PY    := $(BIN)/python
STAMP := $(VENV)/.molrg-installed

# The marks of the tests that run beside the others, and the files that have any.
BESIDE       := book or browser or fault
BESIDE_FILES  = $(shell grep -rlE "mark\.(book|browser|fault)\b" tests --include="test_*.py")

RUN   := $(PY) -m molrg run $(if $(JOBS),--jobs $(JOBS))

.DEFAULT_GOAL := help
.PHONY: help env book test executed test-faults test-browser pdf lint lab claims doctor bench coverage mutate student solutions slides clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(STAMP) ## set up .venv from requirements.lock (once; again when that changes)

book: env ## run the notebooks and build the site: _build/html/index.html
	@echo "==> running the notebooks"
	@$(RUN)
	@echo "==> building the site"
	@$(PY) -m molrg book

test: export OMP_NUM_THREADS ?= 1
test: env ## all the tests: package, ledger, notebooks, strict build of the book
	@echo "==> running the notebooks; beside them style, types, direction of imports"
	@$(MAKE) --no-print-directory -j2 lint executed
	@echo "==> package and ledger; beside them faults and the book: verdict lines by nbval, warnings as errors"
	@$(PY) -m pytest -m "($(BESIDE)) and not nightly" $(BESIDE_FILES) >_build/tests-of-the-book.log 2>&1 & book=$$!; \
	    $(PY) -m pytest -m "not ($(BESIDE)) and not nightly"; package=$$?; \
	    wait $$book; book=$$?; cat _build/tests-of-the-book.log; exit $$((package || book))

executed: env
	@$(RUN)

test-faults: env ## every fault that the tests inject, those too that take minutes
	@$(PY) -m pytest -m "(fault or nightly) and not book" tests

test-browser: env ## the pages in a Chromium: requests, equations, images, links, accessibility
	@$(RUN)
	@$(PY) -m pytest -m browser tests

pdf: book ## the whole book as one PDF: _build/molrg.pdf (needs a Chromium)
	@$(PY) -m molrg pdf

lint: env ## style, format, types, direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(PY) .ci/notebook_code.py _build/lint
	@$(BIN)/mypy _build/lint/notebook_code
	@$(BIN)/lint-imports --no-cache

lab: env ## JupyterLab on copies of the notebooks, to read and change
	@$(PY) -m molrg copies
	@cd copies && "$(abspath $(PY))" -m jupyterlab

student: env ## for students: notebooks and site without solutions, in _build/student
	@$(RUN)
	@$(PY) -m molrg student

solutions: env ## the other half: notebooks and site with solutions, in _build/solutions
	@$(RUN)
	@$(PY) -m molrg student --with-solutions

slides: env ## a deck for each part, pages and PDFs with notes: _build/slides/index.html
	@$(PY) -m pip install -qq --disable-pip-version-check $(PIP_ARGS) --editable ".[slides]"
	@$(RUN)
	@$(PY) -m molrg slides

claims: env ## the verdicts of the last run
	@$(PY) -m molrg claims

doctor: env ## what is installed, which data and weights are there
	@$(PY) -m molrg doctor

bench: env ## speed against other ways, for the page "How fast" (ten minutes)
	@$(PY) benchmarks/bench.py

coverage: env ## which lines of the package the tests run; fails below the bound
	@$(PY) -m coverage erase
	@OMP_NUM_THREADS=1 $(PY) -m coverage run -m pytest -q -m "not book and not browser"
	@$(PY) -m coverage combine -q
	@$(PY) -m coverage report

mutate: env ## change the formula of each claim, and see which test fails (half an hour)
	@$(PY) tests/mutations.py

clean: ## remove what was built; .venv stays
	rm -rf _build build molrg.egg-info .pytest_cache .mypy_cache .ruff_cache
	find molrg tests benchmarks notebooks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
	rm -rf notebooks/.ipynb_checkpoints

# The first interpreter that is new enough and able to make an environment.
USABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHONS := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14 python)

$(PY):
	@set -e; chosen=; for python in $(PYTHONS); do \
	    if "$$python" -c '$(USABLE)' >/dev/null 2>&1; then chosen=$$python; break; fi; done; \
	if [ -z "$$chosen" ]; then \
	    echo "make env: none of these is Python 3.11 or newer with the venv module: $(PYTHONS)" >&2; \
	    for python in $(PYTHONS); do echo "    $$python: $$("$$python" -V 2>/dev/null || echo 'not found')" >&2; done; \
	    echo "Install one (on Debian also python3-venv), or name it: make env PYTHON=/path/to/python3" >&2; \
	    exit 1; fi; \
	echo "==> $(VENV) with $$("$$chosen" -V)"; \
	"$$chosen" -m venv "$(VENV)"

# An interpreter alone is what is left where the making of .venv was cut short.
# --no-compile: Python compiles what is imported, which is a small part of what is installed.
$(STAMP): requirements.lock pyproject.toml | $(PY)
	@$(PY) -m pip --version >/dev/null 2>&1 || { \
	    echo "==> $(VENV) has no pip (its making was cut short): putting it there"; \
	    $(PY) -m ensurepip --upgrade >/dev/null && $(PY) -m pip --version >/dev/null; } || { \
	    echo "make env: $(VENV) is damaged; remove it (rm -r $(VENV)), and the same command makes it anew" >&2; \
	    exit 1; }
	@echo "==> installing requirements.lock (a minute or two; 2 GB on disk with a CPU build of torch, more with CUDA)"
	@$(PY) -m pip install -qq --no-compile --disable-pip-version-check $(PIP_ARGS) -r requirements.lock
	@echo "==> installing molrg itself, editable"
	@$(PY) -m pip install -qq --disable-pip-version-check $(PIP_ARGS) --no-deps --editable .
	@touch $@
