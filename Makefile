# Tunebook. `make` alone shows the menu. Needs Python 3.11 or newer and make, nothing else.
#   PORT=9000 DATA=folder     port and data folder (also TUNEBOOK_* variables or a .env file)
#   TRAIN=0                   without PyTorch: baselines still work
#   TORCH_INDEX=URL           where else pip looks for PyTorch
#   GPU=1                     PyTorch with CUDA also where no GPU is seen, as when an image is built
#   PYTHON=python3.13         the Python to make the environment with
#   JOBS=3                    test processes: one more than a small machine has cores, since many tests wait

SHELL := /bin/sh
PYTHON ?= python3
VENV ?= .venv
TRAIN ?= 1
TORCH := 2.13.0
JOBS ?= 3
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
# What is installed is remembered by the content of these two files, so that a second start installs nothing.
STATE := $(shell cat pyproject.toml setup.py | cksum | tr -cd '0-9')
CORE := $(VENV)/.core-$(STATE)
TRAINING := $(VENV)/.train-$(STATE)
DEV := $(VENV)/.dev-$(STATE)
ALL := $(CORE) $(if $(filter-out 0,$(TRAIN)),$(TRAINING))

ifdef PORT
export TUNEBOOK_PORT := $(PORT)
endif
ifdef DATA
export TUNEBOOK_DATA := $(DATA)
endif

.PHONY: help up install migrate sign-in token doctor test test-all check format seed shots bench browser machines tex clean
.DEFAULT_GOAL := help

help: ## this menu
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

up: $(ALL) ## start Tunebook here, until Ctrl-C (PORT=, DATA=, TRAIN=0)
	@$(BIN)/tunebook up

install: $(ALL) ## only install, start nothing

migrate: $(CORE) ## bring the database to the newest schema
	@$(BIN)/tunebook migrate

sign-in: $(CORE) ## print a new one-time sign-in link
	@$(BIN)/tunebook sign-in

token: $(CORE) ## print a new API token (NAME=)
	@$(BIN)/tunebook token "$(or $(NAME),command line)"

doctor: $(CORE) ## check everything Tunebook needs
	@$(BIN)/tunebook doctor

test: $(ALL) $(DEV) browser machines ## the tests, in a few minutes (ARGS= for pytest)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not slow" $(ARGS)

test-all: $(ALL) $(DEV) browser machines tex ## all tests, also the slow ones
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

check: $(CORE) $(DEV) ## format, lint, types, architecture, known vulnerabilities
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest tests/test_architecture.py tests/test_rules.py tests/test_dependencies.py
	@$(BIN)/python -m tests.advisories

format: $(DEV) ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

seed: $(ALL) $(DEV) ## fill the data folder with demo content in every state
	@$(BIN)/python -m tests.seed

shots: $(ALL) $(DEV) browser ## a picture of every page, into shots/
	@$(BIN)/python -m tests.browser.shots

bench: $(ALL) $(DEV) ## measure; one line a figure, ends with 1 when one is short
	@$(BIN)/python -m tests.bench

clean: ## remove the environment and caches, never the data
	rm -rf $(VENV) *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis test-results shots
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Messages go to standard error: standard output belongs to what was asked for (`make token`).
$(CORE):
	@set -e; exec >&2; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  found=; \
	  for each in $(PYTHON) python3.14 python3.13 python3.12 python3.11; do \
	    if $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$each; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "Tunebook needs Python 3.11 or newer; '$(PYTHON)' is: $$($(PYTHON) --version 2>&1 || echo missing)."; \
	    echo "Install one and name it if it is not found: make up PYTHON=/path/to/python3.12"; exit 1; \
	  fi; \
	  if ! $$found -c 'import venv, ensurepip' 2>/dev/null; then \
	    echo "$$found cannot make environments. On Debian or Ubuntu: sudo apt install python3-venv"; exit 1; \
	  fi; \
	  echo "Making an environment in $(VENV) ..."; \
	  rm -rf $(VENV); $$found -m venv $(VENV); \
	fi; \
	echo "Installing Tunebook ..."; \
	$(PIP) -e .; \
	rm -f $(VENV)/.core-*; touch $@

# PyTorch first and alone. Without an NVIDIA GPU the CPU build is taken where pip finds one, since the plain
# Linux build brings several GB of CUDA. On macOS the plain build is the small one already.
$(TRAINING): $(CORE)
	@set -e; exec >&2; \
	echo "Installing PyTorch $(TORCH) for training (TRAIN=0 leaves it out) ..."; \
	where="$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))"; \
	if [ "$(GPU)" != 1 ] && [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null; then \
	  $(PIP) $$where "torch==$(TORCH)+cpu" 2>/dev/null || { \
	    echo "pip finds no CPU build of PyTorch; taking the plain one, which is large. README, 'PyTorch', says how"; \
	    echo "to name a place that has one: make up TORCH_INDEX=..."; \
	    $(PIP) $$where "torch==$(TORCH)"; }; \
	else \
	  $(PIP) $$where "torch==$(TORCH)"; \
	fi; \
	$(PIP) -e '.[train]'; \
	rm -f $(VENV)/.train-*; touch $@

$(DEV): $(CORE)
	@set -e; exec >&2; \
	echo "Installing the test tools ..."; \
	$(PIP) -e '.[dev]'; \
	rm -f $(VENV)/.dev-*; touch $@

browser:
	@exec >&2; \
	for each in chromium chromium-browser google-chrome; do command -v $$each >/dev/null && exit 0; done; \
	ls "$${PLAYWRIGHT_BROWSERS_PATH:-$$HOME/.cache/ms-playwright}"/chromium* >/dev/null 2>&1 && exit 0; \
	[ -d "/Applications/Google Chrome.app" ] && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing Chromium for the browser tests ..."; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null && exit 0; \
	fi; \
	echo "*** NO BROWSER: install chromium or google-chrome. Browser tests are skipped, all others run. ***"

# Runs on other machines are tested against a real sshd on loopback and a real Slurm of one node. Services that the
# packages would start are left off: the tests start their own.
machines:
	@exec >&2; \
	export PATH="$$PATH:/usr/sbin:/sbin"; \
	lacking=; \
	for each in sshd:openssh-server rsync:rsync slurmctld:slurmctld slurmd:slurmd sbatch:slurm-client munged:munge; do \
	  command -v "$${each%%:*}" >/dev/null || lacking="$$lacking $${each##*:}"; \
	done; \
	[ -z "$$lacking" ] && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing$$lacking for the tests of runs on other machines ..."; \
	  apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$lacking >/dev/null && exit 0; \
	fi; \
	echo "*** NOT INSTALLED:$$lacking. Tests of runs over SSH or by Slurm are skipped, all others run. ***"

# The tables for papers are compiled by a real TeX in test-all.
tex:
	@exec >&2; \
	command -v pdflatex >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing TeX for the tests of LaTeX tables ..."; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends texlive-latex-recommended >/dev/null && exit 0; \
	fi; \
	echo "*** NO TEX: install texlive-latex-recommended (Debian) or MacTeX. LaTeX tables are not compiled, all other tests run. ***"
