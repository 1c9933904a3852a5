# Every target makes the virtual environment it needs. PYTHON chooses the interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# The tests start many hundred processes. Where this is set, each compiles the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: sweep test test-slow test-exhaustive check lint types bench clean

# The main job: a real sweep on MiniGrid, 4 permutations, a few minutes.
sweep: $(READY)
	$(BIN)/ntune --config=./configs/minigrid.yaml --tune=./configs/tune/quick.yaml \
		--run-id=first --out=./grid_search/ trainer.updates=15 sampler.worker_steps=128

# Lint, types and tests.
test: check

check: lint types $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

# Learning and other tests of minutes.
test-slow: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "slow and not exhaustive"

# More random sweeps, and more views of each MiniGrid id, than CI has time for.
test-exhaustive: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m exhaustive

# Against the peers; see benchmarks/README.md.
bench: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt -r benchmarks/peers.txt
	$(BIN)/python -m benchmarks

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	# Their pins are older than they need.
	$(BIN)/python -m pip install --quiet --no-deps memory-gym==1.0.2 hydra-ray-launcher==1.2.2 \
		hydra-optuna-sweeper==1.3.0
	touch $(READY)

clean:
	rm -rf $(VENV) build dist grid_search runs
