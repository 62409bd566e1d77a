# `make help` lists what there is. Works from any directory: make -C path/to/checkout run

MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
ROOT := $(abspath $(dir $(lastword $(MAKEFILE_LIST))))
VENV ?= $(ROOT)/.venv
BIN := $(VENV)/bin
MANAGE := $(BIN)/python $(ROOT)/manage.py
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes

# The first interpreter that runs and is new enough; or say: make PYTHON=python3.12 setup
PYTHON ?= $(shell for candidate in python3 python3.13 python3.12 python3.11; do \
	$$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$candidate && break; done)

.DEFAULT_GOAL := help
.PHONY: help setup run demo test check faults screens bench lock

help: ## List the commands
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1	\2/p' $(ROOT)/Makefile | expand -t 16
	@echo
	@echo "  python manage.py help lists the operator's commands, each with its own --help."

setup: $(VENV)/.run-time ## Install what the program needs into .venv

run: $(VENV)/.run-time ## Start everything with the demo's data; Ctrl-C stops it
	@exec $(MANAGE) run $(ARGS)

demo: $(VENV)/.run-time ## Run the main job once in the terminal and show the figures
	@exec $(MANAGE) demo $(ARGS)

test: $(VENV)/.development ## Run the tests, on a throw-away database
	@cd $(ROOT) && exec $(BIN)/python -m pytest $(ARGS)

bench: $(VENV)/.development ## Measure the pipeline beside the obvious design
	@exec $(MANAGE) bench pipeline $(ARGS)

faults: $(VENV)/.development ## Kill, freeze, cut and lie to everything, and count the people
	@cd $(ROOT) && exec $(BIN)/python -m faults $(ARGS)

check: $(VENV)/.development ## Run every static check
	@cd $(ROOT) && BIN=$(BIN) exec .ci/check

screens: $(VENV)/.development ## Take a picture of every page in every look, into .local/screens
	@cd $(ROOT) && rm -rf .local/screens && mkdir -p .local/screens && \
	GALLERY=.local/screens $(BIN)/python -m pytest tests/browser/test_every_page.py -q $(ARGS); \
	status=$$?; $(BIN)/python -m tests.browser.screens .local/screens; exit $$status

lock: $(VENV)/.development ## Lock the requirements again (needs uv)
	@$(BIN)/python $(ROOT)/.ci/lock.py

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with venv is needed: apt-get install python3 python3-venv"; exit 1; }
	@echo "Making $(VENV) with $(PYTHON)."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run-time: $(ROOT)/requirements.txt $(ROOT)/requirements-embedded.txt | $(VENV)/bin/python
	@echo "Installing the requirements."
	@$(PIP) -r $(ROOT)/requirements.txt -r $(ROOT)/requirements-embedded.txt
	@touch $@

$(VENV)/.development: $(ROOT)/requirements-dev.txt $(VENV)/.run-time
	@echo "Installing what tests and checks need."
	@$(PIP) -r $(ROOT)/requirements-dev.txt
	@touch $@
