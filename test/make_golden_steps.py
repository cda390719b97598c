"""Make `golden_steps.yaml`: how episodes of every shipped task begin, from fixed seeds.

    python test/make_golden_steps.py [TASK ...]      # all, or only these; the others stay

Data sets, tables of results, demo goals and the shipped models were made from such seeds. Make the
file again only when a task changes on purpose; its data, model, goals and numbers have to be made
again then, too: `tools/reproduce_tasks.sh TASK` does that.
"""

from pathlib import Path
import sys

from lewm_sim.collect import CollectConfig, EpisodeRecorder
from lewm_sim.tasks import load_task
import yaml

FILE = Path(__file__).resolve().parent / 'golden_steps.yaml'
TASKS = ('reacher', 'two_room', 'push_t', 'cube')
SEED = 0          # of the set, as in the commands on the cards of the shipped models
EPISODES = 3      # whose starts are kept; they do not depend on who acts
STEPS = 20        # control steps of an episode


def starts(name, seed=SEED):
    """Return the whole states in which the first episodes of a set start, (EPISODES, n)."""
    recorder, states = _recorder(name, 'random', seed), []
    for index in range(EPISODES):
        recorder.begin(index)
        states.append(recorder.world.state().tolist())
    return states


def first_steps(name, policy, seed=SEED):
    """Return the first commands of an episode, (STEPS, A), and the whole state after them."""
    recorder = _recorder(name, policy, seed)
    return {'commands': drive(recorder, load_task(name), 0, STEPS),
            'state': recorder.world.state().tolist()}


def drive(recorder, task, index, steps):
    """Let an episode run as it is recorded, without pictures; return its commands, (steps, A)."""
    _, act = recorder.begin(index)
    commands = []
    while len(commands) < steps and (action := act(recorder.world.truth())) is not None:
        recorder.world.apply(action)
        recorder.world.advance(task.control_dt_s)
        commands.append(action.tolist())
    return commands


def _recorder(name, policy, seed):
    return EpisodeRecorder(CollectConfig(task=name, policy=policy, seed=seed), FILE.parent)


def _short(values):
    """Return nine digits of each number: more than the tests compare."""
    if isinstance(values, list):
        return [_short(value) for value in values]
    return float(f'{values:.9g}')


def _write(names):
    kept = yaml.safe_load(FILE.read_text(encoding='utf-8')) if FILE.exists() else {}
    for name in names:
        kept[name] = {'starts': _short(starts(name)), 'policies': {
            policy: {key: _short(value) for key, value in first_steps(name, policy).items()}
            for policy in load_task(name).policies}}
    text = yaml.safe_dump({name: kept[name] for name in TASKS if name in kept}, width=99,
                          sort_keys=False, default_flow_style=None)
    FILE.write_text(f'# By test/make_golden_steps.py. States are those of `World.state`.\n{text}',
                    encoding='utf-8')


if __name__ == '__main__':
    _write(sys.argv[1:] or TASKS)
