from __future__ import annotations

from lewm_model.errors import ConfigError
from lewm_model.quantities import from_json, places, Quantity, to_json
import numpy as np
import pytest

YAW = Quantity('yaw', 'angle', of='base')
POSE = Quantity('cube rotation', 'quaternion', of='cube')


def test_quantities_survive_a_text():
    """What a data set stores about its columns is read back as it was, units filled in."""
    chosen = (YAW, POSE, Quantity('agent x', 'position', 'px', 'agent'))
    assert from_json(to_json(chosen)) == chosen
    assert [one.unit for one in chosen] == ['rad', '', 'px']


def test_columns_of_quantities_lie_side_by_side():
    """A quaternion takes four columns, everything else one."""
    assert places((YAW, POSE, YAW)) == [slice(0, 1), slice(1, 5), slice(5, 6)]


def test_angles_are_compared_around_the_turn():
    """One and the same direction is at distance 0, the opposite one at pi; a metre is a metre."""
    values = np.array([[0.1], [2 * np.pi], [-np.pi], [7.0]])
    assert YAW.error(values, np.zeros(1)) == pytest.approx([0.1, 0, np.pi, 7 - 2 * np.pi])
    assert Quantity('x', 'position').error(values, np.zeros(1)) == pytest.approx(
        [0.1, 2 * np.pi, np.pi, 7.0])


def test_a_quaternion_and_its_negative_are_one_rotation():
    """Error and readout target agree on q and -q; a quarter turn about z is pi/2 away."""
    quarter = np.array([np.sqrt(0.5), 0, 0, np.sqrt(0.5)])
    assert POSE.error(quarter, [1, 0, 0, 0]) == pytest.approx(np.pi / 2)
    assert POSE.error(-quarter, quarter) == pytest.approx(0, abs=1e-6)
    assert POSE.targets(quarter) == pytest.approx([0, -1, 0, 1, 0, 0, 0, 0, 1])
    assert POSE.targets(-quarter) == pytest.approx(POSE.targets(quarter))


@pytest.mark.parametrize('text', [
    '', '3', '{"name": 1}', '[{"name": "a"}]', '[{"name": "a", "kind": "colour"}]',
    '[{"name": "", "kind": "angle"}]', '[{"name": "a", "kind": "angle", "size": 2}]',
    '[{"name": "a", "kind": "angle"}, {"name": "a", "kind": "position"}]',
])
def test_texts_that_are_no_quantities_are_refused(text):
    """A damaged attribute is one clear error."""
    with pytest.raises(ConfigError, match='quantit'):
        from_json(text)
