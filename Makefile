# Everything runs in .venv, which is made when it is missing or older than the lock.
# Only Python (3.11 to 3.13), git and make are needed.
PYTHON ?= python3
VENV ?= .venv
PRESET ?= quick
UV = uv==0.13.9
# Columns of dvc exp show that say less than Dice's difference does, or nothing.
DROPPED = .*(iou|hd95_px|hc_error_percent|[.]dice)$$|data.*|models.*|.*/live.*|results/[a-ln-z].*|Created|State|Executor
READY = $(VENV)/.ready

# The checkout's own path may hold anything: it reaches no shell but in a variable.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# Where this is set, each of thirty processes compiles torch anew; empty is unset.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help experiments repro test test-slow preset lint lock dag clean

help:
	@echo "make repro            run the pipeline as params.yaml says; ends with the path of the report"
	@echo "make preset PRESET=x  write params.yaml from presets/x.yaml (quick, phantom, hc18, paper, paper_unet, unlabelled, stable_diffusion, cervix, psfhs, smoke, psfhs_smoke)"
	@echo "make test             the test suite; make test-slow: the tests that kill processes or run long"
	@echo "make experiments      what DVC's experiments changed, and what came of it"
	@echo "make dag              the stages as a graph, one node a stage"
	@echo "make lint             ruff; make lock: pin the newest versions that pyproject.toml allows"

repro: $(READY)
	PIPELINE_ENDS_WITH=$$PPID python -m pipeline.tools.launch.quick_dvc repro
	@echo "Report: $$PWD/results/report.html"

preset: $(READY)
	python -m pipeline.tools.preset "$(PRESET)"

# Two files at a time, each on one thread and the longest first: the suite is for two cores.
test: $(READY)
	OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: $(READY)
	python -m pytest -m slow

experiments: $(READY)
	python -m pipeline.tools.launch.quick_dvc exp show --only-changed --hide-workspace --drop "$(DROPPED)"

dag: $(READY)
	@python -m pipeline.tools.launch.quick_dvc dag --collapse-foreach-matrix --mermaid

lint: $(READY)
	python -m ruff check .
	python -m ruff format --check .

lock: $(READY)
	python -m uv pip compile pyproject.toml --extra dev --extra cluster --universal --python-version 3.11 --upgrade \
	  --no-header --no-annotate -o requirements.lock

# uv installs the lock in about a minute; where it cannot be had, pip does the same more slowly.
$(READY): requirements.lock pyproject.toml
	"$(PYTHON)" -m venv $(VENV)
	if $(VENV)/bin/python -m pip install --quiet $(UV); \
	then VIRTUAL_ENV="$$PWD/$(VENV)" $(VENV)/bin/python -m uv pip install --quiet -r requirements.lock; \
	else $(VENV)/bin/python -m pip install --quiet -r requirements.lock; fi
	$(VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(READY)

clean:
	rm -rf $(VENV) .scratch .pytest_cache .ruff_cache
