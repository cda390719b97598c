"""tools/moving_picture.py: what it shows of the films of demos, and at which pace."""

import importlib.util
from pathlib import Path

from lewm_ros.trials.video import CAMERA_AT, FPS, GOAL_AT, VIEW, write_film
import numpy as np
from PIL import Image
import pytest

pytest.importorskip('av')
SCRIPT = Path(__file__).resolve().parents[1] / 'tools' / 'moving_picture.py'


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('moving_picture', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def film(folder, pictures, camera, goal):
    """Write a film whose views have one colour each; the camera gets brighter with time."""
    def frames():
        for number in range(pictures):
            picture = np.zeros((720, 1280, 3), np.uint8)
            now = np.array(camera) + 4 * number
            for (left, top), colour in ((CAMERA_AT, now), (GOAL_AT, goal)):
                picture[top:top + VIEW, left:left + VIEW] = colour
            yield picture
    folder.mkdir()
    write_film(frames(), folder / 'demo.mp4')
    return folder


def test_camera_and_goal_of_each_demo_are_side_by_side(tool, tmp_path, capsys):
    """Two demos beside each other at the films' pace; the shorter one stands still at its end."""
    short = film(tmp_path / 'a', FPS, (60, 60, 60), (20, 20, 20))
    long = film(tmp_path / 'b', 2 * FPS, (90, 90, 90), (20, 20, 20))
    out = tmp_path / 'both.webp'
    tool.main([str(out), f'a={short}', f'b={long}', '--side', '40', '--every', '2'])
    with Image.open(out) as made:
        assert made.info['loop'] == 0
        shown = []            # by time: neighbours that are nearly alike are stored once
        for number in range(made.n_frames):
            made.seek(number)
            picture = np.asarray(made.convert('RGB')).astype(int)
            shown += [picture] * round(made.info['duration'] / (1000 * 2 / FPS))
        assert len(shown) == FPS
    y, left = tool.GAP + tool.TITLE + 20, tool.GAP + 20
    width = 2 * 40 + 3 * tool.GAP                       # of one demo with its margins
    places = {'camera a': left, 'goal a': left + 40 + tool.GAP, 'camera b': left + width,
              'goal b': left + width + 40 + tool.GAP}
    first, middle, last = ({name: picture[y, x].mean() for name, x in places.items()}
                           for picture in (shown[0], shown[FPS // 2], shown[-1]))
    assert first == pytest.approx({'camera a': 60, 'goal a': 20, 'camera b': 90, 'goal b': 20},
                                  abs=8)
    assert middle['camera a'] == pytest.approx(60 + 4 * (FPS - 2), abs=8)
    assert last['camera a'] == pytest.approx(60 + 4 * (FPS - 2), abs=8)       # stands still
    assert last['camera b'] == pytest.approx(90 + 4 * (2 * FPS - 2), abs=8)
    assert f'{out}: {FPS} pictures' in capsys.readouterr().out


def test_a_demo_that_was_not_made_is_named(tool, tmp_path, capsys):
    """With the command that makes it."""
    with pytest.raises(SystemExit):
        tool.main([str(tmp_path / 'x.webp'), f'cube={tmp_path}/none'])
    assert 'make it with `make demo TASK=cube`' in capsys.readouterr().err
