"""What `lewm inspect` says of a data set: healthy sets pass, planted faults are found."""

from dataclasses import replace
from pathlib import Path

import cv2
import h5py
from lewm_model.data.alignment import action_lag, Alignment, measure_alignment
from lewm_model.data.data_checks import check_data_set, sketch
from lewm_model.data.data_picture import plot_data_set
from lewm_model.data.describe_data import alignments, describe_data_set
from lewm_model.data.episode_video import draw_episode, write_episode_video
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import DatasetError
from lewm_model.images.decode import read_image
from lewm_model.quantities import Quantity, to_json
from lewm_sim.cli import main
import numpy as np
import pytest

EPISODES, ROWS = 40, 40


def smooth(rng: np.random.Generator, rows: int, actions: int) -> np.ndarray:
    """Return actions that change slowly, which makes neighbours hard to tell apart, (rows, A)."""
    values = np.empty((rows, actions))
    values[0] = rng.normal(size=actions)
    for row in range(1, rows):
        values[row] = 0.9 * values[row - 1] + np.sqrt(1 - 0.9 ** 2) * rng.normal(size=actions)
    return values


def dot(place: np.ndarray) -> np.ndarray:
    """Draw a soft dot on a square whose opposite sides are one, uint8 (32, 32, 3)."""
    grid = np.linspace(-1, 1, 32, endpoint=False)
    across, down = (np.exp(-0.5 * (((grid - at + 1) % 2 - 1) / 0.3) ** 2) for at in place)
    return np.repeat((255 * np.outer(down, across)).astype(np.uint8)[:, :, None], 3, axis=2)


def make(path: Path, *, kind: str = 'velocity', shift: int = 0, state: bool = False,
         lengths: tuple[int, ...] = (ROWS,) * EPISODES, **changes) -> EpisodeFile:
    """Write a set in which a dot is driven by its actions; `shift` moves these by rows."""
    rng = np.random.default_rng(3)
    parts = []
    for length in lengths:
        speed = 0.25 * smooth(rng, length, 2)
        place = np.empty((length, 2))
        place[0] = rng.uniform(-1, 1, 2)
        place[1:] = place[0] + np.cumsum(speed[:-1], axis=0)
        action = speed if kind == 'velocity' else np.concatenate([place[1:], place[-1:]])
        action = np.roll(action, shift, axis=0)
        action[-1] = np.nan
        parts.append((np.stack([dot(one) for one in place]), action, place))
    pixels, action, place = (np.concatenate(values) for values in zip(*parts, strict=True))
    columns = {'pixels': pixels, 'action': action.astype(np.float32),
               'stamp_ns': np.arange(len(pixels)) * 50_000_000,
               **({'proprio': place.astype(np.float32)} if state else {}), **changes}
    with h5py.File(path, 'w') as file:
        for name, values in columns.items():
            file[name] = values
        file['ep_len'] = np.array(lengths)
        file['ep_offset'] = np.cumsum(lengths) - np.array(lengths)
        file.attrs.update({'control_dt_s': 0.05, 'action_names': ['right', 'down']})
    return EpisodeFile.open(path)


@pytest.mark.parametrize('shift', [-2, -1, 0, 1, 2])
def test_pictures_alone_show_shifted_actions(tmp_path, shift):
    """Without any joint column, smooth velocities: the row of the right action is found."""
    found = measure_alignment(make(tmp_path / 'a.h5', shift=shift))
    assert (found.best, found.verdict) == (shift, 'shifted' if shift else 'aligned')


@pytest.mark.parametrize('shift', [-1, 0, 1])
def test_positions_are_judged_by_the_state(tmp_path, shift):
    """An absolute target is mostly where the robot is already; what is new in it counts."""
    file = make(tmp_path / 'a.h5', kind='position', shift=shift, state=True)
    found = measure_alignment(file, 'proprio')
    assert (found.best, found.verdict) == (shift, 'shifted' if shift else 'aligned')
    assert ('SHIFTED' in describe_data_set(file)) == (shift != 0)


def test_actions_that_do_nothing_are_not_judged(tmp_path):
    """Noise in the place of actions is neither aligned nor shifted."""
    file = make(tmp_path / 'a.h5')
    noise = np.random.default_rng(0).normal(size=file.action.shape).astype(np.float32)
    assert measure_alignment(replace(file, action=noise)).verdict == 'unclear'


def test_actions_that_are_all_alike_are_not_judged():
    """A small lead is no verdict, however regular: it comes from drifts, not from actions."""
    found = Alignment(witness='pixels', gains={-2: 0.100, -1: 0.096, 0: 0.095, 1: 0.09, 2: 0.09},
                      best=-2, margin=20.0, episodes=50, rows=5000)
    assert found.verdict == 'unclear'
    assert replace(found, gains={**found.gains, -2: 0.12}).verdict == 'shifted'
    assert replace(found, gains={**found.gains, -2: 0.12}, margin=3.0).verdict == 'unclear'


def test_too_little_to_judge(tmp_path):
    """Few episodes, or actions that never change, give no answer instead of a wrong one."""
    assert measure_alignment(make(tmp_path / 'a.h5', lengths=(30,) * 4)) is None
    file = make(tmp_path / 'b.h5')
    assert measure_alignment(replace(file, action=np.zeros_like(file.action))) is None
    assert measure_alignment(replace(file, pixels=np.zeros_like(file.pixels))) is None
    assert action_lag(file) is None


def test_a_healthy_set_has_no_problems(tmp_path):
    """Nothing is flagged that is as it should be."""
    text = describe_data_set(make(tmp_path / 'a.h5', state=True))
    assert text.endswith('no problems found')
    assert f'{EPISODES} last rows of an episode (as it should be), 0 others' in text
    assert 'no episode is there twice' in text
    assert 'pixels are contiguous' in text


def problems(file: EpisodeFile) -> str:
    return '\n'.join(finding.text for finding in check_data_set(file) if finding.is_problem)


def test_it_is_said_what_the_numbers_beside_the_pictures_are(tmp_path):
    """Name, kind and unit of states and truth; a set that says nothing has numbers."""
    file = make(tmp_path / 'a.h5', state=True)
    assert '  measured     state 0 (number), state 1 (number)' in describe_data_set(file)
    said = replace(file, attributes={
        **file.attributes, 'state_quantities': to_json([Quantity('x', 'position', 'px'),
                                                        Quantity('yaw', 'angle')])})
    assert 'x (position [px]), yaw (angle [rad])' in describe_data_set(said)


def test_missing_numbers_are_found_with_their_place(tmp_path):
    """NaN inside an episode, in actions or in the state, and where."""
    file = make(tmp_path / 'a.h5', state=True)
    action = file.action.copy()
    action[[43, 90], 0] = np.nan
    assert ('40 last rows of an episode (as it should be), 2 others, first at row 43 (episode 1, '
            'step 3)') in problems(replace(file, action=action))
    state = file.columns['proprio'].copy()
    state[5, 1] = np.inf
    assert 'proprio is not finite in 1 rows, first at row 5 (episode 0, step 5)' in problems(
        replace(file, columns={**file.columns, 'proprio': state}))


def test_odd_actions_are_found(tmp_path):
    """Constant, saturated and outside actions are flagged; one that only switches is not."""
    file = make(tmp_path / 'a.h5')
    action = file.action.copy()
    action[:, 0] = 0.5
    limits = {'action_min': np.array([-1.0, -0.2]), 'action_max': np.array([1.0, 0.2])}
    text = problems(replace(file, action=action, attributes={**file.attributes, **limits}))
    assert 'action right: 0.5000 to 0.5000' in text
    assert 'never changes' in text
    outside = int((np.abs(action[:, 1]) > 0.2 + 1e-6).sum())
    assert f'limits -0.2 to 0.2, {outside} rows outside' in text

    clipped = replace(file, action=np.clip(file.action, -0.1, 0.1), attributes={})
    assert 'SATURATED: ' in problems(clipped)
    switch = replace(file, action=np.sign(file.action))
    assert problems(switch) == ''


def test_gaps_in_time_are_found(tmp_path):
    """A pause inside an episode and a clock that stands still are flagged, one between is not."""
    stamps = np.arange(EPISODES * ROWS) * 50_000_000
    stamps[ROWS:] += 10 ** 12      # a pause between episodes
    assert problems(make(tmp_path / 'a.h5', stamp_ns=stamps)) == ''
    stamps[60:] += 200_000_000
    stamps[101] = stamps[100]
    text = problems(make(tmp_path / 'b.h5', stamp_ns=stamps))
    assert ('more than 1.5 control steps apart in 2 places inside episodes, first after row 59 '
            '(episode 1, step 19)') in text
    assert 'do not increase in 1 places inside episodes, first after row 100' in text


def test_episodes_that_are_there_twice_are_found(tmp_path):
    """By content, whatever their names; equal first frames alone mean nothing."""
    file = make(tmp_path / 'a.h5')
    pixels, action = np.array(file.pixels), file.action.copy()
    pixels[5 * ROWS:6 * ROWS], action[5 * ROWS:6 * ROWS] = pixels[:ROWS], action[:ROWS]
    pixels[2 * ROWS] = pixels[0]
    text = problems(replace(file, pixels=pixels, action=action))
    assert '1 episodes have the same pictures as another one: episodes 0, 5' in text
    assert '1 episodes have the same actions as another one: episodes 0, 5' in text


def test_a_frozen_camera_is_found(tmp_path):
    """Equal frames while the state moves are a frozen camera; at rest they are not."""
    file = make(tmp_path / 'a.h5', state=True)
    pixels, state = np.array(file.pixels), file.columns['proprio'].copy()
    pixels[50:55] = pixels[50]
    frozen = replace(file, pixels=pixels)
    assert ('4 of 1560 frames looked at are equal to the frame before, at most 4 in a row after '
            'row 50 (episode 1, step 10); in 4 of them the robot moved') in problems(frozen)
    state[50:55] = state[50]
    resting = replace(frozen, columns={**file.columns, 'proprio': state})
    assert problems(resting) == ''
    assert 'FROZEN' in problems(frozen)
    blind = replace(frozen, columns={'stamp_ns': file.columns['stamp_ns']})
    assert 'the camera was frozen, or the robot at rest' in problems(blind)


def test_motion_too_slow_to_show_is_no_frozen_camera(tmp_path):
    """Most pictures are equal and change by as little as ever: said, but no problem."""
    file = make(tmp_path / 'a.h5', state=True)
    pixels = np.zeros_like(np.array(file.pixels))
    for row in range(len(pixels)):
        pixels[row, :, row % ROWS // 8] = 200     # a bar that moves a pixel in eight rows
    slow = replace(file, pixels=pixels)
    texts = [finding.text for finding in check_data_set(slow)]
    assert any('the motion is too slow to show at' in text for text in texts)
    assert 'FROZEN' not in problems(slow)
    pixels[3 * ROWS:4 * ROWS] = pixels[3 * ROWS]   # and then it stands for an episode
    assert 'FROZEN' in problems(replace(file, pixels=pixels))


def test_large_sets_are_sampled(tmp_path):
    """Frames are read of episodes spread over the set, as many as allowed."""
    file = make(tmp_path / 'a.h5')
    texts = [finding.text for finding in check_data_set(file, max_frames=4 * ROWS)]
    assert any(f'of {4 * (ROWS - 1)} frames looked at' in text for text in texts)


def test_the_sketch_shows_where_values_are():
    """A histogram in one line: full height at the mode, nothing where there is nothing."""
    assert sketch(np.array([0.0] * 8 + [1.0] * 4 + [3.0]), bins=4) == '|█▄ ▁|'


def test_the_page_shows_a_shift_in_red(tmp_path):
    """The bar of the best row is blue where it belongs, red elsewhere."""
    file = make(tmp_path / 'a.h5')
    found, = alignments(file)

    def red(best: int) -> int:
        plot_data_set(file, tmp_path / 'page.png', [replace(found, best=best, gains={
            lag: 0.1 + (lag == best) for lag in found.gains})])
        picture = read_image(tmp_path / 'page.png').astype(int)
        return int((np.abs(picture - [178, 24, 43]).max(axis=2) < 8).sum())

    assert red(1) > red(0) + 2000


def test_the_page_needs_a_known_kind_of_picture(tmp_path):
    """The suffix decides, and an unknown one is said."""
    file = make(tmp_path / 'a.h5')
    with pytest.raises(DatasetError, match=r'cannot write picture .*page.xyz'):
        plot_data_set(file, tmp_path / 'page.xyz', [])


def test_the_video_shows_frames_and_actions(tmp_path):
    """One picture per row in real time: the frame at the left, bars as long as the actions."""
    av = pytest.importorskip('av')
    file = make(tmp_path / 'a.h5')
    file = replace(file, attributes={**file.attributes, 'action_min': np.array([-1.0, -1.0]),
                                     'action_max': np.array([1.0, 1.0])})
    file.action[ROWS] = [0.5, -1.5]
    drawn = next(draw_episode(file, 1))
    small = cv2.resize(drawn[:, :480], (32, 32), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(small, file.pixels[ROWS])
    blue, red = (int((drawn == colour).all(axis=2).any(axis=0).sum())
                 for colour in ((33, 102, 172), (178, 24, 43)))
    assert (blue, red) == (90, 180)     # of 360 px: from 0 to 0.5, and from 0 to the end

    write_episode_video(file, 1, tmp_path / 'a.mp4')
    with av.open(str(tmp_path / 'a.mp4')) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == 20
        assert sum(1 for _ in container.decode(stream)) == ROWS
    with pytest.raises(DatasetError, match='has episodes 0 to 39, not 40'):
        write_episode_video(file, 40, tmp_path / 'b.mp4')
    with pytest.raises(DatasetError, match='must end in .mp4'):
        write_episode_video(file, 0, tmp_path / 'b.avi')


def test_the_command_takes_shards(tmp_path, capsys):
    """`lewm inspect` on a folder of files speaks of them as one set, and writes the pictures."""
    (tmp_path / 'set').mkdir()
    make(tmp_path / 'set' / 'a.h5')
    whole = EpisodeFile.open(tmp_path / 'set' / 'a.h5')
    make(tmp_path / 'set' / 'b.h5', lengths=(50,) * 10)
    assert main(['inspect', str(tmp_path / 'set'), '--sheet', str(tmp_path / 'sheet.png'),
                 '--plot', str(tmp_path / 'page.png')]) == 0
    text = capsys.readouterr().out
    assert f'{len(whole) + 500} rows in 50 episodes' in text
    assert 'pixels are in 2 files, read as one' in text
    assert read_image(tmp_path / 'page.png').shape[1] > 1000
    assert read_image(tmp_path / 'sheet.png').shape == (8 * 34 + 2, 12 * 34 + 2, 3)
