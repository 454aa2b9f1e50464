# Everything here needs Python 3.11 or newer, git and make. What is installed goes into .venv, nowhere else.
#   PYTHON=python3.12     the Python that .venv is made from
#   TORCH_INDEX=URL       one more place to look for torch; on Linux without a GPU, the address of PyTorch's CPU builds
#                         saves gigabytes
PYTHON ?= python3
TORCH_INDEX ?=

BIN := .venv/bin
# Python compiles a module when it is first imported, and keeps the result, whatever the environment says. To compile all
# modules of 200 packages beforehand would double the time of setting up.
export PYTHONDONTWRITEBYTECODE :=
PIP := $(BIN)/python -m pip install --no-compile -c constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
RUNTIME := .venv/.runtime-installed
NOTEBOOKS := .venv/.notebooks-installed
DEVELOPMENT := .venv/.development-installed

.DEFAULT_GOAL := help
.PHONY: help demo lab solution check test coverage style benchmark evaluate figures toy-smoke full-size notebooks outputs student grade book format clean

help: ## say what there is
	@echo "make TARGET, where TARGET is one of"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile
	@echo "Python: PYTHON=$(PYTHON) (any from 3.11 on). Linux without a GPU: see TORCH_INDEX at the top of the Makefile."

demo: $(RUNTIME) ## install what is needed and make a first video, into out/demo
	$(BIN)/sgi2v demo --out out/demo

# JupyterLab refuses root, who is the only user of many containers, unless it is told.
# The server's root is this folder, not course/, so that links from the chapters to source files can be followed.
lab: $(NOTEBOOKS) ## open your copy of the course, course/, in JupyterLab; LAB='--ip 0.0.0.0' adds options of its own
	@$(BIN)/python notebooks/learner.py
	$(BIN)/python -m jupyterlab $(if $(filter 0,$(shell id -u)),--allow-root) \
		--LabApp.default_url=/lab/tree/course/00_quickstart.ipynb $(LAB)

solution: $(NOTEBOOKS) ## a chapter with solutions and a discussion of each, into course/solutions: make solution CHAPTER=04
	@$(BIN)/python notebooks/learner.py solution '$(CHAPTER)'

# Two processes with a thread each are quicker than one with two: tiny tensors gain little from threads. A file
# stays in one process, so that what it prepares is prepared once.
# Freed memory is kept (by the GNU C library): to get it anew from the system, page by page, takes 40% of decoding a toy's
# video.
PYTEST := OMP_NUM_THREADS=1 MALLOC_TRIM_THRESHOLD_=4294967296 MALLOC_MMAP_THRESHOLD_=4294967296 \
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations=25

check: style ## install everything, check style and types, run the quick tests
	$(PYTEST) -m 'not slow and not browser and not notebook'

test: style ## the same with all tests: browser, notebooks, and what takes more than a few seconds
	$(PYTEST)

coverage: style ## all tests, and which lines they never reach; half as long again
	$(PYTEST) --cov --cov-report=term

style: $(DEVELOPMENT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# These take half an hour or more, and go on where they were when they are interrupted.
benchmark: $(RUNTIME) ## score the bundled toy on held-out scenes, into out/benchmark
	$(BIN)/sgi2v benchmark --seeds 2 --out out/benchmark

evaluate: $(RUNTIME) ## compare SG-I2V with every baseline on held-out scenes and write the report, into out/evaluation
	$(BIN)/sgi2v evaluate --out out/evaluation

figures: $(RUNTIME) ## make the pictures in figures/ again, from the benchmark, the demo and comparisons of settings
	$(BIN)/python -m figures.make_figures --out figures --work out/benchmark

toy-smoke: $(RUNTIME) ## train the toy from scratch for a minute; fails if its losses do not fall
	$(BIN)/python -m sgi2v_lab.toy.training.smoke --out runs/smoke

full-size: $(RUNTIME) ## one step of SVD's full-size UNet with random weights, beside the reference; needs 12 GB
	$(BIN)/python -m sgi2v_lab.bench.full_size --device cpu --out out/full_size.json

# Two ways to write one notebook: people edit the .py, JupyterLab opens the .ipynb. Outputs that are there are kept.
notebooks: $(DEVELOPMENT) ## write each notebook's .ipynb again from its .py
	$(BIN)/jupytext --quiet --to ipynb --update notebooks/[0-9][0-9]_*.py

outputs: notebooks ## run the quickstart and keep its outputs, for people who read it before they run it
	$(BIN)/python notebooks/course.py outputs

# nbgrader's own folders, one assignment a chapter, are in build/course; notebooks/README.md says how to use them.
student: notebooks ## the course without its solutions, into build/student (one chapter: CHAPTER=04); a gradebook into build/course
	$(BIN)/python notebooks/course.py student $(CHAPTER)

grade: $(DEVELOPMENT) ## grade build/course/submitted/NAME/CHAPTER/ into build/course: grades.csv, points.csv, feedback/
	$(BIN)/python notebooks/course.py grade

# What the chapters put out is kept in build/book-cache: a chapter runs again once its code is another one. After a change
# to the package, remove that folder.
book: $(DEVELOPMENT) ## the course with its outputs, the atlas and the reference as pages, into build/book; ten minutes at first
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -b html -d build/book-doctrees -c docs . build/book
	@echo "$$(find build/book -name '*.html' | wc -l) pages: build/book/index.html"

format: $(DEVELOPMENT) ## put the code into the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv, out/ and what the tools left behind; trained models in runs/ and your course/ stay
	rm -rf .venv out build dist htmlcov .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Order-only: the interpreter's own date says nothing about the environment.
$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[evaluation,svd]'
	@touch $@

$(NOTEBOOKS): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[notebooks]'
	@touch $(RUNTIME) $@

$(DEVELOPMENT): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[dev]'
	@touch $(RUNTIME) $(NOTEBOOKS) $@

$(BIN)/python:
	@command -v '$(PYTHON)' >/dev/null || { echo "There is no '$(PYTHON)' here: install Python 3.11 or newer, or name yours: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "sgi2v_lab needs Python 3.11 or newer, and '$(PYTHON)' is $$('$(PYTHON)' --version 2>&1): name a newer one, for example: make PYTHON=python3.11" >&2; exit 1; }
	@'$(PYTHON)' -m venv .venv || { rm -rf .venv; echo "Python could not make .venv (see above); on Debian and Ubuntu, install the package python3-venv." >&2; exit 1; }
