"""tools/task_trials.py: which trials are shown, what is said of them, and how long films take."""

import importlib.util
from pathlib import Path

from episode_sets import episode, write_set
from lewm_sim.evaluate.trials import Trial
from lewm_sim.tasks import Outcome, Tolerance
from nano import tiny_bundle
import numpy as np
from PIL import Image
import pytest

av = pytest.importorskip('av')
ROOT = Path(__file__).resolve().parents[1]
TOLERANCE = Tolerance('own', {'block': 0.02, 'angle': 0.5}, {'block': 'm', 'angle': 'rad'})


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('task_trials', ROOT / 'tools/task_trials.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(tool, *blocks, angle=0.1, planner='cem'):
    """Return a trial whose T is so far away at each instant."""
    outcomes = [Outcome({'block': block, 'angle': angle}) for block in blocks]
    return tool.Shown(planner, Trial(0, 0, outcomes, []), [])


def test_a_trial_says_when_it_arrived_and_what_is_farthest_off(tool):
    """The start does not count; of several errors the one that is most of its limit is said."""
    judge = tool.Judge(TOLERANCE, control_dt_s=0.1)
    passed = shown(tool, 0.01, 0.05, 0.015, 0.06)
    assert judge.verdict(passed) == 'cem: reached, 0.2 s'
    assert judge.error(passed, 1) == 'block 0.050 m' and judge.error(passed, -1) == 'block 0.060 m'
    missed = shown(tool, 0.01, 0.03, 0.02, angle=0.4, planner='prior')
    assert judge.verdict(missed) == 'prior: missed'
    assert judge.error(missed, 0) == 'angle 0.400 rad'
    assert judge.ink(passed) == tool.REACHED and judge.ink(missed) == tool.MISSED


def test_misses_of_the_first_planner_come_first(tool):
    """So many of each, in the order of the pairs."""
    good, bad = shown(tool, 1, 0.01), shown(tool, 1, 1)
    tried = [(one, bad) for one in (good, bad, good, bad, bad, good)]
    assert tool.chosen(tried, TOLERANCE, 2) == [1, 3, 0, 2]
    assert tool.chosen(tried[:1], TOLERANCE, 2) == [0]


def duration_ms(path):
    with Image.open(path) as made:
        found = 0
        for number in range(made.n_frames):
            made.seek(number)
            made.load()
            found += made.info['duration']
        return found


def test_a_webp_gets_coarser_until_it_fits_and_keeps_its_time(tool, tmp_path):
    """Noise does not fit as it is; what never fits is said, and nothing is written."""
    rng, path = np.random.default_rng(0), tmp_path / 'film.webp'
    pictures = [rng.integers(0, 255, (64, 64, 3)).astype(np.uint8) for _ in range(13)]
    tool.write_webp(pictures, path, 0.1)
    whole = path.stat().st_size
    assert duration_ms(path) == pytest.approx(1300 + 1000 * tool.PAUSE_S)
    tool.write_webp(pictures, path, 0.1, most_bytes=whole // 2)
    assert path.stat().st_size <= whole // 2
    assert duration_ms(path) == pytest.approx(1300 + 1000 * tool.PAUSE_S)
    with pytest.raises(SystemExit, match='0.0 are wanted; use fewer --trials'):
        tool.write_webp(pictures, tmp_path / 'none.webp', 0.1, most_bytes=100)
    assert not (tmp_path / 'none.webp').exists()


@pytest.mark.sim
def test_two_planners_are_filmed_on_pairs_of_two_files(tool, tmp_path, capsys):
    """Twenty steps of 0.05 s, three times slower, with a pause; goal and two views in a tile."""
    pytest.importorskip('mujoco')
    for name, numbers in (('a', range(2)), ('b', range(2, 4))):
        write_set(tmp_path / f'{name}.h5', map(episode, numbers))
    tiny_bundle(provenance={}).save(tmp_path / 'tiny')
    tool.main([str(tmp_path / 'tiny'), '--data', str(tmp_path / 'a.h5'), '--data',
               str(tmp_path / 'b.h5'), '--new-data', '--plan', 'cem', '--plan', 'mppi',
               '--episodes', '3', '--budget', '20', '--trials', '1', '--side', '64', '--slow', '3',
               '--columns', '1', '--instants', '4', '--out', str(tmp_path / 'out')])
    said = capsys.readouterr().out
    assert 'cem: ' in said and 'mppi: ' in said and said.count(' of 3 reached') == 2
    seconds = 21 * 0.05 * 3 + tool.PAUSE_S
    assert duration_ms(tmp_path / 'out/trials.webp') == pytest.approx(1000 * seconds, abs=5)
    with av.open(str(tmp_path / 'out/trials.mp4')) as film:
        video = film.streams.video[0]
        assert video.frames / video.average_rate == pytest.approx(seconds)
        assert video.width == 3 * 64 + 6 * tool.GAP
    with Image.open(tmp_path / 'out/trials.png') as picture:
        assert picture.width == 5 * 64 + 6 * tool.GAP
