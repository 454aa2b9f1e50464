# Everything here needs Python 3.11 or newer, git and make. What is installed goes into .venv, nowhere else.
#   PYTHON=python3.12     the Python that .venv is made from
#   TORCH_INDEX=URL       one more place to look for torch; on Linux without a GPU, the address of PyTorch's CPU builds
#                         saves gigabytes
PYTHON ?= python3
TORCH_INDEX ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip install -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
RUNTIME := .venv/.runtime-installed
DEVELOPMENT := .venv/.development-installed

.DEFAULT_GOAL := help
.PHONY: help demo test format clean

help: ## say what there is
	@echo "make TARGET, where TARGET is one of"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile
	@echo "Python: PYTHON=$(PYTHON) (any from 3.11 on). Linux without a GPU: see TORCH_INDEX at the top of the Makefile."

demo: $(RUNTIME) ## install what is needed and make a first video, into out/demo
	$(BIN)/sgi2v demo --out out/demo

test: $(DEVELOPMENT) ## install everything, check the style, run the tests with coverage
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest --cov --cov-report=term --durations=10

format: $(DEVELOPMENT) ## put the code into the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv, out/ and what the tools left behind; trained models in runs/ stay
	rm -rf .venv out build dist htmlcov .coverage .coverage.* .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Order-only: the interpreter's own date says nothing about the environment.
$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	@touch $@

$(DEVELOPMENT): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[notebooks,dev]'
	@touch $(RUNTIME) $@

$(BIN)/python:
	@command -v '$(PYTHON)' >/dev/null || { echo "There is no '$(PYTHON)' here: install Python 3.11 or newer, or name yours: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "sgi2v_lab needs Python 3.11 or newer, and '$(PYTHON)' is $$('$(PYTHON)' --version 2>&1): name a newer one, for example: make PYTHON=python3.11" >&2; exit 1; }
	@'$(PYTHON)' -m venv .venv || { rm -rf .venv; echo "Python could not make .venv (see above); on Debian and Ubuntu, install the package python3-venv." >&2; exit 1; }
