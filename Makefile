# Two commands on a fresh machine: `make demo` installs everything and does the main job, `make test` runs the tests.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin

.PHONY: demo test lint types layers bench clean

demo: $(VENV)/.installed
	$(BIN)/modalmix demo --out demo

test: $(VENV)/.installed-test
	$(BIN)/pytest

lint: $(VENV)/.installed-dev types layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Types and imports are checked below build/typed, where the checkout has the name of the package, whatever its own.
types: $(VENV)/.installed-dev
	mkdir -p build/typed && ln -sfn ../.. build/typed/modalmix
	cd build/typed && $(abspath $(BIN))/mypy --config-file ../../pyproject.toml -m modalmix -m modalmix.__main__ -p modalmix.builders -p modalmix.cards -p modalmix.upload

layers: $(VENV)/.installed-dev
	mkdir -p build/typed && ln -sfn ../.. build/typed/modalmix && ln -sf ../../pyproject.toml build/typed
	cd build/typed && $(abspath $(BIN))/lint-imports

# A short run of the main benchmarks, some five minutes; docs/performance.md has the figures of long ones.
bench: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/startup.py --repeats 3
	$(BIN)/python tests/benchmarks/reading.py --mb 64 --repeats 3
	$(BIN)/python tests/benchmarks/streaming_formats.py --rows 1000 --repeats 3
	$(BIN)/python tests/benchmarks/checking.py --megabytes 20 --pictures 500 --clips 20 --repeats 3
	$(BIN)/python tests/benchmarks/building.py --sizes 90000 --total 500000000 --repeats 3 --peers copy build pyarrow
	$(BIN)/python tests/benchmarks/archives.py --mb 100 --repeats 3
	$(BIN)/python tests/benchmarks/paths.py --files 50000 --repeats 3

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install -q -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install -q -e ".[test]"
	touch $@

$(VENV)/.installed-dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install -q -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) demo build
