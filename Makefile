# Every target does the set-up it needs; nothing has to be installed or sourced before.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-tests demo eval-ros zoo test test-all lint clean

# Nounset is off while sourcing: the setup files of ROS and colcon read unset variables.
ENTER := set +u; . install/setup.bash; set -u;
# What `make test` must not skip on this machine, because the set-up installs it.
REQUIRED := LEWM_REQUIRE=ros,sim

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup:  ## Install everything into .venv and build the ROS package (PYTHON=python3.12 to choose)
	@command -v $(or $(PYTHON),python3) >/dev/null || { echo '[setup] error: $(or $(PYTHON),python3) is not installed; run: sudo apt-get install -y $(notdir $(or $(PYTHON),python3))'; exit 1; }
	@$(or $(PYTHON),python3) tools/setup $(if $(PYTHON),--python $(PYTHON))

setup-tests:
	@$(or $(PYTHON),python3) tools/setup --for-tests $(if $(PYTHON),--python $(PYTHON))

demo: setup  ## Watch a simulated robot reach goal pictures (TASK=reacher; ARGS="..." for options, ARGS=--help lists them)
	@$(ENTER) exec install/lewm_ros/lib/lewm_ros/demo $(if $(TASK),--task $(TASK)) $(ARGS)

eval-ros: setup  ## Success through ROS beside that offline, same pairs (TASK=push_t, ARGS="--episodes 200")
	@$(ENTER) exec .venv/bin/python -m lewm_ros.trials.evaluate $(if $(TASK),--task $(TASK)) $(ARGS)

zoo: setup-tests  ## Take twelve robots of strangers from recording to driving (ARGS="--only 4")
	@$(ENTER) exec .venv/bin/python -m lewm_ros.trials.zoo --results docs/results $(ARGS)

test: setup-tests  ## Run the tests (ARGS="-k name" to choose)
	@$(ENTER) $(REQUIRED) .venv/bin/python tools/run_tests.py -m 'not slow' $(ARGS)

test-all: setup-tests  ## Run the tests, also the slow ones
	@$(ENTER) $(REQUIRED) .venv/bin/python tools/run_tests.py $(ARGS)

lint: setup  ## Check the style
	@.venv/bin/python -m ruff check .

clean:  ## Remove builds and caches; `rm -rf .venv` removes the rest
	@rm -rf build install log .setup .pytest_cache .ruff_cache *.egg-info
	@find lewm_model lewm_ros lewm_sim test tools -name __pycache__ -type d -prune -exec rm -rf {} +
