"""Two-Room: walls stop the robot, the door lets it through, success is the original's rule."""

import numpy as np
import pytest

pytest.importorskip('mujoco')
pytestmark = pytest.mark.sim

from lewm_sim.tasks import load_task  # noqa: E402
from lewm_sim.tasks.two_room import rooms  # noqa: E402
from lewm_sim.tasks.two_room.drivers import towards  # noqa: E402

PX = 0.01     # one pixel of the original's 224 [m]


@pytest.fixture(scope='module')
def task():
    return load_task('two_room')


@pytest.fixture(scope='module')
def world(task):
    made = task.make_world(64)
    yield made
    made.close()


def put(world, x, y):
    """Let the robot stand at a place."""
    world.reset(world.state_at(np.array([x, y])))


def drive(task, world, action, steps):
    """Repeat an action; return all positions."""
    places = [world.truth()]
    for _ in range(steps):
        world.apply(np.asarray(action, float))
        world.advance(task.control_dt_s)
        places.append(world.truth())
    return np.array(places)


def test_the_proportions_are_the_originals(task, world):
    """224 px with a border of 14, a wall at 112 of 10, a door at 49 of 28, a radius of 7."""
    model = world.model
    assert model.geom('left').pos[0] + model.geom('left').size[0] == pytest.approx(-98 * PX)
    assert model.geom('top').pos[1] - model.geom('top').size[1] == pytest.approx(98 * PX)
    wall, above = model.geom('below_door'), model.geom('above_door')
    assert (wall.pos[0], wall.size[0]) == (0, pytest.approx(5 * PX))
    door = [112 * PX - (above.pos[1] - above.size[1]), 112 * PX - (wall.pos[1] + wall.size[1])]
    assert door == [pytest.approx(35 * PX), pytest.approx(63 * PX)]     # 49 -+ 14 from the top
    assert model.geom('body').size[0] == pytest.approx(7 * PX) == rooms.RADIUS
    assert pytest.approx(63 * PX) == rooms.DOOR and pytest.approx(14 * PX) == rooms.HALF_DOOR
    assert (task.robot.max_command * task.control_dt_s).tolist() == [5 * PX] * 2
    assert task.facts.tolerance().limits == {'way': pytest.approx(16 * PX)}
    assert (task.facts.goal_offset, task.facts.budget) == (25, 50)


def test_the_picture_shows_the_proportions(task):
    """The camera looks straight down at 2.24 m: borders and wall are where the original's are."""
    world = task.make_world(224)
    put(world, -0.5, -0.5)
    row = world.render()[150].mean(axis=1)
    dark = np.flatnonzero(row < 90)
    assert set(range(1, 13)) <= set(dark) and set(range(108, 116)) <= set(dark)
    assert not set(range(16, 105)) & set(dark) and not set(range(119, 208)) & set(dark)
    rgb = world.render().astype(int)
    red = np.argwhere((rgb[..., 0] > 180) & (rgb[..., 1] < 60))
    np.testing.assert_allclose(red.mean(axis=0), [162, 62], atol=1.5)     # y down, x right
    assert len(red) == pytest.approx(np.pi * 7 ** 2, rel=0.15)
    world.close()


def test_one_action_moves_five_pixels(task, world):
    """In open space, once it is moving; each axis by itself."""
    put(world, -0.6, -0.5)
    moved = np.diff(drive(task, world, [0.5, 0.25], 5), axis=0)
    np.testing.assert_allclose(moved[-1], [5 * PX, 2.5 * PX], rtol=0.02)


@pytest.mark.parametrize(('start', 'action', 'axis', 'limit'), [
    ((-0.4, -0.5), (0.5, 0.0), 0, -rooms.WALL - rooms.RADIUS),
    ((0.4, 0.2), (-0.5, 0.5), 0, rooms.WALL + rooms.RADIUS),
    ((0.5, 0.5), (0.5, 0.5), 1, rooms.REACH),
    ((-0.5, -0.5), (-0.5, -0.5), 0, -rooms.REACH)])
def test_walls_stop_the_body_and_it_slides_along(task, world, start, action, axis, limit):
    """Pushed for three seconds, it is never deeper in a wall than 1 cm, and at rest at it."""
    put(world, *start)
    outside = np.sign(limit - start[axis])
    places = drive(task, world, action, 30 if axis or action[1] <= 0 else 6)
    assert (outside * (places[:, axis] - limit) < 0.01).all()
    if action[1] and axis == 0 and action[1] > 0:
        assert places[-1, 1] - places[0, 1] == pytest.approx(0.3, abs=0.03)   # along the wall


def test_no_action_jumps_through_the_wall(task, world):
    """Random driving for two minutes at many starts: rooms change in the door only."""
    for seed in range(6):
        world.start(np.random.default_rng(seed))
        act = task.policy('explorer', np.random.default_rng(seed))
        for _ in range(200):
            before = world.truth()
            world.apply(act(before))
            world.advance(task.control_dt_s)
            after = world.truth()
            if before[0] * after[0] < 0:
                assert abs(after[1] - rooms.DOOR) < rooms.HALF_DOOR - rooms.RADIUS + 0.01


def test_the_door_lets_the_robot_through(task, world):
    """Straight, and a little beside its middle, where it slides around a post."""
    for offset in (0.0, 0.06, -0.06):
        put(world, -0.4, rooms.DOOR + offset)
        assert drive(task, world, [0.5, 0.0], 20)[-1, 0] > 0.3, offset


def test_the_way_goes_through_the_door(task):
    """In one room it is the distance; between rooms it is at least that, and passes the door."""
    here, there = np.array([-0.5, -0.5]), np.array([-0.3, 0.4])
    assert rooms.length(rooms.way(here, there)) == pytest.approx(np.linalg.norm(there - here))
    rng = np.random.default_rng(0)
    for _ in range(200):
        here, there = (rooms.random_place(rng, room) for room in (0, 1))
        forth, back = rooms.way(here, there), rooms.way(there, here)
        assert rooms.length(forth) == pytest.approx(rooms.length(back), abs=1e-3)
        assert rooms.length(forth) >= np.linalg.norm(there - here) - 1e-9
        assert (np.abs(forth[1:-1, 1] - rooms.DOOR) <= rooms.HALF_DOOR - rooms.RADIUS + 1e-9).all()
        # No other pair of points in the door's ends makes it shorter by more than a millimetre.
        for low, high in rng.uniform(-0.07, 0.07, (20, 2)) + rooms.DOOR:
            other = np.array([here, [-rooms.WALL, low], [rooms.WALL, high], there])
            assert rooms.length(forth) <= rooms.length(other) + 1e-3


def test_success_is_the_originals_rule_wherever_a_robot_can_be(task):
    """Within 16 px by the way is within 16 px by the distance, and never across the wall."""
    rng = np.random.default_rng(1)
    tolerance = task.facts.tolerance()
    for _ in range(2000):
        here = rooms.random_place(rng, int(rng.integers(2)))
        there = here + rng.uniform(-0.25, 0.25, 2)
        if not rooms.WALL + rooms.RADIUS <= abs(there[0]) <= rooms.REACH:
            continue
        assert task.outcome(here, there).solved(tolerance) == (
            np.linalg.norm(there - here) < 0.16)


def test_the_expert_gets_everywhere(task, world):
    """100 random pairs, half of them through the door: 95 are solved in the way's own time."""
    rng, tolerance, solved = np.random.default_rng(7), task.facts.tolerance(), 0
    for number in range(100):
        here, there = (rooms.random_place(rng, room) for room in (0, number % 2))
        put(world, *here)
        steps = round(rooms.length(rooms.way(here, there)) / (5 * PX)) + 10
        for _ in range(steps):
            world.apply(towards(world.truth(), there, task.robot))
            world.advance(task.control_dt_s)
        solved += task.outcome(world.truth(), there).solved(tolerance)
    assert solved >= 95


@pytest.mark.parametrize(('policy', 'least'), [('expert', 1.0), ('noisy_expert', 0.7),
                                               ('explorer', 0.25)])
def test_who_knows_the_rooms_goes_through_the_door(task, world, policy, least):
    """Crossings per episode of 80 steps, over 24 episodes; both rooms are seen alike."""
    crossings, left = 0, 0.0
    for seed in range(24):
        world.start(np.random.default_rng([5, seed]))
        act = task.policy(policy, np.random.default_rng([6, seed]))
        xs = [world.truth()[0]]
        for _ in range(80):
            world.apply(act(world.truth()))
            world.advance(task.control_dt_s)
            xs.append(world.truth()[0])
        crossings += (np.diff(np.sign(xs)) != 0).sum()
        left += np.mean(np.array(xs) < 0)
    assert crossings / 24 >= least
    assert 0.3 < left / 24 < 0.7


def test_odometry_is_that_of_a_base_that_never_turns(task, world):
    """Pose and speeds in the world, which are those of the body."""
    put(world, 0.3, 0.2)
    drive(task, world, [0.3, -0.2], 4)
    sensed = world.sensed()
    np.testing.assert_allclose(sensed.positions, [*world.truth(), 0.0], atol=1e-9)
    np.testing.assert_allclose(sensed.velocities, [0.3, -0.2, 0.0], atol=0.01)
