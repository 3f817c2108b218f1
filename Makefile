PYTHON ?= python3
ARGS   ?= --port 8080
BIN    := .venv/bin
# A new interpreter, folder or requirement renames the stamp, and so makes the environment anew.
KEY    := $(shell { $(PYTHON) -VV; pwd; cat setup.cfg setup.py requirements.txt; } | cksum | cut -d' ' -f1)
STAMP  := .venv/.ready-$(KEY)
# The clients that the tests drive under node.
NODE   := tests/clients/node_modules/.ready

.PHONY: run test bench soak demo dist image-steps clean

run: $(STAMP)
	$(BIN)/twistd --nodaemon --pidfile= resttorrent $(ARGS)

test: $(STAMP) $(NODE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.run -j 2 tests

bench: $(STAMP)
	$(BIN)/python -m bench

soak: $(STAMP)
	$(BIN)/python -m tests.crash.soak

demo: $(STAMP)
	$(BIN)/python -m bench.demo

dist: $(STAMP)
	rm -rf build dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

image-steps:
	PYTHON=$(PYTHON) sh docs/operate/image-steps.sh

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
