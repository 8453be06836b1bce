# What a contributor needs, one command each. `make` alone lists them.

PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
STATE  ?= .shardstack
MONGOSH := 2.12.0
# What was installed: the lock file and the package's metadata; a change of either installs anew.
STAMP  := $(VENV)/.installed
ANSIBLE := $(VENV)/.ansible-installed

# CORE=1, as .ci/run sets it: of suites that take long, what proves that their place works.
CORE    ?=
COMPOSE := docker compose --file docker-compose.cluster.yml

export SHARDSTACK_STATE := $(STATE)

.DEFAULT_GOAL := help
.PHONY: help ask setup setup-ansible tools up down status compose-up compose-down compose-status test \
  test-browser test-compose test-deploy test-deep test-bare test-all viewer pictures lint format bench drill

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv and install the locked versions

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { \
	  echo "error: there is no $(PYTHON). Install Python 3.11 or newer (apt-get install python3 python3-venv), or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $(PYTHON) is $$($(PYTHON) -V 2>&1), and 3.11 is the oldest that will do. Name a newer one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "error: $(PYTHON) has no venv. Install it: apt-get install python3-venv" >&2; exit 1; }
	@test -x $(RUN) && $(RUN) -m pip --version >/dev/null 2>&1 || { \
	  echo "making $(VENV)"; $(PYTHON) -m venv --clear $(VENV); }
	@echo "installing the locked versions"
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

setup-ansible: $(ANSIBLE) ## Install Ansible into .venv, too, for hosts (0.7 GB)

$(ANSIBLE): $(STAMP) ansible/requirements.lock
	@echo "installing Ansible"
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r ansible/requirements.lock
	@touch $@

tools: .tools/node_modules/.bin/mongosh ## Install mongosh from npm, for the test that uses it

.tools/node_modules/.bin/mongosh:
	@command -v npm >/dev/null || { echo "error: there is no npm. Install it: apt-get install npm" >&2; exit 1; }
	@echo "installing mongosh"
	@npm install --silent --no-audit --no-fund --prefix .tools mongosh@$(MONGOSH)

ask: # With PURGE=1 and without YES=1, go on only if somebody at a terminal says yes.
ifdef PURGE
ifndef YES
	@test -t 0 || { \
	  echo "error: PURGE=1 deletes $(WHAT), and there is nobody to ask. Add YES=1." >&2; exit 1; }
	@printf 'PURGE=1 deletes %s. Go on? [y/N] ' "$(WHAT)"; read -r answer; case "$$answer" in \
	  [yY]*) ;; *) echo "error: nothing was stopped or deleted." >&2; exit 1;; esac
endif
endif

up: setup ## Start the cluster and the API, or make them whole again
	@$(RUN) -m cluster up
	@$(RUN) -m api up

down: WHAT := everything in $(STATE): data, secrets, logs
down: setup ask ## Stop both; PURGE=1 deletes everything in the folder, too (asks, unless YES=1)
	@$(RUN) -m api down
	@$(RUN) -m cluster down $(if $(PURGE),--purge --yes)

status: setup ## Show the members, shards, routers, balancer and API
	@for part in cluster api; do $(RUN) -m $$part status || case $$? in 3) ;; *) bad=1;; esac; done; \
	  exit $${bad:-0}  # 3: it does not run, which is no fault

compose-up: ## Start the whole stack in Docker Compose, HTTPS included
	@deploy/compose/up

compose-down: WHAT := all data and secrets of the stack
compose-down: ask ## Stop it; PURGE=1 deletes its volumes, too (asks, unless YES=1)
	@$(COMPOSE) --profile '*' down --remove-orphans $(if $(PURGE),--volumes)

compose-status: ## Show its members, shards, routers and balancer
	@$(COMPOSE) run --rm --no-deps ops status

test: setup ## Run the tests (on clusters of their own, in temporary folders)
	@$(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not long'

test-browser: setup ## Run the tests that need Chromium and its driver
	@$(RUN) -m pytest tests/browser $(if $(CORE),-m core)

test-compose: setup tools ## Run the tests of the whole stack in containers
	@tests/compose/standin/engine sh -c 'tests/compose/standin/images && $(RUN) -m pytest tests/compose $(if $(CORE),-m core)'

test-deploy: setup setup-ansible ## Run the playbooks on containers that stand in for droplets
	@tests/compose/standin/engine sh -c 'tests/compose/standin/images python caddy && $(RUN) -m pytest tests/hosts $(if $(CORE),-m core)'

test-deep: setup ## Run the tests that take minutes: backups, rolling restarts, made-up requests
	@$(RUN) -m pytest -n 2 --dist loadfile -m 'long$(if $(CORE), and core)'
	@$(if $(CORE),,SHARDSTACK_DEEP=1 $(RUN) -m pytest tests/local/api/test_schemathesis.py)

test-bare: setup ## Run the README's commands and all scripts on a bare Debian 12 and 13
	@tests/compose/standin/engine $(RUN) -m pytest tests/bare

test-all: ## Run everything there is, an hour of it; CI runs a part
	@tests/suites lint test test-browser test-compose test-deploy test-deep test-bare

viewer: ## Renew what is vendored: Swagger UI, Preact and htm, axe-core
	@api/docs/renew
	@api/dashboard/renew
	@tests/browser/vendor/renew

pictures: setup ## Renew the pictures of the pages in imgs/
	@PICTURES=imgs $(RUN) -m pytest tests/browser/test_dashboard_pictures.py

lint: setup ## Check style and types
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/mypy deploy/compose/up
	@$(VENV)/bin/mypy deploy/monitoring/make-dashboards
	@$(VENV)/bin/mypy ansible/filter_plugins/*.py ansible/test_plugins/*.py

format: setup ## Put the code into the project's style
	@$(VENV)/bin/ruff check --fix-only .
	@$(VENV)/bin/ruff format .

drill: TARGET := local
drill: DRILL = $(RUN) -m cluster drill run --target $(TARGET)
drill: setup ## Break what `make up` made (TARGET=compose: compose-up) in the ways of the core set, and judge
	@$(DRILL) core || bad=$$?; \
	  [ $(TARGET) != local ] || url=$$($(RUN) -m api status --json | $(RUN) -c 'import json, sys; print(json.load(sys.stdin)["url"])') && \
	  $(DRILL) api-worker-lost api-replica-lost --through api $${url:+--url "$$url"} || bad=$$?; exit $${bad:-0}

bench: setup ## Compare the API's speed with bare Flask's and Eve's; JSON=FILE, KEEP=1
	@$(RUN) -m tests.bench api $(if $(JSON),--json $(JSON)) $(if $(KEEP),--keep)
