#!/usr/bin/env bash
# Measure the shipped model again, with today's measures, and write its card.
#   tools/remake_card.sh            about half an hour on two free cores; goes on where it was cut off
# README.md and docs/training.md quote the card; test/test_shipped_card.py says what to change there.
set -euo pipefail
cd "$(dirname "$0")/.."
model=reacher-nano data=data/reacher.h5
PYTHON=${PYTHON:-.venv/bin/python}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
lewm() { "$PYTHON" -m lewm_sim.cli "$@"; }
# The data of the card: the same seed gives the same episodes.
if [ ! -f "$data" ]; then
  lewm collect --task reacher --episodes 2000 --steps 60 --seed 0 --workers 2 --out bags/reacher
  lewm ingest bags/reacher --robot sim_reacher --out "$data" --workers 2
fi
"$PYTHON" tools/remake_health.py "$model" --data "$data" --config nano
lewm evaluate "$model" --data "$data" --episodes 100 --backend torch-tuned:fp32 --save
lewm analyse "$model" --data "$data" --out docs/results/reacher-nano --save
"$PYTHON" -m pytest -q test/test_shipped_card.py
