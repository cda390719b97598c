#!/usr/bin/env bash
# Train the paper's model on the simulated reacher, from nothing to its card, in one command.
#
#   tools/train_paper.sh            on a machine with an NVIDIA GPU
#   tools/train_paper.sh --smoke    the same chain with tiny numbers, on a CPU, in minutes
#
# It works in pieces of PIECE_MINUTES and ends with exit code 75 when a piece is over: run it again,
# it goes on where it stopped. `until tools/train_paper.sh; do [ $? -eq 75 ] || break; done` does
# all of it. SIGTERM and Ctrl-C save and end a piece early, with the same exit code.
#
# Exit codes: 0 done; 75 run me again; 2 something that you can put right, see the message.
#
# Settings, as environment variables; paths are relative to the repository:
#   WORK           folder of recordings, data set, checkpoints and bundle (out/train_paper)
#   RESULTS        folder of the card, the curves and the results (docs/results/reacher-paper)
#   EPISODES       episodes recorded (1000); of 200 steps, so 201 frames of 224 px each
#   STEPS          optimiser steps, instead of the recipe's 10 epochs
#   PIECE_MINUTES  length of a piece (10)
#   WORKERS        processes that record (all cores, at most 16)
#   DEVICE         torch device (cuda; cpu with --smoke)
#   PYTHON         interpreter with the packages of lewm_ros (.venv/bin/python, else python3)
set -euo pipefail

. "$(dirname "$(realpath "$0")")/script.sh"

readonly RUN_AGAIN=75

if $smoke; then
  : "${WORK:=out/train_paper_smoke}" "${RESULTS:=$WORK/results}" "${EPISODES:=6}"
  : "${STEPS:=4}" "${WORKERS:=1}" "${DEVICE:=cpu}"
  length=30
else
  : "${WORK:=out/train_paper}" "${RESULTS:=docs/results/reacher-paper}"
  : "${EPISODES:=1000}" "${STEPS:=}" "${DEVICE:=cuda}"
  cores=$(nproc)
  : "${WORKERS:=$((cores < 16 ? cores : 16))}"
  length=200
fi
: "${PIECE_MINUTES:=10}"
readonly px=224
require_counts EPISODES WORKERS PIECE_MINUTES ${STEPS:+STEPS}
[ "$EPISODES" -ge 2 ] || fail "EPISODES must be at least 2, one of them is held out, got $EPISODES"

find_python
export PYTHONUNBUFFERED=1

mkdir -p "$WORK" || fail "cannot make $WORK; choose another WORK"
bags=$WORK/bags data=$WORK/reacher$px.h5 run=$WORK/run bundle=$WORK/reacher-paper
recipe=paper evaluation=$WORK/evaluation.json

# One set of settings per folder: what is there already must have been made with them.
settings="smoke=$smoke episodes=$EPISODES length=$length px=$px steps=${STEPS:-recipe}"
if [ -e "$WORK/settings" ]; then
  [ "$(cat "$WORK/settings")" = "$settings" ] || fail "$WORK was begun with '$(cat \
    "$WORK/settings")', now it is '$settings'; use the same, or another WORK"
fi

# One at a time: two would write the same files.
exec 9>"$WORK/lock"
flock -n 9 || fail "another $(basename "$0") is at work in $WORK"

deadline=$((SECONDS + 60 * PIECE_MINUTES - (PIECE_MINUTES > 1 ? 30 : 0)))  # 30 s to save
child='' stopped=false
stop() {
  stopped=true
  [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || true
}
trap stop TERM INT HUP

run_again() { say "$1; run me again, I go on from here"; exit "$RUN_AGAIN"; }

# Run a command until it is done or the piece is over; it saves on SIGTERM and goes on next time.
stage() {
  local what=$1 left code=0
  shift
  ! $stopped || run_again 'stopped'
  left=$((deadline - SECONDS))
  [ "$left" -gt 5 ] || run_again "$what is next, but these $PIECE_MINUTES minutes are over"
  say "$what: $*"
  # The command alone gets one signal, once, and ends its own processes: a second one would make
  # training stop without saving. So it has a session of its own, which Ctrl-C does not reach.
  setsid timeout --foreground --signal=TERM --kill-after=120 "$left" "$@" &
  child=$!
  while :; do   # `wait` also returns when a signal of ours arrives
    code=0
    wait "$child" || code=$?
    kill -0 "$child" 2>/dev/null || break
  done
  child=''
  ! $stopped || run_again "$what was stopped"
  case $code in
    0) ;;
    124 | 137) run_again "$what is not done yet" ;;
    130 | 143) run_again "$what was interrupted" ;;
    *) fail "$what failed with exit code $code, see above" ;;
  esac
}

lewm() { stage "$1" "$PYTHON" -m lewm_sim.cli "${@:2}"; }

if [ ! -e "$WORK/settings" ]; then
  "$PYTHON" -c 'import lewm_sim, mujoco, h5py, matplotlib, tensorboard, torch' 2>/dev/null || fail \
    "$PYTHON lacks packages; run 'make setup', or: $PYTHON -m pip install -e '$root[train]'"
  # Recordings and data set side by side, then checkpoints of 0.2 GB each.
  frames=$((EPISODES * (length + 1)))
  needed_mb=$((2 * frames * px * px * 3 / 1000000 + 2000))
  free_mb=$(df -Pm "$WORK" | awk 'NR == 2 {print $4}')
  [ "$free_mb" -ge "$needed_mb" ] || fail "$WORK needs $needed_mb MB, $free_mb MB are free; free" \
    "some space, choose another WORK or fewer EPISODES"
  printf '%s\n' "$settings" > "$WORK/settings.new"
  mv "$WORK/settings.new" "$WORK/settings"
fi
if [ "${DEVICE%%:*}" = cuda ]; then
  "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || fail \
    "torch finds no NVIDIA GPU; DEVICE=cpu takes weeks, '$0 --smoke' tries the chain on a CPU"
fi

if [ ! -e "$data.complete" ]; then
  lewm 'recording' collect --task reacher --episodes "$EPISODES" --steps "$length" \
    --image-size "$px" --seed 0 --workers "$WORKERS" --out "$bags"
  lewm 'making the data set' ingest "$bags" --robot sim_reacher --image-size "$px" \
    --workers "$WORKERS" --out "$data"
  touch "$data.complete"
fi
rm -rf "$bags"   # all of it is in the data set, and a seed makes it again

if $smoke; then
  recipe=$WORK/smoke.yaml
  cat > "$recipe" <<YAML
model: {image_size: $px, patch_size: 56, encoder_dim: 24, encoder_depth: 1, encoder_heads: 3,
        latent_dim: 16, projector_dim: 32, history: 3, predictor_dim: 24, predictor_depth: 1,
        predictor_heads: 2, predictor_head_dim: 8, predictor_mlp_dim: 32}
train: {batch_size: 4, sigreg_projections: 16, precision: fp32, log_every: 1}
plan: {horizon: 5, receding_horizon: 5, num_candidates: 8, num_elites: 2, iterations: 1}
YAML
fi
if [ ! -e "$WORK/trained" ]; then
  lewm 'training' train "$data" --config "$recipe" --out "$bundle" --run "$run" \
    --device "$DEVICE" ${STEPS:+--steps "$STEPS"}
  touch "$WORK/trained"
fi

if [ ! -e "$evaluation" ]; then
  pairs=50 budget=50 offset=25
  if $smoke; then pairs=2 budget=10 offset=5; fi
  lewm 'evaluating' evaluate "$bundle" --data "$data" --episodes "$pairs" --budget "$budget" \
    --goal-offset "$offset" --device "$DEVICE" --threads "$WORKERS" --save \
    --out "$evaluation.new"
  mv "$evaluation.new" "$evaluation"
fi

mkdir -p "$RESULTS" || fail "cannot make $RESULTS; choose another RESULTS"
cp "$bundle/README.md" "$bundle/curves.png" "$bundle/bundle.yaml" "$evaluation" "$RESULTS/"
say "done: the bundle is in $bundle; its card, curves and results are in $RESULTS"
