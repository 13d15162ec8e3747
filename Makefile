# Two commands do everything: `make serve` and `make test`. They need Python 3.11 or newer and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: certs help serve test check bench bench-deid format lint types layers lock clean

help:
	@echo "make serve   set up what is needed and run the node with config/"
	@echo "make test    set up what is needed and run all tests"
	@echo "make check   the gate: format, lint, types, layers, tests"
	@echo "make bench   measure the node beside its peers and the disk (ARGS=--quick)"
	@echo "make bench-deid  plant identities in vendor files and score what comes out"
	@echo "make certs   make certificates for trying out TLS (DIR=var/test-certs)"
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
	@$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory lint types layers test

bench: $(VENV)/dev.stamp
	@$(BIN)/python -m benchmarks.throughput $(ARGS)

bench-deid: $(VENV)/dev.stamp
	@$(BIN)/python -m benchmarks.deid

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
