PYTHON ?= python3
ARGS   ?= --port 8080
# How long "make soak" takes; SEED repeats a run's dice.
MINUTES ?= 10
BIN    := .venv/bin
# A new interpreter, folder or requirement renames the stamp, and so makes the environment anew.
KEY    := $(shell { $(PYTHON) -VV; pwd; cat setup.cfg setup.py requirements.txt; } | cksum | cut -d' ' -f1)
STAMP  := .venv/.ready-$(KEY)
# The clients that the tests drive under node.
NODE   := tests/clients/node_modules/.ready

.PHONY: run test bench soak demo dist image-steps proxy-steps mutations clean

run: $(STAMP)
	$(BIN)/twistd --nodaemon --pidfile= resttorrent $(ARGS)

# Hundreds of daemons are started: each would compile the package anew where bytecode is not kept.
test: export PYTHONDONTWRITEBYTECODE =
test: $(STAMP) $(NODE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.run -j 3 tests

bench: $(STAMP)
	$(BIN)/python -m bench

soak: $(STAMP)
	$(BIN)/python -m tests.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) --report docs/soak.rst

demo: $(STAMP)
	$(BIN)/python -m bench.demo

dist: $(STAMP)
	rm -rf build dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

image-steps:
	PYTHON=$(PYTHON) sh docs/operate/image-steps.sh

proxy-steps: $(STAMP)
	PYTHON=$(BIN)/python sh docs/operate/proxy-steps.sh

mutations: $(STAMP) $(NODE)
	$(BIN)/python -m tests.mutations

clean:
	rm -rf .venv tests/clients/node_modules build dist *.egg-info _trial_temp* .hypothesis .mypy_cache .ruff_cache .coverage*

$(STAMP):
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	$(BIN)/twistd --help >/dev/null
	touch $@

$(NODE): tests/clients/package.json tests/clients/package-lock.json
	cd tests/clients && npm ci --loglevel=error --ignore-scripts --no-audit --no-fund
	touch $@
