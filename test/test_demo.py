"""The demo: its numbers, its pictures, and the whole system from start to end and to Ctrl-C."""

import contextlib
import io
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import cv2
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.errors import ConfigError  # noqa: E402
from lewm_model.images.decode import write_image  # noqa: E402
from lewm_ros.trials import report, video  # noqa: E402
from lewm_ros.trials.demo import _conclude  # noqa: E402
from lewm_ros.trials.goal_set import GoalPicture  # noqa: E402
from lewm_ros.trials.record import Frame, GoalResult, Record  # noqa: E402
from lewm_ros.trials.view import DemoView  # noqa: E402
from lewm_sim.bundle_of import bundle_of  # noqa: E402
from lewm_sim.tasks import load_task, Outcome, task_names  # noqa: E402
from nano import tiny_bundle  # noqa: E402
from needed import skip_where_missing  # noqa: E402
import numpy as np  # noqa: E402
from rich.console import Console  # noqa: E402
from ros_helpers import free_domain, ROOT  # noqa: E402
from timed import timed, undisturbed  # noqa: E402
import yaml  # noqa: E402

NODES = 6     # imagination for the film
TOLERANCE = load_task('reacher').facts.demo_tolerance()


def picture(value: int) -> np.ndarray:
    return np.full((64, 64, 3), value, np.uint8)


def result(reached: bool) -> GoalResult:
    return GoalResult(
        picture=GoalPicture(Path('g.png'), np.array([0.5, 1.0, 0.0, 0.1]), episode='e3', row=9),
        goal_rgb=picture(90), start_rgb=picture(10), final_rgb=picture(80),
        start=Outcome({'shoulder': 1.0, 'wrist': 2.0}),
        final=Outcome({'shoulder': 0.05, 'wrist': 0.02}),
        reached=reached, seconds=1.25, goal_distance=0.25)


# Numbers and pictures ------------------------------------------------------------------------

def test_the_summary_counts_and_measures(tmp_path):
    """Half the goals is a rate of 0.5; quantiles, rate and limits come from the record."""
    record = Record(plan_ms=[10.0] * 19 + [110.0], camera_to_command_ms=[150.0, 250.0],
                    command_times_s=[0.0, 0.05, 0.10, 5.0, 5.05], real_time_factors=[1.0],
                    plans_late=2, deadline_misses=1, commands_clipped=3, commands_slewed=4,
                    surprise_alarms=5, model_id='abc')
    summary = report.summarize([result(True), result(False)], record, {'task': 'reacher'})
    assert (summary['episodes'], summary['successes'], summary['success_rate']) == (2, 1, 0.5)
    assert summary['plan_ms'] == {'p50': 10.0, 'p95': 15.0}
    assert summary['camera_to_command_ms']['p50'] == 200.0
    assert summary['control_rate_hz'] == 20.0  # the pause of 4.9 s was no tracking
    assert summary['limits_hit'] == {'clipped': 3, 'slewed': 4}
    assert (summary['plans_late'], summary['deadline_misses']) == (2, 1)
    assert summary['surprise_alarms'] == 5
    assert summary['goals'][0]['final_errors'] == {'shoulder': 0.05, 'wrist': 0.02}
    assert summary['versions']['numpy'] == np.__version__
    assert set(report.DEFINITIONS) - {'success'} <= set(summary)


@pytest.mark.parametrize(('least', 'enough'), [(0.0, 0), (0.5, 5), (0.7, 7), (0.9, 9), (1.0, 10)])
def test_the_share_that_must_be_reached_is_of_all_goals(least, enough, capsys):
    """So many of ten are enough, one less is not, and the message says which were missed."""
    def status(reached):
        results = [result(number < reached) for number in range(10)]
        summary = report.summarize(results, Record(), {'units': TOLERANCE.units})
        return _conclude(summary, [], least)
    assert status(enough) == 0 and 'missed' not in capsys.readouterr().err
    if enough:
        assert status(enough - 1) == 1
        assert f'at least {enough} of 10 goals were expected; missed: {enough} (shoulder' in (
            capsys.readouterr().err)


def test_nothing_measured_is_null_and_the_file_is_strict_json(tmp_path):
    """NaN is no JSON, and a missing number is not a zero."""
    summary = report.summarize([result(False)], Record(), {'odd': float('nan')})
    report.write(summary, tmp_path / 'out' / 'summary.json')
    read = json.loads((tmp_path / 'out' / 'summary.json').read_text(),
                      parse_constant=lambda name: pytest.fail(f'{name} in JSON'))
    assert read['odd'] is None
    assert read['plan_ms'] == {'p50': None, 'p95': None}
    assert read['control_rate_hz'] is None


def test_the_film_plays_in_a_browser_and_shows_the_camera(tmp_path):
    """H.264, yuv420p, 720p, one picture per frame and a pause at the end of each goal."""
    import av

    dream = cv2.imencode('.jpg', np.full((402, 720, 3), 200, np.uint8))[1].tobytes()
    frames = [Frame(stamp_ns=50_000_000 * k, rgb=picture(40 + 10 * k), goal=k // 5,
                    outcome=Outcome({'shoulder': 0.3, 'wrist': 0.2}),
                    goal_distance=1.0 / (k + 1), plan_ms=100.0, surprise=0.2 * k,
                    surprise_limit=3.0, alarm=k == 8, imagination=dream if k else b'')
              for k in range(10)]
    files = video.write([result(True), result(False)], Record(frames=frames), tmp_path,
                        TOLERANCE)
    assert [file.name for file in files] == ['demo.png', 'demo.mp4']
    with av.open(str(tmp_path / 'demo.mp4')) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ('h264', 'yuv420p')
        shown = [frame.to_ndarray(format='rgb24') for frame in container.decode(stream)]
    assert shown[0].shape == (720, 1280, 3)
    assert len(shown) == 8 + 2 * 8
    at = (slice(200, 400), slice(100, 400))  # inside the camera view
    assert abs(int(np.median(shown[0][at])) - 40) <= 4
    assert abs(int(np.median(shown[-1][at])) - 130) <= 4
    dreamt = [int(np.median(one[120:380, 700:1200])) for one in (shown[0], shown[-1])]
    assert dreamt[0] > 240 and abs(dreamt[1] - 200) <= 4
    red = shown[-1][..., 0].astype(int) - shown[-1][..., 1] > 50     # the limit of surprise
    assert red[575:680, 730:1240].any() and not red[575:680, :700].any()
    filled = np.abs(shown[-1][575:680].astype(int) - (247, 205, 203)).max(axis=2) < 9    # alarm
    assert filled[:, 1130:1180].mean() > 0.8 and filled[:, 740:1110].mean() < 0.05


def test_a_film_without_surprise_has_an_empty_curve():
    """A bundle that is not calibrated knows none."""
    frames = [Frame(50_000_000 * k, picture(40), 0, Outcome({'shoulder': 0.3, 'wrist': 0.2}),
                    goal_distance=1.0, plan_ms=9.0) for k in range(3)]
    shown = list(video.film([result(True)], frames, TOLERANCE))
    assert len(shown) == 3 + 7 and not (shown[1][580:675, 740:1230] == (31, 97, 191)).any()


def test_the_contact_sheet_shows_start_goal_and_final_picture():
    """The three pictures of the first goal are where a reader looks for them."""
    sheet = np.asarray(video.contact_sheet([result(True)], TOLERANCE))
    middle = 90 + 75
    assert [sheet[middle, x, 0] for x in (115, 275, 435)] == [10, 90, 80]


def test_without_a_terminal_progress_is_plain_lines():
    """No cursor control, one line per event, with the numbers a person wants."""
    text = io.StringIO()
    with DemoView(10, TOLERANCE, Console(file=text)) as view:
        view.progress(0, 0.5, Outcome({'shoulder': 0.4, 'wrist': 0.05}), 2.5, 98.0)
        view.finished(0, result(True), 98.0)
    first, second = text.getvalue().splitlines()
    assert first.startswith('goal 1/10')
    assert 'shoulder off [rad] 0.400' in first
    assert 'latent cost 2.500' in first
    assert second.endswith('reached')


# The whole system ----------------------------------------------------------------------------

@pytest.fixture(scope='module')
def bundle(tmp_path_factory) -> Path:
    """An untrained model with one goal it will not reach."""
    folder = tmp_path_factory.mktemp('bundle') / 'tiny'
    tiny_bundle().save(folder)
    (folder / 'goals').mkdir()
    write_image(folder / 'goals' / 'a.png', picture(200))
    (folder / 'goals' / 'goals.yaml').write_text(yaml.safe_dump({
        'start': {'qpos': [0.0, 0.0]},
        'goals': [{'file': 'a.png', 'qpos': [3.0, 2.5], 'episode': 1, 'row': 2}]}))
    return folder


class Demo:
    """A demo as a process, and the processes it started."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._log = folder / 'demo.log'
        environment = {**os.environ, 'ROS_DOMAIN_ID': str(free_domain()),
                       'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}'}
        with self._log.open('w') as log:
            self.process = subprocess.Popen(
                [sys.executable, '-m', 'lewm_ros.trials.demo', *arguments], stdout=log,
                stderr=subprocess.STDOUT, env=environment, cwd=folder)

    @property
    def text(self) -> str:
        return self._log.read_text()

    def wait_for(self, condition, what: str, timeout_s: float = 120.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f'waited in vain for {what}:\n{self.text}'
            time.sleep(0.05)

    def children(self) -> list[int]:
        return [int(folder.name) for folder in Path('/proc').glob('[0-9]*')
                if _parent(folder) == self.process.pid]


def _parent(folder: Path) -> int:
    try:
        return int((folder / 'stat').read_text().rpartition(')')[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return -1


def _is_node(pid: int) -> bool:
    try:
        return b'lewm_ros.' in Path(f'/proc/{pid}/cmdline').read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.sim
@timed
def test_an_untrained_model_fails_the_demo_and_leaves_the_evidence(tmp_path, bundle):
    """Exit status 1 with the goal that was missed; summary, film and sheet are there."""
    demo = Demo(tmp_path, '--bundle', str(bundle), '--time-limit', '1', '--out', 'result')
    assert demo.process.wait(250) == 1, demo.text
    assert 'at least 1 of 1 goals were expected; missed: 1 (shoulder off by' in demo.text
    summary = json.loads((tmp_path / 'result' / 'summary.json').read_text())
    assert (summary['episodes'], summary['successes']) == (1, 0)
    undisturbed(summary['plans'] and summary['commands'] > 10, 'hardly a plan in a second')
    assert summary['plan_ms']['p50'] > 0
    assert summary['camera_to_command_ms']['p50'] > 0
    assert summary['control_rate_hz'] < 22.0
    undisturbed(summary['control_rate_hz'] > 18.0, f'{summary["control_rate_hz"]} commands a s')
    assert {path.name for path in (tmp_path / 'result').iterdir()} == {
        'summary.json', 'demo.png', 'demo.mp4', 'log'}


@pytest.mark.sim
@pytest.mark.parametrize('moment', ['bring-up', 'mid-run'])
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGKILL])
def test_however_the_demo_ends_no_process_is_left(tmp_path, bundle, number, moment, request):
    """Ctrl-C ends in order with status 130; after kill -9 the kernel and the nodes clean up."""
    demo = Demo(tmp_path, '--bundle', str(bundle), '--time-limit', '60')
    request.addfinalizer(demo.process.kill)   # a failed test must not leave it to the next one
    word = 'starting' if moment == 'bring-up' else 'goal 1/1'
    demo.wait_for(lambda: word in demo.text, word)
    demo.wait_for(lambda: len(demo.children()) == NODES, 'the nodes')
    children = demo.children()
    demo.process.send_signal(number)
    status = demo.process.wait(60)
    # A shell shows 130 for both: CPython ends by the signal itself when the interrupt fell into
    # code made by `exec`, such as a dataclass being defined by an import.
    assert status in ((130, -signal.SIGINT) if number == signal.SIGINT else (-signal.SIGKILL,))
    if number == signal.SIGINT:
        assert 'interrupted' in demo.text
        assert not any(map(_is_node, children))
    demo.wait_for(lambda: not any(map(_is_node, children)), 'the end of all nodes', 60.0)


def test_a_bundle_that_does_not_exist_is_named_at_once(tmp_path):
    """Nothing is started; exit status 1 and what ships instead."""
    demo = Demo(tmp_path, '--bundle', 'no-such-bundle')
    assert demo.process.wait(250) == 1
    assert "'no-such-bundle' is neither an existing path nor one of the shipped" in demo.text


def shown() -> list[str]:
    """Return the tasks that have a model."""
    found = []
    for name in task_names():
        with contextlib.suppress(ConfigError):
            bundle_of(load_task(name))
            found.append(name)
    return found


@pytest.mark.sim
@pytest.mark.parametrize('name', shown())
@timed
def test_every_task_with_a_model_is_shown(tmp_path, name):
    """Two goals of its demo; one whose demo promises nearly all reaches both."""
    task = skip_where_missing(load_task(name))
    demo = Demo(tmp_path, '--task', name, '--count', '2', '--least', '0', '--no-video',
                '--out', 'result')
    assert demo.process.wait(250) == 0, demo.text
    summary = json.loads((tmp_path / 'result' / 'summary.json').read_text())
    assert (summary['task'], summary['episodes']) == (name, len(summary['goals'])) == (name, 2)
    undisturbed(summary['plans'] >= 2 and summary['commands'] >= 10, 'hardly a plan')
    if task.facts.demo_least >= 0.9:
        undisturbed(summary['successes'] == 2, demo.text)


@pytest.mark.sim
@pytest.mark.slow
def test_the_shipped_model_reaches_nine_of_ten_goals(tmp_path):
    """What `make demo` promises, on this machine."""
    demo = Demo(tmp_path, '--no-video')
    assert demo.process.wait(180) == 0, demo.text
    summary = json.loads((tmp_path / 'out' / 'demo' / 'summary.json').read_text())
    assert summary['episodes'] == 10
    assert summary['successes'] >= 9
