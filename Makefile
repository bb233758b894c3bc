# FedSiege: `make` alone explains itself.
#
# Every variable is defined once, as `NAME ?= default` under a `##` line that says what it is; every
# target has its `##` text on its own line. `make help` prints both.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help sim serve classifier image up down test test-containers lint proto bench bench-containers bench-rules ladder clean

VENV := .venv
BUF := node_modules/.bin/buf
COMPOSE = $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
BUF_VERSION := 1.75.0
BUF_READY := node_modules/.buf-$(BUF_VERSION)
PROTOS := $(shell find protos -type f)
THIS := $(firstword $(MAKEFILE_LIST))

## Share of the participants that are fake clients, 0 to 1
ATTACK ?= 0.2
## Attack: mpaf, random, history, poisonedfl, ...: fedsiege attacks; NAME:key=value,key=value
ATTACK_NAME ?= mpaf
## Strength lambda of the attack, above 0
SCALE ?= 1
## All participants, benign and fake
CLIENTS ?= 100
## Training samples of a benign participant; 0 shares all of them out
SAMPLES ?= 4
## Rounds
ROUNDS ?= 10
## Updates that close a round; empty: all scheduled
THRESHOLD ?=
## Aggregation rule; with parameters NAME:key=value, as krum:f=20
RULE ?= fedavg
## Model: net, lenet5, cnn
MODEL ?= net
## Learning rate of local training
LR ?= 0.001
## Optimiser of local training: sgd, adam
OPTIMIZER ?= sgd
## Momentum of local training by SGD; adam has none
MOMENTUM ?= 0.9
## Epochs of local training in a round
EPOCHS ?= 2
## Batch size of local training
BATCH ?= 4
## Data set: auto, digits, mnist, fashion
DATASET ?= auto
## Folder of the data sets; those that are absent are downloaded into it
DATA ?= data
## How samples go to participants: sample, iid, dirichlet:ALPHA, dirichlet-prior:ALPHA
PARTITION ?= sample
## Initial weights: pretrained, random, FILE.safetensors; empty: pretrained where a checkpoint ships
INIT ?=
## Seed of every random draw
SEED ?= 0
## Seconds after which a round closes in any case; empty: none with ENGINE=laptop, else 30
DEADLINE ?=
## How participants that train compute: cohort, loop; auto: cohort where it can
TRAINER ?= auto
## Worker processes for the benign participants
WORKERS ?= 1
## What runs the workers: laptop (processes), docker or swarm (containers, one per client)
ENGINE ?= laptop
## With containers: the image of the containers; make image builds it
IMAGE ?= fedsiege:latest
## With containers: benign participants that share a container
PER_CONTAINER ?= 1
## With containers: memory of a client container; the attacker's gets four times as much
MEMORY ?= 1g
## With containers: processors of a container
CPUS ?= 1
## What enrolment asks for: open, token, mtls; empty: open
ADMISSION ?=
## With ENGINE=docker, faults in every round: kill:0.2,pause:0.1,slow:0.1
FAULTS ?=
## Ways to get in that the attacker tries first: sybils:1000,replay
INTRUSIONS ?=
## With ADMISSION=token or mtls: fakes that the attacker holds credentials for
LEAKED ?= 1
## Detectors that audit the participants, for instance norm/duplicate; empty: none
AUDIT ?=
## L2 norm to which benign participants clip their own updates; 0: no clipping
CLIP ?= 0
## Share of the participants that is scheduled in each round, drawn anew
PARTICIPATION ?= 1
## Where rule and test run: cpu, cuda
DEVICE ?= cpu
## The same run without the attack, which the cost is told against: find, run, off
BASELINE ?= find
## Folder of the results; empty: runs/<time-and-name>
OUT ?=
## More options for the command behind the target, as they are
ARGS ?=
## The Python, 3.11 or later, that makes .venv
PYTHON ?= python3

VARIABLES := $(shell sed -n 's/^\([A-Z_]*\) ?=.*/\1/p' $(THIS))
SETTINGS := $(filter-out ARGS PYTHON,$(VARIABLES))

# A misspelt variable would otherwise be ignored without a word.
assigned := $(foreach word,$(MAKEOVERRIDES),$(if $(findstring =,$(word)),\
	$(firstword $(subst =, ,$(word)))))
misspelt := $(firstword $(foreach name,$(filter-out $(VARIABLES),$(assigned:%:=%)), \
	$(if $(filter command,$(origin $(name))),$(name))))
ifneq ($(misspelt),)
nearest := $(shell $(PYTHON) -c 'import difflib, sys; \
	print(*difflib.get_close_matches(sys.argv[1].upper(), sys.argv[2:], 1))' \
	$(misspelt) $(VARIABLES) 2>/dev/null)
$(error $(misspelt) is no variable of this Makefile.$(if $(nearest), Did you mean $(nearest)?) There are: $(VARIABLES))
endif

# $(call options,NAMES): --name='value' for every variable that is not empty, safe from the shell.
# `value` keeps a dollar sign what it is.
quoted = '$(subst ','\'',$(value $(1)))'
flag = --$(shell echo $(1) | tr A-Z_ a-z-)
options = $(foreach name,$(1),$(if $(value $(name)),$(call flag,$(name))=$(call quoted,$(name))))
# $(call chosen,NAMES): those that the user set.
chosen = $(foreach name,$(1),$(if $(filter file,$(origin $(name))),,$(name)))

# $(call only,NAMES): refuses every other variable of the command line, which would be ignored.
only = $(foreach name,$(filter-out $(1) ARGS PYTHON,$(VARIABLES)), \
	$(if $(filter command,$(origin $(name))),$(error make $@ does not take $(name); it takes $(1) ARGS)))

# $(call chosen_value,NAME): its value if the user set it, else nothing.
chosen_value = $(if $(filter file,$(origin $(1))),,$($(1)))
containers = $(or $(call chosen_value,CLIENTS),10)
# Whether containers have to show something to be let in; it is made by the image, as whoever is here.
closed = $(filter-out open,$(ADMISSION))
prepare_admission = docker run --rm --user "$$(id -u):$$(id -g)" --volume "$$PWD:/here" \
	--workdir /here $(IMAGE) fedsiege admission $(call quoted,ADMISSION) --clients=$(containers) \
	$(call options,$(call chosen,LEAKED))

# What `up` passes on; the others are of the command that runs on this machine.
FOR_CONTAINERS := $(filter-out BASELINE CPUS DEVICE ENGINE FAULTS MEMORY OUT PER_CONTAINER WORKERS,$(SETTINGS))

help: ## Print this help
	@awk '\
		BEGIN { print "make TARGET [VARIABLE=value ...]\n\nTargets" } \
		/^## / { text = substr($$0, 4); next } \
		/^[a-z-]+:.* ## / { \
			name = $$0; sub(/:.*/, "", name); sub(/^.* ## /, ""); printf "  %-18s %s\n", name, $$0 \
		} \
		/^[A-Z_]+ \?=/ { \
			value = $$0; sub(/^[A-Z_]+ \?= */, "", value); \
			variables = variables sprintf("  %-18s %s\n", $$1 "=" value, text) \
		} \
		END { \
			print "\nVariables of sim and their defaults; the environment may set them too"; \
			printf "%s\n%s", variables, "Example: make sim ATTACK=0.3 RULE=krum ROUNDS=20\n" \
		}' $(THIS)

sim: $(VENV)/.ready ## Run an experiment: four services on this machine, a table and files at the end
	@exec $(VENV)/bin/fedsiege sim $(call options,$(call chosen,$(SETTINGS))) $(ARGS)

serve: $(VENV)/.ready ## Run the services until Ctrl-C, to be driven over gRPC; takes DATA, WORKERS
	@$(call only,DATA WORKERS)exec $(VENV)/bin/fedsiege serve $(call options,$(call chosen,DATA WORKERS)) $(ARGS)

classifier: $(VENV)/.ready ## Train and test the base model; takes MODEL, DATASET, DATA, SEED, OUT
	@$(call only,MODEL DATASET DATA SEED OUT)exec $(VENV)/bin/fedsiege classifier $(call options,$(call chosen,MODEL DATASET DATA SEED OUT)) $(ARGS)

image: ## Build the image of all services, fedsiege:latest
	@docker/engine.sh start
	@docker/image.sh

up: image ## Run the federation in containers: CLIENTS of them (10), ADMISSION, ATTACK, RULE, ...
	@$(call only,$(FOR_CONTAINERS))$(if $(closed),$(prepare_admission))
	@$(if $(closed),OWNER=$$(ls -nd admission/clients | awk '{ print $$3 ":" $$4 }')) \
		MIN_CLIENTS=$${MIN_CLIENTS:-$(containers)} exec $(COMPOSE) \
		$(if $(closed),-f docker-compose.yml -f docker/$(ADMISSION).yml) up --scale client=$(containers)

down: ## Remove the containers
	@$(COMPOSE) down

test-containers: $(VENV)/.ready-dev $(BUF_READY) ## Run the tests of the containers, on a real engine
	@docker/engine.sh run $(VENV)/bin/python -m pytest $(if $(filter tests/%,$(ARGS)),,tests/containers) $(ARGS)

test: $(VENV)/.ready-dev ## Run the tests
	@exec $(VENV)/bin/python -m pytest $(ARGS)

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
	@$(call only,DATA OUT)exec $(VENV)/bin/fedsiege grid experiments/ladder.yaml --jobs="$$(nproc)" \
		$(call options,DATA OUT) $(ARGS)

bench-containers: $(VENV)/.ready ## Measure what containers do, on a real engine
	@docker/engine.sh run $(VENV)/bin/python -m benchmarks.containers $(ARGS)

clean: ## Remove .venv, node_modules, stubs, caches and builds; runs and data sets stay
	rm -rf $(VENV) node_modules build dist fedsiege.egg-info fedsiege/v1 .bench
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

# What the contract is compared with: where this branch left main; on main itself, with nothing left
# to commit, the commit before.
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
$(BUF) breaking protos --against "$$before/protos"
endef
