"""The recorder as a process of its own, over real DDS, and what is in its bags."""

import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from lewm_model.bags.bag import Bag  # noqa: E402
from lewm_model.errors import BagError  # noqa: E402
from lewm_ros.msg import EpisodeInfo  # noqa: E402
from lewm_ros.recording.episode import DISCARDED_FOLDER  # noqa: E402
from lewm_ros.srv import StartEpisode  # noqa: E402
from lewm_ros.wire.goals import picture_goal_to_msg  # noqa: E402
from lewm_ros.wire.pictures import rgb_to_image  # noqa: E402
from recorder_rig import FAILURE, marks, numbers, PICTURE, Rig  # noqa: E402
from ros_helpers import code_name, Graph, ROOT  # noqa: E402
from std_msgs.msg import String  # noqa: E402


@pytest.fixture
def rig(tmp_path):
    with Graph() as graph:
        yield Rig(graph, tmp_path / 'root')


def test_recorder_does_not_load_torch():
    """It and the exploration stay light."""
    check = ('import sys, lewm_ros.recording.recorder_node, lewm_ros.sources.explore_node; '
             'sys.exit("torch" in sys.modules or "mujoco" in sys.modules)')
    assert subprocess.run([sys.executable, '-c', check], cwd=ROOT, timeout=200,
                          check=False).returncode == 0


def test_an_episode_is_one_bag_with_everything_once(rig):
    """Every message between start and stop, none before, with goal, marks and the answer."""
    rig.goal.publish(picture_goal_to_msg(PICTURE, stamp_ns=1, goal_id='red'))
    rig.publish(3)
    started = rig.start(task='reach', metadata_json='{"batch": 7}')
    assert started.success, started.message
    rig.publish(20)
    stopped = rig.stop(note='well done')
    assert stopped.success, stopped.message
    assert (stopped.episode_id, stopped.bag_uri) == (started.episode_id, started.bag_uri)
    assert stopped.messages_lost == 0
    rig.publish(3)

    path = Path(stopped.bag_uri)
    assert path.parent == rig.root
    for topic in ('/image', '/joint_states', '/executed_command'):
        assert numbers(path, topic) == list(range(4, 24))
    first, last = marks(path)
    assert (first.phase, last.phase) == (EpisodeInfo.RECORDING, EpisodeInfo.SUCCESS)
    assert (first.task, first.goal_id, first.episode_id) == ('reach', 'red', started.episode_id)
    about = json.loads(last.metadata_json)
    assert (about['batch'], about['robot'], about['note']) == (7, 'sim_reacher', 'well done')
    assert about['recorder']['lost'] == about['recorder']['dropped'] == 0
    with Bag(path) as bag:
        assert sum(topic.count for topic in bag.topics) == stopped.messages
        ((_, _, raw),) = bag.raw_messages('/goal')
        rgb = bag.decode(raw, 'lewm_ros/msg/Goal').image.data.reshape(PICTURE.shape)
        np.testing.assert_array_equal(rgb, PICTURE)
    assert (path / 'metadata.yaml').is_file()


def test_every_episode_begins_with_the_goal(rig):
    """The goal was published once; the second and third bag have it too."""
    rig.goal.publish(picture_goal_to_msg(PICTURE, stamp_ns=1, goal_id='red'))
    rig.graph.spin(0.3)
    paths = []
    for _ in range(3):
        assert rig.start().success
        rig.publish(2)
        paths.append(rig.stop().bag_uri)
    assert len(set(paths)) == 3
    for path in paths:
        with Bag(path) as bag:
            assert {topic.name: topic.count for topic in bag.topics}['/goal'] == 1


def test_the_goal_of_a_publisher_that_is_gone_is_not_recorded(rig):
    """An episode that starts later has neither the old goal nor its id."""
    rig.goal.publish(picture_goal_to_msg(PICTURE, stamp_ns=1, goal_id='old'))
    rig.publish(1)
    assert rig.start().success
    rig.publish(1)
    assert marks(rig.stop().bag_uri)[0].goal_id == 'old'
    rig.graph.node.destroy_publisher(rig.goal)
    rig.graph.wait_for(lambda: not rig.graph.node.get_publishers_info_by_topic('/goal'),
                       'the end of the publisher')

    def forgotten() -> str:   # the recorder hears of it, too, in its own time
        assert rig.start().success
        rig.publish(1)
        path = rig.stop().bag_uri
        return path if marks(path)[0].goal_id == '' else ''

    with Bag(rig.graph.wait_for(forgotten, 'an episode without the goal')) as bag:
        assert '/goal' not in {topic.name for topic in bag.topics}


def test_what_is_discarded_is_kept_out_of_sight(rig):
    """The bag moves into a folder with a dot, complete, and its mark says DISCARDED."""
    rig.start()
    rig.publish(5)
    stopped = rig.stop(discard=True)
    assert stopped.success, stopped.message
    path = Path(stopped.bag_uri)
    assert path.parent == rig.root / DISCARDED_FOLDER
    assert [item.name for item in rig.root.iterdir()] == [DISCARDED_FOLDER]
    assert marks(path)[-1].phase == EpisodeInfo.DISCARDED
    assert len(numbers(path, '/image')) == 5


def test_requests_at_the_wrong_time_are_refused(rig):
    """Stop without start, start twice, nonsense as outcome, metadata or task: all say why."""
    early = rig.stop()
    assert code_name(early) == 'NOTHING_UNDER_WAY'
    assert 'no episode is being recorded' in early.message
    for fields, words in (({'metadata_json': '[]'}, 'metadata_json'),
                          ({'task': 'x' * 300}, 'task must be')):
        wrong = rig.start(**fields)
        assert code_name(wrong) == 'BAD_ARGUMENT' and words in wrong.message
    assert not rig.root.exists()
    started = rig.start()
    again = rig.start()
    assert code_name(again) == 'BUSY'
    assert f'{started.episode_id} is being recorded' in again.message
    wrong = rig.stop(outcome=9)
    assert code_name(wrong) == 'BAD_ARGUMENT' and 'outcome must be' in wrong.message
    rig.publish(1)
    assert rig.stop(outcome=FAILURE).success


def test_what_cannot_be_moved_out_of_sight_is_told(rig):
    """No success, and where the bag is: complete, and marked as discarded."""
    started = rig.start()
    (rig.root / DISCARDED_FOLDER).write_text('in the way')
    stopped = rig.stop(discard=True)
    assert code_name(stopped) == 'DISK_FAILED' and 'cannot be moved' in stopped.message
    assert stopped.bag_uri == started.bag_uri
    assert marks(stopped.bag_uri)[-1].phase == EpisodeInfo.DISCARDED


def test_words_on_a_topic_do_the_same(rig):
    """start, failure, start, discard; other words change nothing."""
    for word, phase in (('start', EpisodeInfo.RECORDING), ('failure', EpisodeInfo.FAILURE),
                        ('start', EpisodeInfo.RECORDING), ('discard', EpisodeInfo.DISCARDED)):
        rig.command.publish(String(data='jump'))
        rig.command.publish(String(data=word))
        rig.wait_for_phase(phase)
    rig.graph.wait_for(lambda: (rig.root / DISCARDED_FOLDER).is_dir(), 'the discarded folder')
    assert rig.process.poll() is None


def test_without_a_camera_nothing_is_recorded(tmp_path):
    """The answer names what is missing; with require_topics off it may be."""
    with Graph() as graph:
        graph.spawn('lewm_ros.recording.recorder_node',
                    parameters={'root': str(tmp_path / 'root')})
        answer = graph.call(StartEpisode, '/recorder_node/start_episode', StartEpisode.Request())
        assert code_name(answer) == 'NO_PUBLISHER'
        assert 'nobody publishes image, joint_states, executed_command' in answer.message
        assert not (tmp_path / 'root').exists()


def test_a_root_that_cannot_be_written_is_told(tmp_path):
    """A file in its place: start is refused with the reason, the node lives on."""
    (tmp_path / 'root').write_text('in the way')
    with Graph() as graph:
        rig = Rig(graph, tmp_path / 'root')
        answer = rig.start()
        assert code_name(answer) == 'DISK_FAILED'
        assert str(tmp_path / 'root') in answer.message
        (tmp_path / 'root').unlink()
        assert rig.start().success
        rig.publish(2)
        assert rig.stop().success


def test_a_root_that_cannot_be_read_is_told(tmp_path):
    """A name that no file system takes: refused with the reason each time, the node lives on."""
    with Graph() as graph:
        rig = Rig(graph, tmp_path / ('x' * 300))
        for _ in range(2):
            answer = rig.start()
            assert code_name(answer) == 'DISK_FAILED'
            assert 'cannot be read: File name too long' in answer.message
        assert rig.process.poll() is None


def test_a_full_disk_ends_the_episode_as_a_failure(tmp_path):
    """On a file system of 2 MB: marked as failed, readable, and the node records again."""
    (tmp_path / 'disk').mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', tmp_path / 'disk'],
                      capture_output=True, check=False).returncode:
        pytest.skip('may not mount a file system here')
    try:
        with Graph() as graph:
            rig = Rig(graph, tmp_path / 'disk')
            started = rig.start()
            rig.publish(5)
            (tmp_path / 'disk/filler').write_bytes(bytes(1 << 20))

            def failed() -> bool:
                rig.image.publish(rgb_to_image(np.zeros((300, 300, 3), np.uint8), 1))
                rig.publish(1)
                return rig.phase() == EpisodeInfo.FAILURE

            graph.wait_for(failed, 'the end of the episode')
            assert 'No space left' in json.loads(rig.info[-1][1].metadata_json)['note']
            stopped = rig.stop()
            assert code_name(stopped) == 'NOTHING_UNDER_WAY'
            assert f'{started.episode_id} ended as a failure' in stopped.message
            assert 'No space left' in stopped.message
            assert numbers(Path(started.bag_uri), '/joint_states')[:5] == [1, 2, 3, 4, 5]
            shutil.rmtree(started.bag_uri)
            (tmp_path / 'disk/filler').unlink()
            assert rig.start().success
            rig.publish(2)
            assert rig.stop().success
    finally:
        subprocess.run(['umount', tmp_path / 'disk'], check=True)


def test_a_folder_that_vanishes_ends_the_recording_not_the_node(rig):
    """Diagnostics turn ERROR at once, the answer says why, and the next episode works."""
    started = rig.start()
    rig.publish(3)
    shutil.rmtree(started.bag_uri)

    def in_trouble() -> bool:
        rig.publish(1)
        return any(status.level == DiagnosticStatus.ERROR and 'No such file' in status.message
                   for _, array in rig.diagnostics for status in array.status)

    rig.graph.wait_for(in_trouble, 'an ERROR in the diagnostics')
    stopped = rig.stop()
    assert not stopped.success
    assert 'No such file' in stopped.message
    assert rig.start().success
    rig.publish(2)
    assert rig.stop().success


def test_kill_leaves_a_readable_bag(rig):
    """SIGKILL in the middle: what was flushed is there, as a prefix, and can be read."""
    started = rig.start()
    rig.publish(10)
    path = Path(started.bag_uri)

    def flushed() -> bool:
        rig.publish(1)
        try:
            with Bag(path) as bag:
                return sum(topic.count for topic in bag.topics) > 31
        except BagError:    # nothing is there yet
            return False

    rig.graph.wait_for(flushed, 'the first frames on the disk')
    rig.process.send_signal(signal.SIGKILL)
    rig.graph.wait_for_exit(rig.process)
    assert not (path / 'metadata.yaml').exists()
    found = numbers(path, '/image')
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= 10


def test_an_interrupt_finishes_the_bag(rig):
    """Ctrl-C while recording: a complete bag, marked as a failure."""
    started = rig.start()
    rig.publish(5)
    assert rig.graph.interrupt(rig.process) == 0
    path = Path(started.bag_uri)
    assert (path / 'metadata.yaml').is_file()
    assert marks(path)[-1].phase == EpisodeInfo.FAILURE
    assert 'ended' in json.loads(marks(path)[-1].metadata_json)['note']


@pytest.mark.slow
def test_a_raw_camera_and_fast_joints_are_recorded_without_loss(tmp_path):
    """640x480 at 30 Hz and 500 Hz for 20 s: every number is in the bag."""
    environment = {**os.environ, 'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}'}
    result = subprocess.run(
        [sys.executable, str(ROOT / 'tools/record_load.py'), '--seconds', '20', '--root',
         str(tmp_path)], env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert json.loads(result.stdout)['messages_lost'] == 0
