# make setup | demo | test | lint: each sets up what it needs in .venv first, and resumes a set-up that was interrupted.
#
# Variables: PYTHON          the Python (3.10 to 3.12) to make .venv with; the first one found by default
#            PIP_TORCH_ARGS  arguments of pip for torch alone, e.g. an --index-url with builds for the CPU
#            TORCH           what to install of torch, e.g. TORCH='torch==2.5.1 torchvision==0.20.1'

VENV := .venv
TORCH ?= torch torchvision
PIP_TORCH_ARGS ?=

SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))
CANDIDATES := python3 python python3.12 python3.11 python3.10
PYTHON ?= $(firstword $(foreach name,$(CANDIDATES),$(shell $(name) -c '$(SUPPORTED)' >/dev/null 2>&1 && echo $(name))))

PIP_INSTALL := $(VENV)/bin/python -m pip install --disable-pip-version-check

.PHONY: help setup demo test lint

help:
	@echo 'make setup   install everything into $(VENV)'
	@echo 'make demo    Blur2Blur on real photographs, at small scale: results/demo/'
	@echo 'make test    run the tests'
	@echo 'make lint    run ruff and mypy'

setup: $(VENV)/.installed

demo: setup
	$(VENV)/bin/b2b demo

test: setup
	$(VENV)/bin/python -m pytest -q

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# One stamp a step: an interrupted set-up goes on with the step it was at.

$(VENV)/.created:
	@'$(PYTHON)' -c '$(SUPPORTED)' 2>/dev/null || { \
	    echo 'error: Python 3.10, 3.11 or 3.12 is needed: make PYTHON=/path/to/python3.12' >&2; exit 2; }
	'$(PYTHON)' -m venv $(VENV)
	$(PIP_INSTALL) --upgrade pip setuptools wheel cython numpy
	@touch $@

$(VENV)/.torch: $(VENV)/.created
	$(PIP_INSTALL) $(PIP_TORCH_ARGS) $(TORCH)
	@touch $@

# The build of basicsr imports torch, so it cannot be isolated from it.
$(VENV)/.basicsr: $(VENV)/.torch
	$(PIP_INSTALL) --no-build-isolation 'basicsr>=1.4.2'
	@# its opencv-python needs libGL, which a machine without a screen may lack
	@$(VENV)/bin/python -c 'import cv2' 2>/dev/null || \
	    $(PIP_INSTALL) --force-reinstall --no-deps opencv-python-headless
	@touch $@

$(VENV)/.installed: $(VENV)/.basicsr setup.py pyproject.toml
	$(PIP_INSTALL) --no-build-isolation --editable '.[demo,dev]'
	@touch $@
