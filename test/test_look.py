"""Switches for the look of a task: what is seen changes, what happens does not."""

from lewm_model.errors import ConfigError
from needed import skip_where_missing
import numpy as np
import pytest

pytest.importorskip('mujoco')
pytestmark = pytest.mark.sim

from lewm_sim.look import draw_look, FACTORS, parse_factors  # noqa: E402
from lewm_sim.tasks import load_task, MujocoTask, task_names  # noqa: E402


@pytest.fixture(scope='module', params=task_names())
def task(request):
    """Every shipped task."""
    task = skip_where_missing(load_task(request.param))
    if not isinstance(task, MujocoTask):
        pytest.skip('no MuJoCo')
    return task


def test_every_switch_changes_the_picture_and_nothing_else(task):
    """Each alone; state, truth and what comes next stay, and taking the look away restores it."""
    world, twin = task.make_worlds(2, 64)
    start = world.state()
    plain = world.render().astype(int)
    for name in FACTORS:
        task.set_look(world, draw_look({name: 0.3}, np.random.default_rng(5)))
        # one grey level, in a dark scene a hundredth of its brightness
        least = min(1.0, plain.mean() / 100)
        assert np.abs(world.render() - plain).mean() > least, name
        np.testing.assert_array_equal(twin.render(), plain, 'a look belongs to one world')
        world.advance(task.control_dt_s)
        twin.advance(task.control_dt_s)
        np.testing.assert_array_equal(world.truth(), twin.truth())
        world.look = None
        world.reset(start)
        twin.reset(start)
        np.testing.assert_array_equal(world.render(), plain)
    world.close()


def test_light_and_shift_are_as_strong_as_they_say():
    """Half the light halves grey values; a shift by a tenth moves the picture by 6.4 of 64 px."""
    task = load_task('reacher')
    world = task.make_world(64)
    plain = world.render().astype(float)
    look = draw_look({}, np.random.default_rng(0))
    world.look = type(look)(colours=look.colours, light=0.5, shift=(0.0, 0.0), roll_rad=0.0)
    assert world.render().mean() / plain.mean() == pytest.approx(0.5, abs=0.02)
    world.look = type(look)(colours=look.colours, light=1.0, shift=(0.125, 0.0), roll_rad=0.0)
    shifted = world.render().astype(float)
    errors = {shift: np.abs(np.roll(plain, shift, axis=1) - shifted)[:, 16:48].mean()
              for shift in (-8, 0, 8)}
    assert min(errors, key=errors.get) == 8, errors
    world.close()


def test_a_look_is_a_function_of_its_seed():
    """The same pair looks alike for every model; switches do not disturb each other."""
    one, same = (draw_look({'light': 0.2, 'colours': 0.1}, np.random.default_rng(3))
                 for _ in range(2))
    np.testing.assert_array_equal(one.colours, same.colours)
    assert one.light == same.light != draw_look({'light': 0.2}, np.random.default_rng(4)).light
    assert one.light == draw_look({'light': 0.2}, np.random.default_rng(3)).light
    assert not draw_look({}, np.random.default_rng(3)).colours.any()


@pytest.mark.parametrize(('text', 'words'), [
    ('fog=0.2', "no switch 'fog'; there are colours, light, camera"),
    ('light', "written light=0.3, got 'light'"), ('light=much', "got 'light=much'"),
    ('light=1.5', r'light must be in \(0, 1\), got 1.5'), ('light=nan', 'got nan')])
def test_what_is_no_switch_is_refused(text, words):
    """The message says what there is."""
    with pytest.raises(ConfigError, match=words):
        parse_factors([text])


def test_switches_are_read_together_or_apart():
    """Repeated options and commas mean the same."""
    assert parse_factors(['light=0.3,camera=0.02']) == parse_factors(['light=0.3', 'camera=0.02'])
