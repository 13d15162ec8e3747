# Two commands do everything: `make serve` and `make test`. They need Python 3.11 or newer and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: help serve test check bench bench-deid crash fuzz soak certs format style lint types layers lock clean

help:
	@echo "make serve   set up what is needed and run the node with config/"
	@echo "make test    set up what is needed and run all tests"
	@echo "make check   the gate: format, lint, types, layers, tests"
	@echo "make bench   measure the node beside its peers and the disk (ARGS=--quick)"
	@echo "make bench-deid  plant identities in vendor files and score what comes out"
	@echo "make certs   make certificates for trying out TLS (DIR=var/test-certs)"
	@echo "make crash   kill a node under load, again and again (ARGS=\"--minutes 30 --seed 7\")"
	@echo "make fuzz    send it what is wrong (ARGS, also --coverage)"
	@echo "make soak    let it work for long and look whether anything grows (ARGS)"
	@echo "make format  format the code"
	@echo "make lock    lock the requirements anew"
	@echo "make clean   remove the environment and caches; var/ stays"

# What the node itself needs; the stamp is made anew when a lock changes.
$(VENV)/runtime.stamp: requirements/runtime.txt requirements/build.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV) (once) ..." >&2
	@$(PIP) install --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/runtime.stamp requirements/dev.txt
	@echo "Setting up the tools for tests (once) ..." >&2
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

serve: $(VENV)/runtime.stamp
	@exec $(BIN)/dicomanon-node serve

certs: $(VENV)/runtime.stamp
	@$(BIN)/dicomanon-node certs $(or $(DIR),var/test-certs)

test: $(VENV)/dev.stamp
	@$(BIN)/pytest

check: $(VENV)/dev.stamp
	@$(MAKE) --no-print-directory style lint types layers test

style: $(VENV)/dev.stamp
	@$(BIN)/ruff format --check .

bench: $(VENV)/dev.stamp
	@$(BIN)/python -m benchmarks.throughput $(ARGS)

bench-deid: $(VENV)/dev.stamp
	@$(BIN)/python -m benchmarks.deid

# The campaigns for longer than the gate has time; each prints a line and what it found.
crash: $(VENV)/dev.stamp
	@PYTHONPATH=tests $(BIN)/python tests/crash/campaign.py $(ARGS)

fuzz: $(VENV)/dev.stamp
	@PYTHONPATH=tests $(BIN)/python tests/fuzz/fuzz.py $(ARGS)

soak: $(VENV)/dev.stamp
	@PYTHONPATH=tests $(BIN)/python tests/soak/soak.py $(ARGS)

format: $(VENV)/dev.stamp
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lint: $(VENV)/dev.stamp
	@$(BIN)/ruff check .

types: $(VENV)/dev.stamp
	@$(BIN)/mypy

layers: $(VENV)/dev.stamp
	@$(BIN)/lint-imports

lock: $(VENV)/dev.stamp
	@for name in build runtime dev bench; do \
		$(BIN)/uv pip compile --quiet --python-version 3.11 --universal --generate-hashes \
			--no-emit-index-url --no-emit-find-links --no-header \
			requirements/$$name.in --output-file requirements/$$name.txt; \
	done

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
