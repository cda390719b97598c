"""The evaluation protocol: pairs, budget, the rules of success, honest intervals."""

from types import SimpleNamespace

from lewm_model.errors import DatasetError
from lewm_model.types import ActionChunk
from lewm_sim.evaluate import (
    Pair,
    run_policy,
    run_random,
    sample_pairs,
    score,
    Trial,
    wilson_interval,
)
from lewm_sim.tasks import load_task, Outcome
import numpy as np
import pytest

TASK = load_task('reacher')
OWN, DEMO, WIDE = TASK.facts.all_tolerances()
START, GOAL = np.array([0.2, -0.5]), np.array([1.0, 0.3])


class Oracle:
    """Knows the true goal and drives there at the speed a perfect planner would."""

    steps_per_plan = 5

    def __init__(self, world, goal, latency_steps=0):
        self.world, self.goal = world, goal
        self.observed, self.told = [], []
        self.last_plan = SimpleNamespace(solve_time_s=0.01)

    def reset(self):
        self.observed.clear()

    def set_goal_image(self, rgb):
        self.goal_rgb = rgb

    def observe(self, observation):
        self.observed.append(observation.stamp_ns)

    def executed(self, stamp_ns, action):
        self.told.append((stamp_ns, tuple(action)))

    def plan(self, now_ns):
        error = self.goal - self.world.sensed().positions
        actions = np.tile(np.clip(error / 0.25, -2, 2), (15, 1))
        return ActionChunk(stamp_ns=now_ns, dt_s=0.05, actions=actions, epoch=1, sequence=1,
                           observation_stamp_ns=now_ns)


def make_pair(world):
    world.reset(world.state_at(GOAL))
    goal, goal_rgb = world.truth(), world.render()
    world.reset(world.state_at(START))
    return Pair(episode=3, row=7, start=world.state(), goal=goal, start_rgb=world.render(),
                goal_rgb=goal_rgb)


@pytest.mark.sim
def test_an_oracle_succeeds_and_is_told_what_it_did():
    """The loop itself costs nothing: a perfect planner reaches and holds within 0.05 rad."""
    world = TASK.make_world(64)
    pair = make_pair(world)
    oracle = Oracle(world, GOAL)
    trial = run_policy(oracle, TASK, world, pair, budget=50)
    assert trial.reached(OWN) and trial.holds(OWN) and not trial.solved_at_start(WIDE)
    assert len(trial.outcomes) == 51 and len(trial.plan_seconds) == 10
    assert trial.outcomes[0].errors == pytest.approx({'shoulder': 0.8, 'wrist': 0.8})
    assert trial.to_dict()['errors']['wrist'][0] == pytest.approx(0.8)
    assert oracle.observed == [step * 50_000_000 for step in range(50)]
    assert [stamp for stamp, _ in oracle.told] == oracle.observed
    assert oracle.told[0][1] == (2.0, 2.0)
    world.close()


@pytest.mark.sim
def test_random_exploration_rarely_holds_a_goal():
    """The floor: exploring from the start almost never ends within 0.1 rad."""
    world = TASK.make_world(64)
    pair = make_pair(world)
    rng = np.random.default_rng(0)
    trials = [run_random(TASK, world, pair, 50, rng) for _ in range(40)]
    assert score('random', trials, DEMO).final < 0.2
    world.close()


def test_reached_counts_any_step_and_final_only_the_last():
    """An arm that passes through the goal has reached it, but does not hold it."""
    def trial(*errors):
        return Trial(0, 0, [Outcome({'shoulder': 0.0, 'wrist': error}) for error in errors], [])

    passing, staying = trial(0.5, 0.04, 0.5), trial(0.5, 0.3, 0.04)
    solved, never = trial(0.01, 0.5, 0.5), trial(0.5, 0.05, 0.5)   # 0.05 is not below 0.05
    result = score('planner', [passing, staying, solved, never], OWN)
    assert result.tolerance == '0.05 rad'
    assert (result.reached, result.final, result.solved_at_start) == (0.75, 0.25, 0.25)


@pytest.mark.parametrize(('successes', 'trials', 'low', 'high'), [
    (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (48, 50, 0.8654, 0.9890), (1, 2, 0.0945, 0.9055),
])
def test_wilson_intervals_have_their_textbook_values(successes, trials, low, high):
    """Values as published tables give them, to four digits."""
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=1e-4)


def data(lengths=(60, 20, 40)):
    rows = sum(lengths)
    return SimpleNamespace(
        path='set.h5', ep_len=np.array(lengths), ep_offset=np.cumsum([0, *lengths[:-1]]),
        columns={'qpos': np.arange(rows)[:, None] * [1.0, 0.01]},
        pixels=np.arange(rows, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), 'u1'))


def test_pairs_lie_in_held_out_episodes_the_right_distance_apart():
    """Start row t and goal row t + offset of the same episode, each start at most once."""
    source = data()
    world = TASK.make_world(64)
    pairs = sample_pairs(source, [0, 2], TASK, world, count=50, goal_offset=25, seed=42)
    assert len({(pair.episode, pair.row) for pair in pairs}) == 50      # all 35 + 15 rows
    for pair in pairs:
        first = source.ep_offset[pair.episode] + pair.row
        assert pair.row + 25 < source.ep_len[pair.episode]
        assert pair.start.tolist() == [0, first, 0.01 * first, 0, 0]
        assert pair.goal[:2].tolist() == [first + 25, 0.01 * (first + 25)]
        assert (pair.start_rgb == first).all() and (pair.goal_rgb == first + 25).all()
    again = sample_pairs(source, [0, 2], TASK, world, count=5, goal_offset=25, seed=1)
    assert [p.row for p in again] == [p.row for p in sample_pairs(
        source, [0, 2], TASK, world, count=5, goal_offset=25, seed=1)]


def test_too_few_rows_or_no_states_are_named():
    """The message has the numbers."""
    world = TASK.make_world(64)
    with pytest.raises(DatasetError, match='2 held-out episodes of set.h5 have only 50 rows'):
        sample_pairs(data(), [0, 2], TASK, world, count=51, goal_offset=25, seed=0)
    without = data()
    without.columns = {'proprio': 0}
    with pytest.raises(DatasetError, match='no column sim_state.*it has proprio'):
        sample_pairs(without, [0], TASK, world, count=1, goal_offset=25, seed=0)
