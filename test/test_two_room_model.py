"""The shipped model of Two-Room: card and bundle agree, goals are there, less than 10 MB."""

from pathlib import Path

from lewm_model import Bundle
from lewm_model.bundles.card import CARD_FILE, render_card
import pytest

pytest.importorskip('mujoco')
pytestmark = pytest.mark.sim
FOLDER = Path(__file__).parents[1] / 'models' / 'two_room-nano'


def test_the_shipped_model_is_whole():
    """Ten goals, several of them through the door, within reach of the planner that it names."""
    import yaml
    bundle = Bundle.load(FOLDER)
    assert (bundle.task, bundle.robot) == ('two_room', 'sim_two_room')
    assert bundle.plan_config.solver == 'prior' and (FOLDER / 'prior.safetensors').is_file()
    assert (FOLDER / CARD_FILE).read_text(encoding='utf-8') == render_card(bundle, FOLDER.name)
    goals = yaml.safe_load((FOLDER / 'goals' / 'goals.yaml').read_text())['goals']
    rooms = [goal['truth']['x'] > 0 for goal in goals]
    assert len(goals) == 10 and sum(a != b for a, b in zip(rooms, rooms[1:], strict=False)) >= 3
    assert sum(path.stat().st_size for path in FOLDER.rglob('*') if path.is_file()) < 10e6
