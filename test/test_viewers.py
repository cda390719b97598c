"""Programs of other packages: found, or refused before anything starts."""

from pathlib import Path

from lewm_model.errors import ConfigError
import pytest

pytest.importorskip('ament_index_python')
pytestmark = pytest.mark.ros

from lewm_ros.startup import viewers  # noqa: E402
from lewm_ros.startup.options import SystemOptions  # noqa: E402
from lewm_ros.startup.system import system  # noqa: E402


def prefix(folder: Path) -> Path:
    """Make an install prefix that has a package rviz2, without its program."""
    marker = folder / 'share' / 'ament_index' / 'resource_index' / 'packages' / 'rviz2'
    marker.parent.mkdir(parents=True)
    marker.touch()
    return folder


def test_a_viewer_that_is_not_installed_is_named_with_its_package(monkeypatch, tmp_path):
    """Before anything starts, with what to install; a system without it is fine."""
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    with pytest.raises(ConfigError, match='rviz2 needs the ROS package rviz2, .* not installed'):
        viewers.require_programs(system(SystemOptions(sim=True, rviz=True)))
    viewers.require_programs(system(SystemOptions(sim=True, imagination=True)))


def test_an_installed_viewer_is_found(monkeypatch, tmp_path):
    """Where ament says that its package is; a package without the program is said, too."""
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(prefix(tmp_path)))
    with pytest.raises(ConfigError, match='has no program rviz2'):
        viewers.program_of('rviz2', 'rviz2')
    program = tmp_path / 'lib' / 'rviz2' / 'rviz2'
    program.parent.mkdir(parents=True)
    program.touch()
    assert viewers.program_of('rviz2', 'rviz2') == program
