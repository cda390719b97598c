#!/usr/bin/env bash
# Measure planning on an NVIDIA GPU: all backends, the reference implementation, the goals.
#
#   tools/bench_gpu.sh            one plan at the reference budget and one encode, paper's sizes
#   tools/bench_gpu.sh --smoke    the same chain with tiny numbers, on a CPU, in seconds
#
# It writes RESULTS.md and, beside it in the folder RESULTS, plan.json, encode.json and pictures.
# The first run builds TensorRT engines and compiles kernels: minutes; they are kept in the cache.
# The reference takes part where it is installed: pip install "lewm_ros[reference]".
#
# Exit codes: 0 measured, whether or not the goals are met; 2 something to put right.
#
# Settings, as environment variables; paths are relative to the repository:
#   RESULTS   folder for the numbers (docs/results/planning_gpu)
#   BACKENDS  names, as "torch tensorrt:fp16" (all that can run on a GPU)
#   ROUNDS    measured turns of a whole plan (20)
#   PYTHON    interpreter with the packages of lewm_ros (.venv/bin/python, else python3)
set -euo pipefail

. "$(dirname "$(realpath "$0")")/script.sh"

if $smoke; then
  : "${RESULTS:=out/bench_gpu_smoke}" "${ROUNDS:=1}" "${BACKENDS:=torch torch-tuned:fp32}"
  device=cpu model=reacher-nano encode_rounds=5
  budget=(--candidates 8 --elites 2 --iterations 2 --warmup 1)
else
  : "${RESULTS:=docs/results/planning_gpu}" "${ROUNDS:=20}"
  : "${BACKENDS:=torch torch-tuned cuda-graph cuda-graph-compiled tensorrt}"
  device=cuda model=paper encode_rounds=500
  budget=(--warmup 3)   # of the plan, the reference's: 300 candidates x 30 iterations x 5 blocks
fi
require_counts ROUNDS
read -r -a backends <<< "$BACKENDS"

find_python

if ! $smoke; then
  "$PYTHON" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' || fail \
    "torch sees no NVIDIA GPU: is there one (nvidia-smi), and is torch a build for CUDA ($("$PYTHON" \
      -c 'import torch; print(torch.__version__)' 2>/dev/null || echo 'torch is not installed'))?" \
    "--smoke runs the chain on the CPU"
fi

bench() {
  local kind=$1; shift
  say "lewm bench $kind"
  "$PYTHON" -m lewm_sim.cli bench "$kind" --device "$device" --threads 1 --out "$RESULTS" \
    --backends "${backends[@]}" "$@" || fail "lewm bench $kind did not work, see above"
}

mkdir -p "$RESULTS" || fail "cannot make $RESULTS; choose another RESULTS"
bench plan --model "$model" --rounds "$ROUNDS" "${budget[@]}"
bench encode --models "$model" --rounds "$encode_rounds"
"$PYTHON" tools/bench_gpu_page.py "$RESULTS" || fail "the page cannot be written, see above"
say "written: $RESULTS.md"
