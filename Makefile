# make demo: everything from an empty machine to generated videos. make test: all tests.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check clean

demo: .venv/ready
	$(BIN)/styleganv demo --out runs/demo

test: .venv/ready
	$(BIN)/pytest

# Formatting, lint and types; the import directions are a test of their own (tests/test_imports.py).
check: .venv/ready
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv runs build dist
