#!/usr/bin/env bash
# Measure again how fast planning, evaluating and training are: the numbers of docs/results.
#
#   tools/remake_speed.sh    hours, on a machine that does nothing else; goes on after a stop
#
# What is in WORK is not measured again. All of it is copied to RESULTS, whose pages quote it, as
# README.md does: test/test_headlines.py says what to change there. Packages that it takes:
#   pip install "lewm_ros[reference,onnx,openvino]"
#
# Settings, as environment variables; paths are relative to the repository:
#   WORK      folder of models and measurements (out/speed)
#   RESULTS   where JSON and pictures go (docs/results)
#   PYTHON    interpreter with the packages of lewm_ros (.venv/bin/python, else python3)
set -euo pipefail

takes_words=true
. "$(dirname "$(realpath "$0")")/script.sh"
[ $# -eq 0 ] || fail "there is no option but --help, got: $*"
: "${WORK:=out/speed}" "${RESULTS:=docs/results}"
find_python
data=$WORK/reacher.h5 tiny64=$WORK/reacher-tiny64
backends=(torch torch-tuned:fp32 torch-tuned:bf16 onnxruntime:fp32 openvino:fp32 openvino:bf16)

lewm() { "$PYTHON" -m lewm_sim.cli "$@"; }

# measure PLACE KIND OPTION...: one benchmark, to $RESULTS/PLACE.json and .png
measure() {
  local place=$1 kind=$2 made=$WORK/$1/$2
  shift 2
  if [ -s "$made.json" ]; then
    say "$place: is there"
  else
    say "$place: lewm bench $kind $*"
    lewm bench "$kind" "$@" --out "$WORK/$place"
  fi
  mkdir -p "$(dirname "$RESULTS/$place")"
  cp "$made.json" "$RESULTS/$place.json"
  cp "$made.png" "$RESULTS/$place.png"
}

if [ ! -s "$data" ]; then     # that of the shipped model: the same seed gives the same episodes
  lewm collect --task reacher --episodes 2000 --steps 60 --seed 0 --workers 2 --out "$WORK/bags"
  lewm ingest "$WORK/bags" --out "$data" --workers 2
fi
if [ ! -s "$tiny64/bundle.yaml" ]; then     # the published latents and predictor, on this arm
  lewm train "$data" --config tiny64 --steps 1500 --run "$WORK/tiny64_run" --out "$tiny64"
fi
measure planning/reference_budget plan --model "$tiny64" --threads 2 --backends "${backends[@]}"
measure planning/small_budget plan --model reacher-nano --candidates 100 --elites 10 \
  --iterations 5 --threads 1 --backends "${backends[@]}"
measure planning/success success --data "$data" --backend openvino:fp32
measure planning/encode encode --threads 1 --backends "${backends[@]}"
measure planning/scaling scaling
measure planning/evaluate evaluate --data "$data"
measure training/nano train --data "$data" --config nano --steps 12
measure training/tiny64 train --data "$data" --config tiny64 --steps 2
"$PYTHON" -m pytest -q test/test_headlines.py
