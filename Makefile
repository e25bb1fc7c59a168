# Everything runs in .venv, made on first use.   make demo | quick | seeds | controls | test | test-all | bench | lint | clean
SHELL := /bin/bash
PYTHON ?= python3
# The package index torch comes from; empty: pip's own. On Linux without a GPU, PyTorch's CPU index saves 2 GB.
TORCH_INDEX ?=
# cpu: do not use a GPU that is there. Otherwise it is used.
TORCH ?=
SEED ?= 0

ifdef USE_VLLM
$(error rollouts by vLLM are not part of this version yet; leave USE_VLLM out)
endif

BIN := .venv/bin
ifeq ($(TORCH),cpu)
export ACCELERATE_USE_CPU := true
endif
# One process needs no launcher; `accelerate launch recipes/…` is for several, and costs seconds of start-up.
RUN := $(BIN)/python
INSTALLED := .venv/.installed

.PHONY: demo quick seeds controls test test-all bench lint clean

demo: $(INSTALLED)  ## the headline: d = 50, p_cot = 0.25, NTP then GRPO, then the report
	$(RUN) recipes/sft.py --config recipes/parity/headline/sft.yaml --seed $(SEED) --move_aside true
	$(RUN) recipes/grpo.py --config recipes/parity/headline/grpo.yaml --seed $(SEED)
	$(BIN)/python eval/report.py runs/parity-headline

quick: $(INSTALLED)  ## the headline in small: d = 20
	$(RUN) recipes/sft.py --config recipes/parity/quick/sft.yaml --seed $(SEED) --move_aside true
	$(RUN) recipes/grpo.py --config recipes/parity/quick/grpo.yaml --seed $(SEED)
	$(BIN)/python eval/report.py runs/parity-quick

seeds: $(INSTALLED)  ## the headline three times; the table of the README
	for seed in 0 1 2; do \
	  for stage in sft grpo; do \
	    $(RUN) recipes/$$stage.py --config recipes/parity/headline/$$stage.yaml \
	      --seed $$seed --run_dir runs/parity-headline-seed$$seed || exit; \
	  done; \
	done
	$(BIN)/python eval/report.py runs/parity-headline-seed{0,1,2} --out runs/parity-headline-seeds

controls: $(INSTALLED)  ## p_cot = 0.5 generalises by NTP alone; p_cot = 0 never does
	$(RUN) recipes/sft.py --config recipes/parity/control-half/sft.yaml
	$(RUN) recipes/sft.py --config recipes/parity/control-zero/sft.yaml
	$(RUN) recipes/grpo.py --config recipes/parity/control-zero/grpo.yaml
	$(BIN)/python eval/report.py runs/parity-control-{half,zero} --out runs/parity-controls

test: $(INSTALLED)  ## under three minutes
	$(BIN)/python -m pytest -m "not slow"

test-all: $(INSTALLED)  ## what CI runs
	$(BIN)/python -m pytest

bench: $(INSTALLED)  ## against hand-written loops, on this machine
	$(BIN)/python eval/bench.py --json bench.json

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rarecot needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -c constraints.txt torch
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv
