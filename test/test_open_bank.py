"""A goal bank as the goal node reads it: nearest entry, and pictures that are not trusted."""

from pathlib import Path

from episode_sets import arm_bank
from lewm_model.errors import ConfigError, ImageError
from lewm_model.images.decode import write_image
from lewm_model.robots.robot import RobotDescription
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_ros.goals.giving.bank import OpenBank  # noqa: E402
from lewm_ros.wire.reasons import ReasonedError  # noqa: E402

ROBOT = RobotDescription.from_yaml('sim_reacher')


@pytest.fixture
def folder(tmp_path) -> Path:
    return arm_bank(tmp_path, count=30)


def test_the_nearest_entry_goes_around_the_turn(folder):
    """3.1 rad is nearest to 3.0, and 3.25 to -3.0 if only the shoulder counts."""
    bank = OpenBank(folder, ROBOT)
    entry, errors = bank.nearest({'shoulder': 3.1})
    assert bank.bank.named(entry)['shoulder'][0] == pytest.approx(3.0)
    assert errors == {'shoulder': pytest.approx(0.1)}
    entry, errors = bank.nearest({'shoulder': 3.25})
    assert bank.bank.named(entry)['shoulder'][0] == pytest.approx(-3.0)
    assert errors['shoulder'] == pytest.approx(2 * np.pi - 6.25)
    entry, _ = bank.nearest({'wrist': 0.3})
    assert bank.bank.named(entry)['wrist'][0] == pytest.approx(0.3)


def test_what_cannot_be_asked_for_is_refused(folder):
    """Unknown names and numbers that are none; banks of other robots."""
    bank = OpenBank(folder, ROBOT)
    with pytest.raises(ConfigError, match="knows no 'elbow'; it has shoulder, wrist"):
        bank.nearest({'elbow': 1.0})
    for wanted in ({}, {'wrist': float('nan')}):
        with pytest.raises(ConfigError, match='at least one finite value'):
            bank.nearest(wanted)
    with pytest.raises(ConfigError, match="of robot 'sim_reacher', this is 'diff_drive'"):
        OpenBank(folder, RobotDescription.from_yaml('diff_drive'))


def test_pictures_of_a_bank_are_not_trusted(folder, tmp_path):
    """A link out of the folder, a missing file and another size are refused."""
    bank = OpenBank(folder, ROBOT)
    first, second, third = bank.bank.entries[:3]
    assert bank.picture(first).shape == (64, 64, 3)
    (folder / first.file).rename(tmp_path / 'elsewhere.png')
    (folder / first.file).symlink_to(tmp_path / 'elsewhere.png')
    with pytest.raises(ReasonedError, match='outside goal_root'):
        bank.picture(first)
    (folder / second.file).unlink()
    with pytest.raises(ReasonedError, match='cannot be found'):
        bank.picture(second)
    write_image(folder / third.file, np.zeros((65, 64, 3), np.uint8))
    with pytest.raises(ImageError, match='64x65 px, bank.yaml says 64 px'):
        bank.picture(third)
