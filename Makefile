# make demo: everything from an empty machine to generated videos. make test: all tests but a few long ones.
PYTHON ?= python3
BIN := .venv/bin
# Files stay on one process, and start in the order of tests/conftest.py.
PYTEST := $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder
TSC := npx --yes -p typescript@5.9.3 tsc -p src/styleganv/studio/page
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo quick test long coverage check docs fuzz crash wheel wheel-newest wheel-oldest clean

demo: .venv/ready
	$(BIN)/styleganv demo --out runs/demo

# Tests start hundreds of processes, which would all compile the modules that they import.
unexport PYTHONDONTWRITEBYTECODE

# The networks and matrices of the tests are so small that a second thread only waits, which OpenBLAS does at full load.
test long quick coverage: export OMP_NUM_THREADS := 1

test: .venv/dev
	$(PYTEST) -m "not long"

# What takes tens of seconds per test: trainings until networks have learned something, and rehearsals of several machines.
long: .venv/dev
	$(PYTEST) -m long

# What to run while working: neither slow tests nor a browser.
quick: .venv/dev
	$(PYTEST) -m "not slow and not long and not browser"

coverage: .venv/dev
	$(PYTEST) --cov --cov-report term-missing:skip-covered --cov-report html:build/coverage

# The site, without a network connection: open build/site/index.html. REPOSITORY_URL is where links to code lead.
docs: .venv/dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# 1,500 seeded cases of bad and unusual input, and over 100 kills at random moments; see docs/reliability.md. Linux only.
# FUZZ and CRASH add options, e.g. make fuzz FUZZ='--kind media --cases 200'.
fuzz: .venv/dev
	$(BIN)/python -m tests.campaigns.fuzz $(FUZZ)

crash: .venv/dev
	$(BIN)/python -m tests.campaigns.crash $(CRASH)

# Formatting, lint and types, also of the studio's page; the import directions are a test of their own (tests/test_imports.py).
check: .venv/dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check --no-cache
	$(BIN)/mypy
	@if [ -n "$$CI" ] || command -v npx > /dev/null; then $(TSC); \
	else echo "The types of the studio's page were not checked: install Node.js, which brings npx."; fi

# Wheel and sdist in dist/, with the checks of the package index.
wheel: build/tools
	rm -f dist/styleganv-*
	$</bin/python -m build
	$</bin/twine check --strict dist/*

# The wheel in an empty environment with the newest, or the oldest, dependencies that pyproject.toml allows, and a demo in
# it. TORCH selects a build of PyTorch, e.g. make wheel-oldest TORCH=2.13.0+cpu.
UV := build/tools/bin/uv
UV_INSTALL = $(UV) pip install --python build/$@ $(if $(TORCH),--override build/torch.txt)
wheel-newest: RESOLUTION = highest
wheel-oldest: RESOLUTION = lowest-direct
wheel-newest wheel-oldest: wheel
	echo "torch==$(TORCH)" > build/torch.txt
	$(UV) venv --clear --python $(PYTHON) build/$@
	$(UV_INSTALL) --resolution $(RESOLUTION) -r pyproject.toml
	$(UV_INSTALL) --no-deps dist/*.whl
	$(UV) pip check --python build/$@
	cd build && $@/bin/styleganv demo --quick --out $@/demo

build/tools: constraints.txt
	$(PYTHON) -m venv $@
	$@/bin/pip install --quiet --disable-pip-version-check -c constraints.txt build twine uv
	touch $@

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) -e .
	touch $@

# The optional parts too, since they are tested.
.venv/dev: .venv/ready
	$(PIP) -e '.[dev]'
	touch $@

clean:
	rm -rf .venv runs build dist
