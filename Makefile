# `make train` fine-tunes the demonstration, `make test` runs the tests; both install what they need first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Two thread pools on the same cores slow each other down many times over.
export OMP_NUM_THREADS ?= $(shell nproc 2>/dev/null || echo 1)
export TOKENIZERS_PARALLELISM ?= true

# Test processes side by side, one thread each.
TEST_PROCESSES ?= 2

.PHONY: train test test-slow test-xla lint format docs clean

train: $(VENV)/.hfcls
	@$(BIN)/accelerate launch --config_file accelerate_configs/cpu.yaml train.py recipes/quickstart.yaml

test: $(VENV)/.hfcls-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_PROCESSES)

test-slow: $(VENV)/.hfcls-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow -n $(TEST_PROCESSES) --dist loadfile

# The launch on XLA's CPU device, in an environment of its own: torch_xla needs another torch (7 GB with its CUDA libraries).
test-xla: $(VENV)-xla/.hfcls
	OMP_NUM_THREADS=1 PJRT_DEVICE=CPU $(VENV)-xla/bin/python -m pytest -m '' tests/xla

lint: $(VENV)/.hfcls-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

format: $(VENV)/.hfcls-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.hfcls-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "the site is in site/; $(BIN)/mkdocs serve shows it and follows changes"

clean:
	rm -rf $(VENV) $(VENV)-xla outputs site .pytest_cache .ruff_cache .mypy_cache .hypothesis

$(BIN)/python:
	@echo "creating the virtual environment $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "could not create $(VENV): $(PYTHON) must be 3.10 or newer with the venv module (Debian: apt install python3-venv)"; exit 1; }

$(VENV)/.hfcls: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing hfcls (a few minutes the first time) ..."
	$(INSTALL) -e '.[report]'
	@touch $@

$(VENV)/.hfcls-dev: $(VENV)/.hfcls
	$(INSTALL) -e '.[dev]'
	@touch $@

$(VENV)-xla/.hfcls: pyproject.toml constraints.txt constraints-xla.txt
	$(PYTHON) -m venv $(VENV)-xla
	grep -v '^torch==' constraints.txt > $(VENV)-xla/constraints.txt
	$(VENV)-xla/bin/python -m pip install --quiet --disable-pip-version-check \
	  -c $(VENV)-xla/constraints.txt -c constraints-xla.txt -e . torch_xla pytest
	@touch $@
