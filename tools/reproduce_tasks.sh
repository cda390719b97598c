#!/usr/bin/env bash
# Make the numbers of docs/results/tasks.md again, from nothing: record, train, judge, save.
#
#   tools/reproduce_tasks.sh               everything, one stage after the other
#   tools/reproduce_tasks.sh TASK          the stages of one task
#   tools/reproduce_tasks.sh TASK STAGE    one stage, and before it what it needs
#   tools/reproduce_tasks.sh --list        tasks and stages, what each makes, which are done
#
# No training took an hour when the shipped models were made, so that a stage fits a night. What is
# done is not done twice: run it again after Ctrl-C or a power cut. Remove a task's folder to begin
# it anew. models/ and docs/ stay as they are; bundles with their cards, and the numbers of every
# evaluation (results/*.json), are in WORK/TASK. On another machine they agree within their
# intervals, not to the digit. tools/tasks_page.py --collect WORK takes them over into the page.
#
# SHIPPED=true judges the models that ship instead of training them first. Their data is recorded
# all the same; where its pictures differ from those that they were trained on (another renderer),
# stages that use this data say so and end.
#
# Exit codes: 0 done; 2 something that you can put right; else that of the command which failed.
#
# Settings, as environment variables; paths are relative to the repository:
#   SHIPPED  true: judge the models that ship (false)
#   WORK     folder of everything that is made (out/reproduce_tasks, of models that ship
#            out/reproduce_shipped)
#   WORKERS  processes that record and ingest; the recordings are the same for any number (2)
#   PYTHON   interpreter with the packages of lewm_ros (.venv/bin/python, else python3)
set -euo pipefail

takes_words=true
. "$(dirname "$(realpath "$0")")/script.sh"

: "${SHIPPED:=false}" "${WORKERS:=2}"
require_counts WORKERS
case $SHIPPED in
  true) : "${WORK:=out/reproduce_shipped}" ;;
  false) : "${WORK:=out/reproduce_tasks}" ;;
  *) fail "SHIPPED must be true or false, got '$SHIPPED'" ;;
esac

# Task, stage, the stage that it needs, what it makes.
readonly OWN=(
  'reacher record - 2000 episodes to train from, 200 others for what is ordinary'
  'reacher train record the model, recipe nano'
  'reacher networks train prior, readout, decoder, what is ordinary, goals'
  'reacher evaluate networks 100 held-out pairs of the half to report, search around the prior'
  'two_room record - 445 episodes to train from, 200 others to judge by'
  'two_room train record the model, recipe pico with a decoder beside it'
  'two_room networks train prior, readout, decoder, what is ordinary, goals'
  'two_room evaluate networks 200 pairs, held-out and strict; goals 50 steps away'
  'two_room search networks strict pairs by search alone, with either cost'
  'two_room look networks under other light, colours and cameras'
  'two_room tried record two other trainings, and how they do'
  'push_t record - 2000 episodes and 1946 of the expert to train from, 200 others to judge by'
  'push_t train record the model'
  'push_t networks train prior, readout, decoder, what is ordinary, goals'
  'push_t evaluate networks 200 pairs, held-out and strict: three policies'
  'push_t look networks under other light and colours'
  'push_t arrive networks when to arrive, by plans that come late'
  'cube record - 700 episodes to train from, 1400 of the expert for policies, 150 to judge by'
  'cube train record the model'
  'cube networks train prior, readout, decoder, what is ordinary, goals'
  'cube evaluate networks 200 pairs, held-out and strict: two policies'
  'cube look networks under other light and colours'
  'cube arrive networks when to arrive, by plans that come late'
)
# Of any task: stage, the stage that it needs, what it makes. `evaluate` recommends a planner.
readonly OF_ANY=(
  'far networks goals 25 to 100 steps away, over way-points and without'
  'seeds record two more trainings of the same recipe, with other seeds'
  'rivals networks PLDM, a frozen encoder and policies from the same data, beside it'
  'curve networks strict success over operations per decision: search, prior, cloned behaviour'
  'ros evaluate 100 strict pairs through ROS in real time, beside offline'
  'know networks what the model knows: probes, surprise, straightness'
  'film evaluate a picture and a video of successes and failures'
  'live evaluate ten goals of the demo, through ROS in real time'
)
ROWS=()
for task in reacher two_room push_t cube; do
  for row in "${OWN[@]}"; do [[ $row != "$task "* ]] || ROWS+=("$row"); done
  for row in "${OF_ANY[@]}"; do
    ROWS+=("$task $row")
  done
done
readonly ROWS

# What stages are made of -------------------------------------------------------------------------

# once SAID COMMAND...: one that was cut off begins again, or goes on where it is able to.
once() {
  local stamp code=0
  stamp=$folder/done/$stage.$(cksum <<< "${1#lewm }" | tr -d ' ')
  [ ! -e "$stamp" ] || return 0
  say "$1"
  "${@:2}" || code=$?
  if [ "$code" -ne 0 ]; then
    say "$task $stage ended with exit code $code; run me again, I go on from here" >&2
    exit "$code"
  fi
  printf '%s\n' "$1" > "$stamp"
}
lewm() { once "lewm $*" "$PYTHON" -m lewm_sim.cli "$@"; }
tool() { once "tools/$1.py ${*:2}" "$PYTHON" "tools/$1.py" "${@:2}"; }

# fact KEY: what task.yaml says.
fact() { sed -n "s/^$1: *\([^#]*[^# ]\).*/\1/p" "lewm_sim/tasks/$task/task.yaml"; }

# record BAGS WORDS...: episodes of the task.
record() {
  lewm collect --task "$task" "${@:2}" --workers "$WORKERS" --out "$folder/$1"
}

# ingest DATA BAGS...: one data set of them.
ingest() {
  lewm ingest "${@:2}" --out "$folder/$1.h5" --workers "$WORKERS"
}

# train BUNDLE WORDS...: a model from what the task learns from.
train() {
  lewm train "${sets[@]}" "${@:2}" --run-folder "$folder/runs/$1" --out "$folder/$1"
}

# learn BUNDLE WORDS...: a model by the task's own recipe.
learn() {
  local recipe
  read -ra recipe <<< "$(fact recipe)"
  train "$1" --config "${recipe[@]}" "${@:2}"
}

# add BUNDLE KIND... [OPTIONS]: networks beside a model.
add() {
  local bundle=$1 words=()
  shift
  while [ $# -gt 0 ] && [[ $1 != --* ]]; do words+=(--kind "$1"); shift; done
  lewm train-policy "$folder/$bundle" "${words[@]}" "${learns[@]}" "$@"
}

# complete BUNDLE KIND...: those that are not there yet.
complete() {
  local kind
  for kind in "${@:2}"; do
    [ -e "$folder/$1/$kind.safetensors" ] || act "$1" "$kind"
  done
}

# judge NAME BUNDLE DATA WORDS...: the numbers go to results/NAME.json.
judge() {
  lewm evaluate "$folder/$2" --data "$folder/$3.h5" --planner-seeds 1 "${@:4}" \
    --out "$folder/results/$1.json"
}

# act BUNDLE KIND...: policies, in the tasks of objects longer or wider than usual: they see much.
act() {
  local learns=("${acts[@]}") new=()
  if [ "$task" = cube ] && [ ! -e "$folder/$1/prior.safetensors" ]; then
    new=(--new-data)                        # the model has not seen these episodes
  fi
  add "$@" "${wide[@]}" "${new[@]}"
}

# examine NAME BUNDLE WORDS...: the same, on what judges the task's models.
examine() {
  lewm evaluate "$folder/$2" "${judges[@]}" --planner-seeds 1 "${@:3}" \
    --out "$folder/results/$1.json"
}

# look PLAN CHANGES WORDS...: strict pairs of the task's model, under each change.
look() {
  local change
  for change in $2; do
    judge "look_${change/=/_}" "$model" new --new-data --episodes 100 --plan "$1" \
      --protocol strict --vary "$change" "${@:3}"
  done
}

# copy FROM TO: a bundle, whole or not at all.
copy() {
  [ ! -e "$2" ] || return 0
  rm -rf "$2.new"
  cp -r "$1" "$2.new"
  mv "$2.new" "$2"
}

# beside BUNDLE COPY: the model under another name, for networks that it does not ship with.
beside() { copy "$folder/$1" "$folder/$2"; }

# ship: the model as it ships, in place of its training.
ship() {
  [ -e "models/$model" ] || fail "models/$model does not ship; leave SHIPPED away, to train it"
  copy "models/$model" "$folder/$model"
}

# live NAME RESULTS WORDS...: `make NAME` of the model; what it does not reach is a result as well.
live() {
  rm -f "$folder/$2"
  make "$1" TASK="$task" ARGS="${*:3}" || true
  [ -s "$folder/$2" ] || fail "make $1 left no $folder/$2, see above"
}

# Stages of any task ------------------------------------------------------------------------------

# Goals 25 to 100 steps away, twice as many steps allowed, in episodes of 160 steps; a copy of the
# model learns how far places are. One that ships may not know the episodes of its set again, and
# learns it from others.
any_far() {
  record bags_far --episodes 150 --steps 160 --seed 3
  ingest far "$folder/bags_far"
  beside "$model" far_model
  complete far_model prior
  if [ "$SHIPPED" = true ]; then
    record bags_reach --episodes 400 --steps 80 --seed 4
    ingest reach "$folder/bags_reach"
    lewm train-policy "$folder/far_model" --kind reach --data "$folder/reach.h5" --new-data
  else
    add far_model reach
  fi
  rm -rf "$folder/bags_far" "$folder/bags_reach"
  local offset
  for offset in 25 40 55 70 85 100; do
    judge "far_$offset" far_model far --new-data --part all --episodes 100 --protocol strict \
      --goal-offset "$offset" --budget $((2 * offset)) --plan prior --plan prior_way_points
  done
}

# Two more trainings of the task's recipe, each with a policy of its own, as the model ships with.
any_seeds() {
  local plan seed words=()
  for plan in "${plans[@]}"; do words+=(--plan "$plan"); done
  for seed in 1 2; do
    learn "seed_$seed" --threads 1 --seed "$seed"
    act "seed_$seed" prior
    examine "seed_$seed" "seed_$seed" --episodes 200 "${words[@]}"
    examine "seed_${seed}_strict" "seed_$seed" --episodes 200 "${words[@]}" --protocol strict
  done
}

any_rivals() {
  local recipe words=() apart=()
  recipe=$(fact recipe)
  [ "$task" = reacher ] || apart=(--judge-data "$folder/new.h5")
  [[ ! $recipe =~ --steps\ ([0-9]+) ]] || words=(--steps "${BASH_REMATCH[1]}")
  tool compare_models "$folder/$model" "${learns[@]}" --config "${recipe%% *}" \
    "${words[@]}" "${apart[@]}" --protocol strict --planner-seeds 1 --out "$folder/rivals"
}

any_curve() {
  beside "$model" with_policies
  complete with_policies prior gcbc
  examine curve with_policies --episodes 100 --protocol strict --plan cem --plan gcbc \
    --plan prior --budgets 10x1,10x3,30x3,30x10,100x5,300x10 --curve "$folder/curve.png"
}

any_ros() {
  live eval-ros "eval_ros/$task/ros.json" "$folder/$model" "${judges[@]}" --protocol strict \
    --episodes 100 --out "$folder/eval_ros"
}

any_know() { lewm analyse "$folder/$model" "${learns[@]}" --out "$folder/know"; }
any_film() { tool task_trials "$folder/$model" "${learns[@]}" --out "$folder/film"; }
any_live() { live demo live/summary.json --bundle "$folder/$model" --out "$folder/live"; }

# Stages of one task ------------------------------------------------------------------------------

reacher_record() {
  record bags --episodes 2000 --steps 60 --seed 0
  ingest data "$folder/bags"
  record bags_new --episodes 200 --steps 60 --seed 1
  ingest new "$folder/bags_new"
  rm -rf "$folder/bags" "$folder/bags_new"
}
reacher_train() { learn reacher-nano; }
reacher_networks() {
  add reacher-nano prior readout decoder
  lewm calibrate "$folder/reacher-nano" --data "$folder/new.h5" --new-data
  lewm goals "$folder/reacher-nano" --data "$folder/data.h5" --count 10
}
reacher_evaluate() {
  judge recommended reacher-nano data --plan cem_prior --backend torch-tuned:fp32 \
    --episodes 100 --save --recommend
}

readonly DRIVERS=expert:0.2,noisy_expert:0.3,explorer:0.4,random:0.1
two_room_record() {
  record bags --policy "$DRIVERS" --episodes 445 --steps 80 --seed 0
  ingest data "$folder/bags"
  record bags --policy "$DRIVERS" --episodes 700 --steps 80 --seed 0   # the same and 255 more
  lewm ingest "$folder"/bags/episode_000[56]* --robot lewm_sim/tasks/two_room/robot.yaml \
    --out "$folder/new.h5" --workers "$WORKERS"
  rm -rf "$folder/bags"
}
two_room_train() { learn two_room-nano --threads 1; }
two_room_networks() {
  add two_room-nano prior readout decoder
  lewm calibrate "$folder/two_room-nano" --data "$folder/data.h5"
  lewm tolerance "$folder/two_room-nano" --data "$folder/new.h5" --new-data
  lewm goals "$folder/two_room-nano" --data "$folder/data.h5" --count 10 --seed 7
}
two_room_evaluate() {
  judge held_out two_room-nano new --new-data --episodes 200 --plan prior --plan cem_prior \
    --save --recommend
  judge strict two_room-nano new --new-data --episodes 200 --plan prior --plan cem_prior \
    --protocol strict
  judge far two_room-nano new --new-data --episodes 100 --plan prior --protocol strict \
    --goal-offset 50 --budget 100
}
two_room_search() {
  last_step_plan
  judge search two_room-nano new --new-data --episodes 100 --plan cem \
    --plan "$folder/cem_last.yaml" --protocol strict
}
two_room_look() { look prior 'light=0.3 light=0.5 colours=0.1 camera=0.02'; }
two_room_tried() {
  last_step_plan
  sed 's/^  latent_dim: 64$/  latent_dim: 32/' config/train/pico.yaml > "$folder/pico32.yaml"
  train inverse --config pico --inverse-weight 1 --steps 1000 --threads 1
  train latent32 --config "$folder/pico32.yaml" --decoder-weight 1 --sigreg-weight 0.05 \
    --steps 1200 --threads 1
  local model
  for model in inverse latent32; do
    add "$model" prior
    judge "tried_$model" "$model" new --new-data --part choose --episodes 60 --plan cem \
      --plan "$folder/cem_last.yaml" --plan prior
  done
}

# Search by the cost of the last step alone, all five blocks executed.
last_step_plan() {
  sed -e 's/^receding_horizon: 1$/receding_horizon: 5/' -e 's/^cost: all\b.*/cost: last/' \
    config/plan/cem.yaml > "$folder/cem_last.yaml"
}

# push_t learns everything from what the task's usual mixture did and as much of the expert; cube
# its model from the mixture, and policies from more episodes of the expert, which cost minutes.
push_t_record() { record_three 2000 10 1946 14 200 11 expert:0.5,noisy_expert:0.5; }
cube_record() { record_three 700 20 1400 24 150 21 expert:0.4,noisy_expert:0.6; }

# record_three EPISODES SEED EPISODES SEED EPISODES SEED DRIVERS: to train, to act, to judge.
record_three() {
  record bags --episodes "$1" --steps 80 --seed "$2"
  ingest data "$folder/bags"
  record bags_expert --policy "$7" --episodes "$3" --steps 80 --seed "$4"
  ingest expert "$folder/bags_expert"
  record bags_new --episodes "$5" --steps 80 --seed "$6"
  ingest new "$folder/bags_new"
  rm -rf "$folder/bags" "$folder/bags_expert" "$folder/bags_new"
}

push_t_train() { learn push_t-nano --threads 1; }
cube_train() { learn cube-nano --threads 1; }

push_t_networks() {
  what_else push_t-nano --seed 1
  act push_t-nano prior
  add push_t-nano quantity_prior --steps 8000
}
cube_networks() {
  what_else cube-nano
  act cube-nano prior
}

# what_else BUNDLE WORDS...: what a model ships with beside its policies; words of its goals.
what_else() {
  add "$1" readout decoder
  lewm calibrate "$folder/$1" --data "$folder/new.h5" --new-data
  lewm goals "$folder/$1" "${learns[@]}" --count 10 "${@:2}"
}

push_t_evaluate() {
  judge held_out push_t-nano new --new-data --episodes 200 --plan prior --plan inverse_ahead \
    --save --recommend
  beside push_t-nano with_policies
  act with_policies gcbc
  judge strict with_policies new --new-data --episodes 200 --plan inverse_ahead --plan prior \
    --plan gcbc_ahead --protocol strict
  lewm tolerance "$folder/push_t-nano" --data "$folder/new.h5" --new-data
}
push_t_arrive() { arrive; }
cube_arrive() { arrive; }

# arrive: inverse dynamics told to arrive after 5 to 8 blocks, by plans that come late, on the half
# of the pairs that things are chosen by.
arrive() {
  local blocks late words=()
  for blocks in 5 6 7 8; do
    sed "s/^arrival: [0-9]*/arrival: $blocks/" config/plan/inverse_ahead.yaml \
      > "$folder/arrive_$blocks.yaml"
    words+=(--plan "$folder/arrive_$blocks.yaml")
  done
  for late in 0 1 2; do
    judge "arrive_late_$late" "$model" new --new-data --part choose --episodes 200 "${words[@]}" \
      --protocol strict --late "$late"
  done
}
push_t_look() { look inverse_ahead 'light=0.3 colours=0.1'; }
cube_look() { look inverse_ahead 'light=0.3 colours=0.1'; }
cube_evaluate() {
  judge held_out cube-nano new --new-data --episodes 200 --plan inverse_ahead --save --recommend
  beside cube-nano with_policies
  act with_policies gcbc
  judge strict with_policies new --new-data --episodes 200 --plan inverse_ahead \
    --plan gcbc_ahead --protocol strict
}

# Which, and in which order -----------------------------------------------------------------------

is_done() { [ -e "$WORK/$1/done/$2" ]; }

# run_stage TASK STAGE: first what it needs, then itself, unless it is done.
#
# What stages ask: the task's folder, its model, the sets that this learns from (`learns`: as words
# of lewm), the words that name what judges it, the sets that policies learn from, the planners
# that use its prior, and how policies are trained.
run_stage() {
  local task=$1 stage=$2 folder=$WORK/$1 model sets learns judges acts plans wide row
  local needs='' about=''
  if is_done "$task" "$stage"; then
    say "$task $stage: is there"
    return
  fi
  for row in "${ROWS[@]}"; do
    if [[ $row == "$task $stage "* ]]; then read -r _ _ needs about <<< "$row"; fi
  done
  model=$(fact bundle)
  model=${model:-$task-nano}
  sets=("$folder/data.h5")
  plans=(prior cem_prior) wide=()
  case $task in
    push_t | cube) plans=(inverse_ahead) wide=(--steps 8000 --hidden-dim 384) ;;
  esac
  [ "$task" != push_t ] || sets+=("$folder/expert.h5")
  learns=()
  for row in "${sets[@]}"; do learns+=(--data "$row"); done
  acts=("${learns[@]}")
  [ "$task" != cube ] || acts=(--data "$folder/expert.h5")
  judges=(--data "$folder/data.h5")
  [ "$task" = reacher ] || judges=(--data "$folder/new.h5" --new-data)
  local work="any_$stage"
  if declare -F "${task}_$stage" > /dev/null; then work=${task}_$stage; fi
  if [ "$SHIPPED" = true ] && [[ $stage == train || $stage == networks ]]; then
    needs=record about="$model, as it ships" work=ship
  fi
  [ "$needs" = - ] || is_done "$task" "$needs" || run_stage "$task" "$needs"
  say "$task $stage: $about"
  mkdir -p "$folder/done" || fail "cannot make $folder; choose another WORK"
  "$work"
  touch "$folder/done/$stage"
}

if [ "${1-}" = --list ]; then
  [ $# -eq 1 ] || fail "--list stands alone, got: $*"
  for row in "${ROWS[@]}"; do
    read -r task stage _ about <<< "$row"
    mark=''
    if is_done "$task" "$stage"; then mark=done; fi
    printf '%-9s %-9s %-5s %s\n' "$task" "$stage" "$mark" "$about"
  done
  exit 0
fi
[[ ${1-} != -* ]] || fail "unknown option '$1'; known: --list, --help"
[ $# -le 2 ] || fail "a task and a stage at most, got: $*"
wanted=()
for row in "${ROWS[@]}"; do
  read -r task stage _ <<< "$row"
  if [[ ${1-$task} == "$task" && ${2-$stage} == "$stage" ]]; then wanted+=("$task $stage"); fi
done
[ ${#wanted[@]} -gt 0 ] || fail "there is no '$*'; $0 --list shows tasks and stages"

find_python
export PYTHONUNBUFFERED=1
"$PYTHON" -c 'import lewm_sim, mujoco, h5py, matplotlib, tensorboard, torch' 2>/dev/null || fail \
  "$PYTHON lacks packages; run 'make setup', or: $PYTHON -m pip install -e '$root[train]'"
mkdir -p "$WORK" || fail "cannot make $WORK; choose another WORK"
exec 9>"$WORK/lock"   # one at a time: two would write the same files
flock -n 9 || fail "another $(basename "$0") is at work in $WORK"
[ "$(cat "$WORK/shipped" 2>/dev/null || echo "$SHIPPED")" = "$SHIPPED" ] ||
  fail "$WORK was begun with SHIPPED=$(cat "$WORK/shipped"); choose another WORK"
printf '%s\n' "$SHIPPED" > "$WORK/shipped"
for row in "${wanted[@]}"; do
  read -r task stage <<< "$row"
  run_stage "$task" "$stage"
done
say "done: numbers in $WORK/TASK/results, bundles with their cards beside them"
