# Every command of the project, for people and for CI. Installs into this folder (node_modules, .venv, .venv-mlflow, target);
# downloads pass through the caches of npm, pip, uv and Maven in the home folder. What runs is millrace itself
# (bin/millrace), this file only wires it.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

arch := $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x64)
node := node_modules/node-linux-$(arch)/bin/node
stamps := target/stamps
# Modules are compiled here once, not by each process that imports them: where bytecode is not written on the way (a read-only
# checkout, PYTHONDONTWRITEBYTECODE) MLflow's server and every Ray worker would spend ten seconds of processor time on it at each start.
# The Pythons uv would download come from elsewhere than the package registry: the machine's own is used.
uv := UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1 UV_COMPILE_BYTECODE=1 target/uv/bin/uv
# Without a home folder that can be written, caches lie in target/cache; one that a variable names is left where it is.
ifneq ($(shell [ -n "$$HOME" ] && tried=$$(mktemp -d "$$HOME/.millrace.XXXXXX" 2>/dev/null) && rmdir "$$tried" && echo yes),yes)
export npm_config_cache ?= $(CURDIR)/target/cache/npm
export PIP_CACHE_DIR ?= $(CURDIR)/target/cache/pip
export UV_CACHE_DIR ?= $(CURDIR)/target/cache/uv
maven_cache := "-Dmaven.repo.local=$(CURDIR)/target/cache/maven"
endif
page := $(shell find ts/web ts/client -type f ! -name '*.test.ts*') $(wildcard ts/pipelines/*/page.tsx)
maven_poms := $(shell find infra/local/maven -name pom.xml)

.PHONY: help setup check up down clean demo demo-live demo-city compose-up compose-demo compose-down test test-quick test-unit test-cluster test-browser test-compose bench prove generate golden lock

help: ## Lists these targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sort | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(stamps)/node $(stamps)/machine $(stamps)/web $(stamps)/python $(stamps)/mlflow $(stamps)/jars $(stamps)/classes ## Installs what is missing or has changed: Node packages, the page, Python environments, engine jars, the archive of Spark's classes

# No package here needs its install scripts: what could run code at install time does not.
$(stamps)/node: package.json package-lock.json infra/local/npm.sh $(wildcard infra/compose/npm/*.json)
	@echo "setup: Node packages (npm ci)"
	@infra/local/npm.sh
	@mkdir -p $(@D) && touch $@

# Asks once for what only the machine can bring, before anything fails for the lack of it with a worse message.
$(stamps)/machine: $(stamps)/node
	@bin/millrace doctor --before-setup
	@mkdir -p $(@D) && touch $@

# The page that the API serves, and the atlases it draws on: from what npm has brought, nothing else is asked.
$(stamps)/web: $(page) $(stamps)/node
	@echo "setup: the page (vite)"
	@$(node) node_modules/vite/bin/vite.js build --config ts/web/vite.config.ts --logLevel warn
	@mkdir -p $(@D) && touch $@

target/uv/bin/uv: infra/local/uv.txt infra/local/python.sh | $(stamps)/machine
	@echo "setup: uv"
	@rm -rf target/uv && python=$$(infra/local/python.sh) && "$$python" -m venv target/uv
	@target/uv/bin/python -m pip install --quiet --disable-pip-version-check --requirement infra/local/uv.txt
	@touch $@

$(stamps)/python: pyproject.toml uv.lock | target/uv/bin/uv
	@echo "setup: Python environment of the jobs (.venv)"
	@python=$$(infra/local/python.sh) && $(uv) sync --quiet --frozen --python "$$python"
	@mkdir -p $(@D) && touch $@

$(stamps)/mlflow: infra/local/mlflow/requirements.txt | target/uv/bin/uv
	@echo "setup: Python environment of the MLflow server (.venv-mlflow)"
	@python=$$(infra/local/python.sh) && $(uv) venv --quiet --allow-existing --python "$$python" .venv-mlflow
	@$(uv) pip sync --quiet --require-hashes --python .venv-mlflow/bin/python infra/local/mlflow/requirements.txt
	@mkdir -p $(@D) && touch $@

# From scratch each time a pom changes: a jar left over from another version would be on the class path.
$(stamps)/jars: $(maven_poms) | $(stamps)/machine
	@echo "setup: engine jars (Maven)"
	@rm -rf target/engines && mvn $(maven_cache) --batch-mode --quiet --no-transfer-progress --threads 4 --file infra/local/maven package
	@mkdir -p $(@D) && touch $@

# What Spark's JVMs share from here on; holds for these jars and this Java.
$(stamps)/classes: infra/local/spark/shared_classes.py $(stamps)/python $(stamps)/jars
	@echo "setup: archive of Spark's classes"
	@.venv/bin/python infra/local/spark/shared_classes.py target/engines/spark target/engines/spark-classes.jsa
	@mkdir -p $(@D) && touch $@

check: setup ## Formats, types and lints, and that generated files are fresh
	@node_modules/.bin/biome check --error-on-warnings
	@$(node) node_modules/typescript/bin/tsc --noEmit
	@.venv/bin/ruff check jobs infra && .venv/bin/ruff format --check jobs infra
	@.venv/bin/mypy
	@bin/millrace generate --check

up: setup ## Starts the engines: Kafka, schema registry, Spark, Ray, MLflow
	@bin/millrace up

down: ## Stops supervisor, jobs and engines
	@if [ -x $(node) ]; then bin/millrace down; fi

demo: setup ## Everything at once: engines, training, stream, API; stays until Ctrl-C (DETACH=1 returns, OPEN=1 opens the page)
	@bin/millrace demo $(if $(DETACH),--detach) $(if $(OPEN),--open)

demo-live: setup ## The same on live weather and its last 92 days (PLACE="Lisbon, Oslo", FEED=nws, DETACH=1); made up where there is no internet
	@bin/millrace demo weather --live $(if $(PLACE),--place "$(PLACE)") $(if $(FEED),--feed $(FEED)) $(if $(DETACH),--detach) $(if $(OPEN),--open)

demo-city: setup ## City weather on HDFS: made-up values, JSON Lines, hourly analytics, their API and page (DETACH=1, OPEN=1)
	@bin/millrace demo city $(if $(DETACH),--detach) $(if $(OPEN),--open)

# Of any pipeline whose definition has a demo: make demo-weather.
demo-%: setup
	@bin/millrace demo $* $(if $(DETACH),--detach) $(if $(OPEN),--open)

compose-up: ## Builds and starts everything in containers (SIZE=large); needs Docker and nothing else
	@infra/compose/compose.sh up

compose-demo: ## The whole line in containers: train, stream, serve
	@infra/compose/compose.sh demo

compose-down: ## Removes the containers (VOLUMES=1: their data too)
	@infra/compose/compose.sh down

test: setup ## All tests: check, unit, cluster on real engines, browser
	@infra/local/chromium.sh
	@$(node) ts/test/suite.ts all

test-quick: setup ## The fast unit tests: a developer's loop
	@$(node) ts/test/suite.ts quick

test-unit: setup ## Unit and contract tests, nothing running
	@$(node) ts/test/suite.ts unit

test-cluster: setup ## Tests on real engines, started on ports of their own
	@$(node) ts/test/suite.ts cluster

test-browser: setup ## Tests of the page in a real Chromium
	@infra/local/chromium.sh
	@$(node) ts/test/suite.ts browser

test-compose: setup ## Tests of the line in containers; skipped where no Docker daemon answers
	@$(node) ts/test/suite.ts compose

bench: setup ## Measures latency, throughput and memory; writes out/bench.json
	@bin/millrace bench

prove: setup ## The tests' proofs at full counts; writes docs/proof
	@bin/millrace prove

generate: setup ## Writes schemas, TypeScript and Python from the contracts and pipelines
	@bin/millrace generate

golden: setup ## Rewrites what tests hold of the wire, after a change that is meant to move it
	@$(node) ts/test/golden.write.ts

lock: target/uv/bin/uv ## Resolves both Python environments again and writes their lock files
	@python=$$(infra/local/python.sh) && $(uv) lock --quiet --python "$$python"
	@$(uv) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
		infra/local/mlflow/requirements.in --output-file infra/local/mlflow/requirements.txt

clean: down ## Stops everything and removes state, logs and reports (not what setup installed)
	@rm -rf .millrace out .hypothesis .pytest_cache .mypy_cache .ruff_cache
