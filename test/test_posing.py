"""Every task can be put where its quantities have given values, and viewers are told of it."""

import every_task
from lewm_model.errors import ConfigError, SimulationError
from lewm_model.robots.robot import RobotDescription
from lewm_sim.links import CAMERA_LINK, ROOT_LINK
from lewm_sim.tasks import load_task, MujocoTask
from lewm_sim.urdf import rpy_of, urdf_of
from needed import skip_where_missing
import numpy as np
import pytest

mujoco = pytest.importorskip('mujoco')
pytestmark = pytest.mark.sim
task, world = every_task.task, every_task.world


def made_world(name):
    return (task := skip_where_missing(load_task(name))), task.make_world(64)


def close(task, truth, wanted, limit=2.1e-3):
    """Hold every wanted quantity against what is measured, in its own way."""
    named = task.named(truth)
    for one in task.quantities:
        if one.name in wanted:
            assert one.error(named[one.name], np.atleast_1d(wanted[one.name])) < limit, one.name


def test_all_quantities_at_once_are_read_back(task, world):
    """The truth of twelve other starts is what comes out, and the world has not changed."""
    rng = np.random.default_rng(5)
    for _ in range(12):
        world.start(rng)
        wanted = task.named(world.truth())
        world.start(rng)
        before, picture = world.state(), world.render()
        state = task.state_with(world, wanted)
        np.testing.assert_array_equal(world.state(), before)
        np.testing.assert_array_equal(world.render(), picture)
        world.reset(state)
        close(task, world.truth(), wanted)


def test_one_quantity_leaves_alone_what_it_has_nothing_to_do_with(task, world):
    """Asked for one by one; things of another kind (`of`) stay where they are."""
    world.start(np.random.default_rng(1))
    wanted = task.named(world.truth())
    world.start(np.random.default_rng(2))
    before = task.named(world.truth())
    for one in task.quantities:
        if one.kind == 'quaternion' or one.of in ('gripper', 'joint'):
            continue
        try:
            state = task.state_with(world, {one.name: wanted[one.name]})
        except SimulationError as error:
            assert 'inside each other' in str(error)
            continue
        other = task.make_world(64)
        other.reset(state)
        close(task, other.truth(), {one.name: wanted[one.name]})
        close(task, other.truth(), {other.name: before[other.name] for other in task.quantities
                                    if other.of != one.of and other.of != 'joint'})
        other.close()


def test_nonsense_is_refused(task, world):
    """Unknown names, wrong widths and numbers that are none; the message says what there is."""
    name = task.quantities[0].name
    for wanted, words in (({'nonsense': 1.0}, f'no .nonsense.; it has {name}'),
                          ({name: [1.0, 2.0]}, 'must be 1 finite numbers'),
                          ({name: float('nan')}, 'must be 1 finite numbers')):
        with pytest.raises(ConfigError, match=words):
            task.state_with(world, wanted)


def test_what_cannot_be_is_refused():
    """A tip out of reach, a joint beyond its range, a T on the disk."""
    task, world = made_world('reacher')
    with pytest.raises(SimulationError, match='cannot have tip x 0.5 at once: tip x stays 0.2'):
        task.state_with(world, {'tip x': 0.5})
    with pytest.raises(SimulationError, match='wrist 3 at once'):
        task.state_with(world, {'wrist': 3.0})
    world.close()
    task, world = made_world('push_t')
    disk = task.named(world.truth())
    with pytest.raises(SimulationError, match='would be inside each other'):
        task.state_with(world, {'block x': disk['pusher x'], 'block y': disk['pusher y']})
    world.close()


def test_the_tip_is_found_from_any_pose_of_the_arm():
    """Also from the stretched arm, where no small motion brings the tip nearer."""
    task, world = made_world('reacher')
    rng = np.random.default_rng(3)
    for shoulder in (0.0, 2.0):
        world.reset(world.state_at(np.array([shoulder, 0.0])))
        for _ in range(20):
            angle, radius = rng.uniform(-np.pi, np.pi), rng.uniform(0.06, 0.235)
            wanted = {'tip x': radius * np.cos(angle), 'tip y': radius * np.sin(angle)}
            other = task.make_world(64)
            other.reset(task.state_with(world, wanted))
            close(task, other.truth(), wanted, 2e-4)
            other.close()
    world.close()


def test_the_fingers_of_the_cube_task_close_as_their_linkage_does():
    """The constraints of the linkage are met within what they are in motion."""
    task, world = made_world('cube')
    for opening in (0.085, 0.05, 0.02):
        world.reset(task.state_with(world, {'opening': opening, 'cube x': 0.3, 'cube y': 0.29}))
        data = world.data
        loops = data.efc_type[:data.nefc] == mujoco.mjtConstraint.mjCNSTR_EQUALITY
        assert np.abs(data.efc_pos[:data.nefc][loops]).max() < 2e-4
    world.close()


# Links ---------------------------------------------------------------------------------------


def chain(links, positions, rotations):
    """Put links together: where each is in the world, by name."""
    found = {ROOT_LINK: (np.zeros(3), np.array([1.0, 0, 0, 0]))}
    for one, position, rotation in zip(links, positions, rotations, strict=True):
        if one.parent:
            at, turn = found[one.parent]
            place, product = np.empty(3), np.empty(4)
            mujoco.mju_rotVecQuat(place, position, turn)
            mujoco.mju_mulQuat(product, turn, rotation)
            found[one.name] = at + place, product
    return found


def same_turn(first, second):
    return abs(abs(np.dot(first, second)) - 1) < 1e-7


def test_links_are_where_the_simulator_has_its_bodies(task, world):
    """Put together along their joints, they agree in every start; so does the camera."""
    if not isinstance(task, MujocoTask):
        assert task.links(world) == ()
        return
    for seed in range(5):
        world.start(np.random.default_rng(seed))
        world.advance(task.control_dt_s)
        found = chain(task.links(world), *task.link_poses(world))
        data = mujoco.MjData(world.model)
        data.qpos[:] = world.data.qpos
        mujoco.mj_kinematics(world.model, data)
        mujoco.mj_camlight(world.model, data)
        for body in range(1, world.model.nbody):
            at, turn = found[world.model.body(body).name or f'body_{body}']
            np.testing.assert_allclose(at, data.xpos[body], atol=1e-7)
            assert same_turn(turn, data.xquat[body])
        at, turn = found[CAMERA_LINK]
        camera = data.camera(task.camera)
        axes = np.empty(9)
        mujoco.mju_quat2Mat(axes, turn)
        np.testing.assert_allclose(at, camera.xpos, atol=1e-7)
        right, up, back = camera.xmat.reshape(3, 3).T
        np.testing.assert_allclose(axes.reshape(3, 3).T, [right, -up, -back], atol=1e-7)


def test_the_description_loads_again_with_the_same_joints(task, world):
    """MuJoCo reads it as any URDF: names and kinds of joints, and everything in its place."""
    if not isinstance(task, MujocoTask):
        return
    links = task.links(world)
    again = mujoco.MjModel.from_xml_string(urdf_of(links, task.name))
    names = {again.joint(number).name: number for number in range(again.njnt)}
    assert set(names) == {one.joint for one in links if one.joint}
    kinds = {'continuous': mujoco.mjtJoint.mjJNT_HINGE, 'prismatic': mujoco.mjtJoint.mjJNT_SLIDE}
    for one in links:
        if one.kind in kinds:
            number = names[one.joint]
            assert again.jnt_type[number] == kinds[one.kind]
            assert not again.jnt_limited[number]
    data = mujoco.MjData(again)
    for one in links:
        if one.kind in kinds:
            data.joint(one.joint).qpos[0] = world.data.joint(one.joint).qpos[0]
        elif one.kind == 'floating':
            data.joint(one.joint).qpos[:] = world.data.joint(one.joint).qpos
    mujoco.mj_kinematics(again, data)
    found = chain(links, *task.link_poses(world))
    for body in range(1, again.nbody):
        at, _ = found[again.body(body).name]
        np.testing.assert_allclose(data.xpos[body], at, atol=1e-5)


def test_turns_of_a_description_are_those_of_the_scene():
    """Roll, pitch, yaw put together again give the quaternion, also straight up."""
    rng = np.random.default_rng(0)
    cases = [one / np.linalg.norm(one) for one in rng.normal(size=(200, 4))]
    cases += [np.array(one) / np.linalg.norm(one) for one in (
        (1, 0, 1, 0), (1, 0, -1, 0), (1, 1, 1, 1), (1, -1, 1, -1), (0.3, 0.7, 0.3, 0.7))]
    for case in cases:
        roll, pitch, yaw = rpy_of(tuple(case))
        parts = []
        for axis, angle in (((0, 0, 1), yaw), ((0, 1, 0), pitch), ((1, 0, 0), roll)):
            parts.append(np.empty(4))
            mujoco.mju_axisAngle2Quat(parts[-1], np.array(axis, float), angle)
        first, whole = np.empty(4), np.empty(4)
        mujoco.mju_mulQuat(first, parts[0], parts[1])
        mujoco.mju_mulQuat(whole, first, parts[2])
        assert same_turn(whole, case), case


# Clicks --------------------------------------------------------------------------------------

# At which height things are that are clicked [m].
HEIGHTS = {'reacher': 0.05, 'push_t': 0.029, 'two_room': 0.015, 'cube': 0.02}


@pytest.mark.parametrize('name', HEIGHTS)
def test_pixels_of_shipped_robots_are_those_of_the_camera(name):
    """What the robot file says of the picture is what the scene's camera sees, to 1 % of it."""
    task, world = made_world(name)
    clicks = task.robot.clicks
    low_x, high_x, low_y, high_y = clicks.within
    camera = world.data.camera(task.camera)
    mujoco.mj_forward(world.model, world.data)
    focal = 0.5 / np.tan(world.camera_fovy_rad / 2)
    for place in np.random.default_rng(0).uniform([low_x, low_y], [high_x, high_y], (50, 2)):
        right, up, back = camera.xmat.reshape(3, 3).T @ ([*place, HEIGHTS[name]] - camera.xpos)
        u, v = 0.5 + focal * right / -back, 0.5 - focal * up / -back
        assert 0 <= u <= 1 and 0 <= v <= 1
        np.testing.assert_allclose(clicks.on_plane(u, v), place, atol=0.01 * (high_x - low_x))
    known = {one.name: one.kind for one in task.quantities}
    assert [known[one] for one in (clicks.x, clicks.y)] == ['position'] * 2
    assert not clicks.yaw or known[clicks.yaw] == 'angle'
    world.close()


def test_both_files_of_the_arm_say_the_same_of_clicks():
    """The arm behind position servos stands in the same scene."""
    first, second = (RobotDescription.from_yaml(name).clicks
                     for name in ('sim_reacher', 'sim_reacher_position'))
    assert first == second
