# One command each; every one makes .venv itself when it is missing or older than the lock file.
# `make demo` and `make test` work as the first and only command on a machine that has
# Python 3.11 or later, make and a package index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST_ARGS ?=
BUILDER ?= buildah
IMAGE ?= registry-watcher
BUILD_ARGS ?=
COMPILE = $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras \
  --no-emit-index-url --no-emit-options --no-header

.PHONY: venv aws-tools demo image test check lint types layers bench soak fuzz docs lock clean

venv: $(STAMP)

$(STAMP): tests/requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; try make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

# The aws command and moto, for the tests of ECR: in an environment of their own, for they want an
# older python-dateutil than the Kubernetes client.
aws-tools: $(VENV)/aws/.installed

$(VENV)/aws/.installed: tests/logins/aws-tools.txt | $(STAMP)
	$(PYTHON) -m venv $(VENV)/aws
	$(VENV)/aws/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/logins/aws-tools.txt
	touch $@

demo: venv
	$(BIN)/watcher demo

# The container image, by buildah or docker; BUILD_ARGS="--build-arg BASE=…" has more for it. Only
# docker's format has a place for HEALTHCHECK, which buildah is told by the variable.
image:
	BUILDAH_FORMAT=docker $(BUILDER) build --tag $(IMAGE) \
	  --build-arg VERSION=$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' watcher/__init__.py) \
	  --build-arg REVISION=$$(git rev-parse HEAD) $(BUILD_ARGS) .

test: venv
	$(BIN)/python -m pytest -n 6 $(PYTEST_ARGS)

check: lint types layers test

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv
	$(BIN)/mypy

layers: venv
	$(BIN)/lint-imports

# Ratios against peers on the same work; see benchmarks/README.md.
bench: venv
	$(BIN)/python -m benchmarks

# The long form of the tests that kill the daemon: 200 kills and more.
soak: venv
	$(BIN)/python -m pytest -m soak --timeout=3600 tests/system

# Parsers of what strangers send, and the config loader, on generated inputs for so many seconds in
# all; `make test` tries a few, always the same ones. FUZZ_ARGS narrows it to a file or a name.
FUZZ_SECONDS ?= 60
FUZZ_ARGS ?= tests/fuzz

fuzz: venv
	FUZZ_SECONDS=$(FUZZ_SECONDS) nice $(BIN)/python -m pytest -q -n 0 --timeout=0 $(FUZZ_ARGS)

# What is generated: docs/configuration.md.
docs: venv
	$(BIN)/python -m watcher.cli.reference > docs/configuration.md

# What runs (requirements.lock, also for the image), with it what the tests need, and what the image's
# wheel is built with.
lock: venv
	$(BIN)/python -m pip install --quiet pip-tools
	$(COMPILE) --extra apprise --output-file requirements.lock pyproject.toml
	$(COMPILE) --extra apprise --extra test --constraint requirements.lock --output-file tests/requirements.lock pyproject.toml
	$(COMPILE) --only-build-deps --build-deps-for wheel --constraint tests/requirements.lock \
	  --output-file requirements-build.lock pyproject.toml

clean:
	rm -rf $(VENV) build dist *.egg-info
