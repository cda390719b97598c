"""Pairs, trials and their rules: who sees what when, and what counts as success."""

from dataclasses import replace
from types import SimpleNamespace

from lewm_model.assemble import make_policy
from lewm_model.errors import ConfigError, DatasetError, ShapeError, SimulationError
from lewm_model.planning.fleet import Fleet
from lewm_model.types import Observation
from lewm_sim.evaluate.pairs import Pair, sample_pairs
from lewm_sim.evaluate.protocols import protocol
from lewm_sim.evaluate.scores import score
from lewm_sim.evaluate.trials import frame_steps, run_fleet, run_floor, Trial
from lewm_sim.tasks import load_task, Outcome, TaskFacts, Tolerance
from nano import PLAN, tiny_bundle
import numpy as np
import pytest

NEAR = Tolerance('own', {'x': 0.05}, {'x': 'm'})


class Line:
    """A world that is a point on a line; its truth is its state."""

    image_size = 2

    def __init__(self):
        self.x, self.speed = np.zeros(1), 0.0
        self.seen, self.told = [], []

    def reset(self, state):
        self.x, self.speed = np.array(state, float), 0.0

    def state(self):
        return self.x

    def truth(self):
        return self.x

    def apply(self, action):
        self.speed = float(action[0])
        self.told.append(self.speed)

    def advance(self, seconds):
        self.x = self.x + seconds * self.speed

    def render(self):
        self.seen.append(len(self.told))
        return np.full((2, 2, 3), 7, np.uint8)


class LineTask:
    """The judge of `Line`."""

    control_dt_s = 0.1
    robot = SimpleNamespace(min_command=np.array([-1.0]), max_command=np.array([1.0]),
                            action_dim=1, interface='joint_velocity')

    def outcome(self, truth, goal):
        return Outcome({'x': float(abs(truth - goal)[0])})

    def recorded_state(self, world, columns, row):
        if 'x' not in columns:
            raise SimulationError(f'it has no column x; it has {", ".join(columns)}')
        return columns['x'][row]

    def policy(self, name, rng):
        return lambda truth: np.array([rng.normal()])


class Driver:
    """A fleet that drives every robot to the goal it was shown by number, as fast as allowed."""

    steps_per_plan, steps_per_block, solve_time_s = 4, 2, 0.6

    def __init__(self, worlds, goals, history=1):
        self.worlds, self.goals = worlds, goals
        self.config = SimpleNamespace(history=history)
        self.observed, self.told = [], []

    def set_goals(self, frames):
        self.shown = [int(frame[0, 0, 0]) for frame in frames]

    def observe(self, stamp_ns, frames):
        self.observed.append((stamp_ns // 100_000_000, [int(frame[0, 0, 0]) for frame in frames]))

    def executed(self, stamp_ns, actions):
        self.told.append((stamp_ns // 100_000_000, [float(action[0]) for action in actions]))

    def plan(self, now_ns, committed=None):
        assert committed is None
        speeds = [np.clip((self.goals[number] - world.x) / 0.4, -1, 1)
                  for number, world in zip(self.shown, self.worlds, strict=False)]
        return [SimpleNamespace(actions=np.tile(speed, (4, 1))) for speed in speeds]


def line_pair(start, goal, number=0):
    picture = np.full((2, 2, 3), number, np.uint8)
    return Pair(0, number, np.array([start]), np.array([start]), np.array([goal]), picture,
                picture)


def test_every_robot_of_a_fleet_goes_to_its_own_goal():
    """Three robots in step; each is told what it did, and sees a frame when a plan looks."""
    worlds, goals = [Line() for _ in range(4)], [0.5, -0.2, 0.0]
    fleet = Driver(worlds, goals)
    pairs = [line_pair(0.0, goal, number) for number, goal in enumerate(goals)]
    trials = run_fleet(fleet, LineTask(), worlds, pairs, budget=12)
    assert all(trial.holds(NEAR) for trial in trials)
    assert [trial.solved_at_start(NEAR) for trial in trials] == [False, False, True]
    assert [len(trial.outcomes) for trial in trials] == [13] * 3
    assert trials[0].plan_seconds == [0.6 / 3] * 3                 # its share
    assert [step for step, _ in fleet.observed] == [0, 4, 8]
    assert fleet.observed[0][1] == [0, 1, 2] and fleet.observed[1][1] == [7] * 3   # recorded first
    assert [step for step, _ in fleet.told] == list(range(12))
    assert [row[0] for _, row in fleet.told] == worlds[0].told
    assert worlds[3].told == []


class Counter(Driver):
    """A fleet whose n-th plan is n.0, n.1, ...: six rows, headed by what it was told stands."""

    def __init__(self):
        super().__init__([], [])
        self.committed = []

    def plan(self, now_ns, committed=None):
        self.committed.append([rows[:, 0].tolist() for rows in committed])
        plans = []
        for rows in committed:
            actions = len(self.committed) + np.arange(6)[:, None] / 10
            actions[:len(rows)] = rows
            plans.append(SimpleNamespace(actions=actions))
        return plans


@pytest.mark.parametrize(('interface', 'still'),
                         [('joint_velocity', 0.0), ('joint_position', 7.0)])
def test_late_plans_count_later_and_know_what_is_done_until_then(interface, still):
    """First the robot stands still, then it goes on with the plan in force as far as it goes."""
    world, task, fleet = Line(), LineTask(), Counter()
    task.robot = SimpleNamespace(action_dim=1, interface=interface)
    world.sensed = lambda: SimpleNamespace(positions=np.array([7.0, 8.0]))
    run_fleet(fleet, task, [world], [line_pair(0.0, 1.0)], 12, late=3)
    assert fleet.committed == [[[still] * 3], [pytest.approx([1.4, 1.5, still])],
                               [pytest.approx([2.4, 2.5, still])]]
    assert world.told == pytest.approx([still, still, still, 1.3, 1.4, 1.5, still, 2.3,
                                        2.4, 2.5, still, 3.3])


@pytest.mark.sim
def test_a_fleet_plans_from_what_is_committed_as_a_policy_does():
    """The same rows to the last bit; more than a plan has is refused."""
    task = load_task('reacher')
    world = task.make_world()
    pair, still = pair_of(world, 1), np.zeros((3, 2), np.float32)
    world.close()
    policy, fleet = make_policy(tiny_bundle()), Fleet(make_policy(tiny_bundle()))
    policy.set_goal_image(pair.goal_rgb)
    policy.observe(Observation(0, pair.start_rgb))
    fleet.set_goals([pair.goal_rgb])
    fleet.observe(0, [pair.start_rgb])
    chunk, = fleet.plan(0, [still])
    assert (chunk.actions[:3] == 0).all() and (chunk.actions[3:] != 0).any()
    assert (chunk.actions == policy.plan(0, still).actions).all()
    with pytest.raises(ShapeError, match='committed actions must be'):
        fleet.plan(0, [np.zeros((1000, 2), np.float32)])


def test_frames_are_drawn_only_where_a_plan_looks():
    """Its own, and those of its history a block apart; nothing before the start."""
    assert frame_steps(12, 4, 1, 2) == {0, 4, 8}
    assert frame_steps(12, 4, 2, 2) == {0, 2, 4, 6, 8}
    assert frame_steps(11, 5, 3, 5) == {0, 5, 10}
    world = Line()
    run_fleet(Driver([world], [1.0], history=2), LineTask(), [world], [line_pair(0, 1.0)], 12)
    assert world.seen == [2, 4, 6, 8]


@pytest.mark.parametrize(('name', 'moved'), [('still', False), ('uniform', True),
                                             ('exploration', True)])
def test_floors_act_without_looking(name, moved):
    """Standing still never moves; the others do, alike for the same seed, within the limits."""
    world = Line()
    first, second = (run_floor(name, LineTask(), world, line_pair(0.3, 9.0), 10,
                               np.random.default_rng(3)) for _ in range(2))
    assert (first.outcomes[-1].errors['x'] != pytest.approx(8.7)) == moved
    assert first.outcomes == second.outcomes and not world.seen
    assert name != 'uniform' or max(map(abs, world.told)) <= 1


def trial(*errors):
    return Trial(0, 0, [Outcome({'x': error}) for error in errors], [])


def test_reached_counts_any_step_after_the_start_and_final_only_the_last():
    """Who passes through has reached; who was there before the first step has not."""
    trials = [trial(0.5, 0.04, 0.5), trial(0.5, 0.3, 0.04), trial(0.01, 0.5, 0.5),
              trial(0.5, 0.05, 0.5)]                             # 0.05 is not below 0.05
    found = score('planner', [trials], NEAR)
    assert (found.reached.mean, found.final.mean, found.solved_at_start) == (0.5, 0.25, 0.25)
    assert found.to_dict()['tolerance'] == '0.05 m'


def data(lengths=(60, 20, 40)):
    rows = sum(lengths)
    return SimpleNamespace(
        path='set.h5', ep_len=np.array(lengths), ep_offset=np.cumsum([0, *lengths[:-1]]),
        columns={'x': np.arange(rows)[:, None] * 0.1},
        pixels=np.arange(rows, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), 'u1'))


def draw(source, episodes, **options):
    return sample_pairs(source, episodes, LineTask(), Line(), **{
        'goal_offset': 25, 'seed': 42, **options})


def test_pairs_are_rows_of_one_episode_the_right_distance_apart():
    """Start row t and goal row t + offset of the same episode, each start at most once."""
    source = data()
    pairs = draw(source, [0, 2], count=50)
    assert len({(pair.episode, pair.row) for pair in pairs}) == 50      # all 35 + 15 rows
    for pair in pairs:
        first = source.ep_offset[pair.episode] + pair.row
        assert pair.row + 25 < source.ep_len[pair.episode]
        assert pair.start == pytest.approx(0.1 * first)
        assert pair.goal == pytest.approx(0.1 * (first + 25))
        assert (pair.start_rgb == first).all() and (pair.goal_rgb == first + 25).all()
    assert [pair.row for pair in draw(source, [0, 2], count=5)] == [
        pair.row for pair in draw(source, [0, 2], count=5)]


def test_a_strict_draw_leaves_out_what_is_solved_before_the_first_step():
    """Rows that rest are skipped; if too few are left, the numbers are named."""
    source = data()
    source.columns['x'][:60] = 0.0                      # the first episode does not move at all
    pairs = draw(source, [0, 2], count=15, unsolved_by=NEAR)
    assert {pair.episode for pair in pairs} == {2}
    assert [pair.row for pair in pairs] == sorted(pair.row for pair in pairs)
    with pytest.raises(DatasetError, match='16 pairs asked for, but only 15 of 50 .* not solved'):
        draw(source, [0, 2], count=16, unsolved_by=NEAR)


def test_too_few_rows_or_no_states_are_named():
    """The message has the numbers."""
    with pytest.raises(DatasetError, match='the 2 episodes of set.h5 to draw from have only 50 r'):
        draw(data(), [0, 2], count=51)
    without = data()
    without.columns = {'proprio': 0}
    with pytest.raises(DatasetError, match='set.h5: it has no column x; it has proprio'):
        draw(without, [0], count=1)


def facts(**tolerances):
    return TaskFacts(robot='r', errors={'pusher': 'm', 'block': 'm'}, tolerances=tolerances)


def test_a_tolerance_may_belong_to_one_protocol():
    """'strict' may judge the object alone; the others do not see it."""
    both, block = {'pusher': 0.1, 'block': 0.1}, {'block': 0.02}
    task = facts(own=both, wide={'block': 0.5}, strict=block)
    assert [one.name for one in protocol('held-out').tolerances(task)] == ['own', 'wide']
    assert [one.limits for one in protocol('strict').tolerances(task)] == [block]
    assert [one.name for one in protocol('strict').tolerances(facts(own=both, wide=both))] == [
        'own']
    assert [one.name for one in protocol('reference').tolerances(facts(own=both))] == ['own']
    with pytest.raises(ConfigError, match="no tolerance for protocol 'held-out', only strict"):
        protocol('held-out').tolerances(facts(strict=block))
    with pytest.raises(ConfigError, match='protocol must be one of held-out, reference, strict'):
        protocol('paper')


def observed_by_policy(bundle, task, world, pair, budget):
    """Run the plain way: one policy that sees every frame; return the truths."""
    policy, dt_ns, truths, actions = make_policy(bundle), 50_000_000, [], []
    policy.set_goal_image(pair.goal_rgb)
    world.reset(pair.start)
    for step in range(budget):
        policy.observe(Observation(step * dt_ns, pair.start_rgb if step == 0 else world.render()))
        if not actions:
            actions = list(policy.plan(step * dt_ns).actions[:policy.steps_per_plan])
        action = actions.pop(0)
        world.apply(action)
        world.advance(task.control_dt_s)
        policy.executed(step * dt_ns, action)
        truths.append(world.truth())
    return truths


@pytest.mark.sim
@pytest.mark.parametrize(('history', 'replan_steps'), [(1, None), (3, None), (1, 2), (3, 1)])
def test_one_plan_at_a_time_is_what_a_policy_does_that_sees_every_frame(history, replan_steps):
    """The same outcomes to the last bit, without drawing and encoding what nobody looks at."""
    task = load_task('reacher')
    world, *others = task.make_worlds(3)
    pairs = [pair_of(world, seed) for seed in (1, 2)]
    bundle = tiny_bundle(plan_config=replace(PLAN, history=history, replan_steps=replan_steps))
    expected = [task.outcome(truth, pairs[0].goal)
                for truth in observed_by_policy(bundle, task, world, pairs[0], 20)]
    alone, = run_fleet(Fleet(make_policy(bundle)), task, [world], pairs[:1], 20)
    assert alone.outcomes[1:] == expected
    assert len(alone.plan_seconds) == 20 // (replan_steps or 5)
    together = run_fleet(Fleet(make_policy(bundle)), task, others, pairs, 20)
    assert [(one.episode, one.row, len(one.outcomes)) for one in together] == [(0, 1, 21),
                                                                               (0, 2, 21)]
    world.close()


def pair_of(world, seed):
    rng, found = np.random.default_rng(seed), []
    for _ in range(2):
        world.start(rng)
        found.append((world.state(), world.truth(), world.render()))
    (start, start_truth, start_rgb), (_, goal, goal_rgb) = found
    return Pair(0, seed, start, start_truth, goal, start_rgb, goal_rgb)


@pytest.mark.sim
def test_worlds_that_share_a_renderer_do_not_share_a_state():
    """Each draws its own state, as a world of its own would, and closing one closes no other."""
    task = load_task('reacher')
    alone, (first, second) = task.make_world(), task.make_worlds(2)
    for seed, world in ((1, first), (2, second)):
        world.start(np.random.default_rng(seed))
    for seed, world in ((1, first), (2, second)):
        alone.start(np.random.default_rng(seed))
        np.testing.assert_array_equal(world.render(), alone.render())
        np.testing.assert_array_equal(world.truth(), alone.truth())
    first.close()
    np.testing.assert_array_equal(second.render(), alone.render())
    alone.close()
    second.close()
