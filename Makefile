# FedSiege: `make` alone explains itself.
#
# Every target has its `##` text on its own line. Variables are those of the command behind a target,
# which checks them: they stand in no list here, and a new option of a command is one of make too.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help settings sim serve classifier image up down test test-containers lint proto bench bench-containers bench-rules ladder docs build ranges release clean

VENV := .venv
BUF := node_modules/.bin/buf
COMPOSE = $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
BUF_VERSION := 1.75.0
BUF_READY := node_modules/.buf-$(BUF_VERSION)
MERMAID_VERSION := 12.3.0
MERMAID := node_modules/mermaid@$(MERMAID_VERSION)/mermaid.min.js
PROTOS := $(shell find protos -type f)
THIS := $(firstword $(MAKEFILE_LIST))

# More options for the command behind the target, as they are, and the Python, 3.11 or later, that
# makes .venv.
ARGS ?=
PYTHON ?= python3
IMAGE ?= fedsiege:latest

# Targets whose command takes what stands on make's command line.
PASS_ON := sim serve classifier ladder up release

# $(given): the variables of make's command line. $(call quoted,NAME): the value of one, and
# $(call assignments,NAMES): NAME='value' for each, both safe from the shell; `value` keeps a dollar
# sign what it is.
given := $(filter-out ARGS PYTHON,$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name))))
quoted = '$(subst ','\'',$(value $(1)))'
assignments = $(foreach name,$(1),$(name)=$(call quoted,$(name)))
# The environment may set them too; what it holds beside them is passed over.
passed_on = --plain-environment $(call assignments,$(given)) $(ARGS)

ifneq ($(given),)
ifeq ($(filter $(PASS_ON),$(MAKECMDGOALS)),)
$(error make $(or $(MAKECMDGOALS),help) takes no variables but ARGS and PYTHON, not $(given))
endif
endif

help: ## Print this help
	@awk '\
		BEGIN { print "make TARGET [VARIABLE=value ...]\n\nTargets" } \
		/^[a-z-]+:.* ## / { \
			name = $$0; sub(/:.*/, "", name); sub(/^.* ## /, ""); printf "  %-18s %s\n", name, $$0 \
		} \
		END { print "\nExample: make sim ATTACK=0.3 RULE=krum ROUNDS=20\n" }' $(THIS)
	@if [ -e $(VENV)/.ready ]; then \
		echo 'Variables of sim; the environment may set them too'; echo; $(VENV)/bin/fedsiege settings; \
	else echo 'make settings lists the variables of sim; it installs FedSiege first.'; fi

settings: $(VENV)/.ready ## List the variables of sim and their defaults
	@exec $(VENV)/bin/fedsiege settings

sim: $(VENV)/.ready ## Run an experiment: four services on this machine, a table and files at the end
	@exec $(VENV)/bin/fedsiege sim $(passed_on)

serve: $(VENV)/.ready ## Run the services until Ctrl-C, to be driven over gRPC; takes DATA, WORKERS, CLIENTS, PORT
	@exec $(VENV)/bin/fedsiege serve $(passed_on)

classifier: $(VENV)/.ready ## Train and test the base model; takes MODEL, DATASET, DATA, SEED, EPOCHS, OUT
	@exec $(VENV)/bin/fedsiege classifier $(passed_on)

image: ## Build the image of all services, fedsiege:latest
	@docker/engine.sh start
	@docker/image.sh

# How many clients, and the credentials of containers where enrolment asks for them: made by the image,
# as the user of make.
containers = $(or $(CLIENTS),10)
closed = $(filter-out open,$(ADMISSION))
prepare_admission = docker run --rm --user "$$(id -u):$$(id -g)" --volume "$$PWD:/here" \
	--workdir /here $(IMAGE) fedsiege admission '$(ADMISSION)' --clients='$(containers)' \
	$(if $(LEAKED),--leaked='$(LEAKED)')
# Checked by the image before anything starts; these are for Compose itself.
for_simulator = $(call assignments,$(filter-out CLIENTS DATA IMAGE PLUGIN,$(given)))
# With PLUGIN the check loads the files too, where they are in the containers.
with_plugins = $(if $(PLUGIN),-f .plugins.yml)
in_image = $(if $(PLUGIN),$(COMPOSE) -f docker-compose.yml $(with_plugins) run --rm --no-deps -T aggregator,\
	docker run --rm $(IMAGE))

up: image ## Run the federation in containers: CLIENTS of them (10), ADMISSION, ATTACK, PLUGIN, ...
	@$(if $(PLUGIN),docker/plugins.sh $(call quoted,PLUGIN) >.plugins.yml || exit;) \
		settings=$$($(in_image) fedsiege settings --join $(for_simulator)) || exit; \
		$(if $(closed),$(prepare_admission) || exit; \
			export OWNER=$$(ls -nd admission/clients | awk '{ print $$3 ":" $$4 }');) \
		SETTINGS="$${SETTINGS:+$$SETTINGS }$$settings" MIN_CLIENTS=$${MIN_CLIENTS:-$(containers)} exec $(COMPOSE) \
		$(if $(PLUGIN)$(closed),-f docker-compose.yml) $(with_plugins) \
		$(if $(closed),-f docker/$(ADMISSION).yml) up --scale client=$(containers)

down: ## Remove the containers
	@$(COMPOSE) down

test-containers: $(VENV)/.ready-dev $(BUF_READY) ## Run the tests of the containers, on a real engine
	@docker/engine.sh run $(VENV)/bin/python -m pytest $(if $(filter tests/%,$(ARGS)),,tests/containers) $(ARGS)

# Bytecode is written also where the environment forbids it: the tests start some hundred processes.
test: $(VENV)/.ready-dev ## Run the tests but the slow ones; ARGS='-m slow' runs those
	@PYTHONDONTWRITEBYTECODE= exec $(VENV)/bin/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=worksteal $(ARGS)

lint: $(VENV)/.ready-dev ## Check style, format, types and the direction of imports
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

proto: $(BUF_READY) $(VENV)/.ready ## Check the contract, compare it with main, generate its stubs anew
	$(BUF) lint protos
	@$(compare_protos)
	@$(PIP) install --quiet --no-deps -e .
	@echo 'stubs: generated anew in fedsiege/v1'

bench: $(VENV)/.ready ## Measure side by side with peers
	@exec $(VENV)/bin/python -m benchmarks $(ARGS)

bench-rules: $(VENV)/.ready ## Measure the aggregation rules beside ByzFL's
	@exec $(VENV)/bin/python -m benchmarks.rules $(ARGS)

ladder: $(VENV)/.ready ## Set every attack of experiments/ladder.yaml against every rule (90 minutes); takes DATA, OUT
	@exec $(VENV)/bin/fedsiege grid experiments/ladder.yaml --jobs="$$(nproc)" $(passed_on)

bench-containers: $(VENV)/.ready ## Measure what containers do, on a real engine
	@docker/engine.sh run $(VENV)/bin/python -m benchmarks.containers $(ARGS)

docs: $(VENV)/.ready-docs $(MERMAID) ## Build the site, docs/_build/html; ARGS='-b linkcheck' tries the links to other sites
	@$(VENV)/bin/sphinx-build -E -a -W -n --keep-going --quiet -b html $(ARGS) docs docs/_build/html
	@echo 'docs: python3 -m http.server --directory docs/_build/html shows the site on port 8000'

build: $(VENV)/.ready-dev ## Build the source archive and the wheel into dist/, and check them
	@.ci/build

ranges: $(VENV)/.ready-dev ## Test with the oldest and newest packages allowed, torch's too (10 GB, 10 minutes)
	@.ci/ranges --torch

release: $(VENV)/.ready-dev ## Write a version and its changelog, commit, tag, build; takes VERSION
	@exec $(VENV)/bin/python .ci/release.py $(call assignments,$(given)) $(ARGS)

pictures: $(VENV)/.ready-dev ## Make the pictures of the documentation, by the commands shown; needs MNIST
	@exec $(VENV)/bin/python -m tests.docs.pictures

clean: ## Remove .venv, node_modules, stubs, caches and builds; runs and data sets stay
	rm -rf $(VENV) node_modules build dist fedsiege.egg-info fedsiege/v1 .bench docs/_build docs/reference
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find fedsiege services tests benchmarks -type d -name __pycache__ -prune -exec rm -rf {} +

# The environment. Both variables name the lock, so that the build's own tools are pinned too: older
# pips (23.2 was tried) take the first for them, newer ones (26.3) the second.
PIP := PIP_CONSTRAINT=requirements.lock PIP_BUILD_CONSTRAINT=requirements.lock \
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(VENV)/bin/python -m pip
INPUTS := pyproject.toml setup.py requirements.lock $(PROTOS)

$(VENV)/.ready: $(INPUTS)
	@$(make_environment)
	@$(PIP) install -e .
	@touch $@

$(VENV)/.ready-dev: $(INPUTS)
	@$(make_environment)
	@$(PIP) install -e '.[dev]'
	@touch $(VENV)/.ready $@

$(VENV)/.ready-docs: $(INPUTS)
	@$(make_environment)
	@$(PIP) install -e '.[docs]'
	@touch $(VENV)/.ready $@

define make_environment
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo 'FedSiege needs Python 3.11 or later and "$(PYTHON)" is not that. Name one that is:' \
		'make sim PYTHON=python3.11' >&2; exit 1; }; \
[ -x $(VENV)/bin/pip ] || $(PYTHON) -m venv $(VENV) || { \
	echo 'Python cannot make a virtual environment. On Debian and Ubuntu:' \
		'apt-get install python3-venv' >&2; exit 1; }; \
echo 'Installing FedSiege and what it needs into $(VENV); the first time takes minutes.'
endef

# One tool with an exact version and no dependencies needs no package.json.
$(BUF_READY):
	@command -v npm >/dev/null || { \
		echo 'buf comes from npm, which is not here. On Debian and Ubuntu: apt-get install npm' >&2; \
		exit 1; }
	npm install --prefix . --no-save --no-package-lock --no-audit --no-fund \
		@bufbuild/buf@$(BUF_VERSION)
	@touch $@

# The one file of mermaid that the site's diagrams need, so that they are drawn without a network.
$(MERMAID):
	@command -v npm >/dev/null || { \
		echo 'mermaid comes from npm, which is not here. On Debian and Ubuntu: apt-get install npm' >&2; \
		exit 1; }
	@mkdir -p $(@D)
	@set -e; packed=$$(npm pack --silent --pack-destination $(@D) mermaid@$(MERMAID_VERSION)); \
		tar -xzOf $(@D)/$$packed package/dist/mermaid.min.js >$@; rm $(@D)/$$packed

# What the contract is compared with: where this branch left main; on main itself, with nothing left
# to commit, the commit before. Changes that are meant to break programs stand in a list, each in the
# words of buf; it expires by itself, as no later comparison finds them again.
define compare_protos
set -e; \
base=$$(git merge-base HEAD origin/main 2>/dev/null || git merge-base HEAD main 2>/dev/null \
	|| git rev-parse HEAD 2>/dev/null || true); \
if [ "$$base" = "$$(git rev-parse HEAD 2>/dev/null)" ] && git diff --quiet HEAD -- protos 2>/dev/null; then \
	base=$$(git rev-parse --verify --quiet HEAD~1) || base=; \
fi; \
if [ -z "$$base" ] || ! git cat-file -e "$$base:protos/buf.yaml" 2>/dev/null; then \
	echo 'buf breaking: skipped, this clone has no earlier protos to compare with'; exit 0; \
fi; \
before=$$(mktemp -d); trap 'rm -rf "$$before"' EXIT; \
git archive --output="$$before/protos.tar" "$$base" protos; \
tar -x -C "$$before" -f "$$before/protos.tar"; \
echo "buf breaking: compared with $$(git log -1 --format='%h %s' "$$base")"; \
$(BUF) breaking protos --against "$$before/protos" >"$$before/found" || [ $$? = 100 ]; \
sed 's/^[^:]*:[0-9]*:[0-9]*://' "$$before/found" | grep -vxFf protos/breaking-once.txt >"$$before/unmeant" || true; \
if [ -s "$$before/unmeant" ]; then \
	cat "$$before/unmeant"; \
	echo 'These changes break programs that speak to the services. What must break stands in' \
		'protos/breaking-once.txt, a line each as above.' >&2; exit 1; \
fi
endef
