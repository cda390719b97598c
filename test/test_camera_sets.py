"""Recordings of cropped and of several cameras: what the set holds, and what is refused."""

import json

from bag_factory import BagFactory, DT_NS, robot, START_NS
from lewm_model.config import DataConfig
from lewm_model.data.episodes import EpisodeFile
from lewm_model.data.shards import open_data
from lewm_model.errors import ConfigError, DatasetError
from lewm_model.images.tiles import WHOLE
from lewm_model.images.view import CameraView, View
from lewm_model.ingest.ingest import ingest
from lewm_model.robots.robot import RobotDescription
import numpy as np
import pytest

CONFIG = DataConfig(image_size=8, control_dt_s=0.05, min_rows=3)
BOTH = [{'topic': 'image'}, {'topic': 'wrist', 'crop': [0, 0, 0.5, 1]}]


class Cameras(BagFactory):
    """Adds pictures of any shape: at step i, left half i, right half 100 + i."""

    def picture(self, stamp_ns: int, value: int, topic: str = '/image', width: int = 8,
                height: int = 8) -> None:
        rgb = np.full((height, width, 3), value, np.uint8)
        rgb[:, width // 2:] += 100
        self.add(topic, 'sensor_msgs/msg/Image', stamp_ns, height=height, width=width,
                 encoding='rgb8', is_bigendian=0, step=3 * width, data=rgb.ravel())

    def arm(self, count: int, first: int = 0, **shape) -> 'Cameras':
        """Add `count` steps of one camera, joints and commands."""
        for index in range(first, first + count):
            stamp_ns = START_NS + index * DT_NS
            self.picture(stamp_ns, index, **shape)
            self.joints(stamp_ns, (index, -index))
            self.command(stamp_ns, (index, index / 2))
        return self


def two_cameras(**changes) -> RobotDescription:
    return robot(image_topic='', camera_info_topic='', cameras=BOTH, **changes)


def test_a_crop_is_what_the_set_holds_and_says(tmp_path):
    """The right half only; the set says shape of the picture and crop."""
    Cameras().arm(6, width=16, height=12).write(tmp_path / 'a')
    crop = (0.5, 0.0, 0.5, 1.0)
    ingest([tmp_path / 'a'], robot(crop=list(crop)), tmp_path / 'set.h5', CONFIG)
    data = EpisodeFile.open(tmp_path / 'set.h5')
    assert data.pixels[:, 0, 0, 0].tolist() == [100, 101, 102, 103, 104, 105]
    assert (data.pixels == data.pixels[:, :1, :1]).all()
    assert data.view == View(8, (CameraView(16, 12, crop),))


def test_two_cameras_are_tiled_by_their_stamps(tmp_path):
    """Each frame of the first with the nearest of the second, whatever came first."""
    bag = Cameras().arm(6)
    for index in range(6):   # 12 ms after the first camera's, but 9 of 12 recorded before it
        bag.picture(START_NS + index * DT_NS + 12_000_000, 50 + index, '/wrist', 16, 12)
    bag.messages.sort(key=lambda message: (message[2] if message[0] != '/wrist'
                                           else message[2] - 30_000_000))
    bag.write(tmp_path / 'a')
    report = ingest([tmp_path / 'a'], two_cameras(), tmp_path / 'set.h5', CONFIG)
    assert report.rows == 6
    data = EpisodeFile.open(tmp_path / 'set.h5')
    assert data.pixels[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]     # left tile: first camera
    assert data.pixels[:, 7, 7, 0].tolist() == [50, 51, 52, 53, 54, 55]   # right: left half
    assert data.view == View(8, (CameraView(8, 8), CameraView(16, 12, (0, 0, 0.5, 1))))


def test_a_step_without_the_other_camera_is_missing(tmp_path):
    """Nothing older than half a control step is put in its place, and the report counts it."""
    bag = Cameras().arm(12)
    for index in (*range(5), *range(6, 12)):
        bag.picture(START_NS + index * DT_NS, 50 + index, '/wrist')
    bag.write(tmp_path / 'a')
    report = ingest([tmp_path / 'a'], two_cameras(), tmp_path / 'set.h5', CONFIG)
    assert report.dropped == {'no frame of another camera close enough': 1}
    assert report.rows == 11
    stamps = EpisodeFile.open(tmp_path / 'set.h5').columns['stamp_ns'][:]
    assert START_NS + 5 * DT_NS not in stamps


def test_a_slower_second_camera_serves_several_steps(tmp_path):
    """At half the rate, each of its frames is the nearest of two steps at most 25 ms away."""
    bag = Cameras().arm(8)
    for index in range(4):
        bag.picture(START_NS + index * 2 * DT_NS + DT_NS // 2, 50 + index, '/wrist')
    bag.write(tmp_path / 'a')
    ingest([tmp_path / 'a'], two_cameras(), tmp_path / 'set.h5', CONFIG)
    data = EpisodeFile.open(tmp_path / 'set.h5')
    assert data.pixels[:, 7, 7, 0].tolist() == [50, 50, 51, 51, 52, 52, 53, 53]


def test_bags_of_another_shape_are_left_out(tmp_path):
    """As within one bag: 16:9 among 4:3 is refused by name, now and when bags are added."""
    Cameras().arm(6, width=64, height=48).write(tmp_path / 'a')
    Cameras().arm(6, 10, width=64, height=36).write(tmp_path / 'b')
    Cameras().arm(6, 20, width=32, height=24).write(tmp_path / 'c')
    Cameras().arm(6, 30, width=64, height=36).write(tmp_path / 'd')
    out = tmp_path / 'set.h5'
    report = ingest([tmp_path / name for name in 'abc'], robot(), out, CONFIG)
    assert [bag.error for bag in report.failed] == [
        'b: the picture is 64x36 instead of 64x48 as in a: the same thing would look different; '
        'ingest it into another set']
    assert EpisodeFile.open(out).ep_id == ('a/0', 'c/0')
    report = ingest([tmp_path / 'd'], robot(), out, CONFIG)
    assert ['as in the set' in bag.error for bag in report.failed] == [True, False]
    assert EpisodeFile.open(out).view == View(8, (CameraView(64, 48),))


def test_a_set_from_before_views_takes_more_bags_with_a_warning(tmp_path, caplog):
    """What is not known is not made up."""
    import h5py

    Cameras().arm(6).write(tmp_path / 'a')
    Cameras().arm(6, 10).write(tmp_path / 'b')
    out = tmp_path / 'set.h5'
    ingest([tmp_path / 'a'], robot(), out, CONFIG)
    with h5py.File(out, 'r+') as file:
        del file.attrs['view']
    ingest([tmp_path / 'b'], robot(), out, CONFIG)
    assert 'does not say what shape' in caplog.text
    data = EpisodeFile.open(out)
    assert (data.num_episodes, data.view) == (2, None)


def test_a_set_from_before_crops_takes_no_cropped_bags(tmp_path):
    """It was made of whole pictures."""
    import h5py

    Cameras().arm(6).write(tmp_path / 'a')
    Cameras().arm(6, 10).write(tmp_path / 'b')
    out = tmp_path / 'set.h5'
    ingest([tmp_path / 'a'], robot(), out, CONFIG)
    with h5py.File(out, 'r+') as file:
        settings = json.loads(file.attrs['ingest_settings'])
        del file.attrs['view'], settings['robot']['crop'], settings['robot']['cameras']
        file.attrs['ingest_settings'] = json.dumps(settings)
    with pytest.raises(DatasetError, match=r'crop: \[0.0, 0.0, 1.0, 1.0\] there'):
        ingest([tmp_path / 'b'], robot(crop=[0, 0, 0.5, 1]), out, CONFIG)
    ingest([tmp_path / 'b'], robot(), out, CONFIG)


def test_files_with_different_views_are_not_one_set(tmp_path):
    """The same rule for training on several files."""
    for name, height in (('a', 48), ('b', 36)):
        Cameras().arm(6, ord(name), width=64, height=height).write(tmp_path / name)
        ingest([tmp_path / name], robot(), tmp_path / f'{name}.h5', CONFIG)
    with pytest.raises(DatasetError, match='the view is 64x48, stored as 8 px in the first'):
        open_data([tmp_path / 'a.h5', tmp_path / 'b.h5'])


@pytest.mark.parametrize(('changes', 'words'), [
    ({'cameras': BOTH, 'image_topic': 'other'}, 'image_topic must be left out, because cameras'),
    ({'cameras': [], 'image_topic': ''}, 'there must be cameras'),
    ({'cameras': BOTH * 3}, 'list of 1 to 4 cameras'),
    ({'cameras': [BOTH[0], BOTH[0]]}, 'different topics'),
    ({'cameras': [{'topic': 'a', 'kind': 'x'}]}, 'a camera has topic and perhaps type, crop'),
    ({'cameras': [{'topic': 'a', 'type': 'x'}]}, 'type of camera'),
    ({'cameras': [{'topic': 'a', 'clock': 'x'}]}, 'clock of camera'),
    ({'cameras': [{'topic': ''}]}, 'topic of a camera must be a text'),
    ({'crop': [0, 0, 640, 480]}, 'shares of the picture')])
def test_robot_files_with_wrong_cameras_are_refused(changes, words):
    """The message names the robot and what is allowed."""
    with pytest.raises(ConfigError, match="robot 'arm'") as caught:
        robot(**{'image_topic': '', 'camera_info_topic': '', **changes})
    assert words in str(caught.value)


def test_a_single_camera_and_a_list_of_one_are_the_same(tmp_path):
    """`all_cameras` is what the rest of the code reads; the first also has its own names."""
    one, listed = robot(), robot(image_topic='', camera_info_topic='', cameras=[
        {'topic': 'image', 'info_topic': 'camera_info'}])
    assert one.all_cameras == listed.all_cameras
    assert (listed.image_topic, listed.camera_info_topic, listed.crop) == (
        'image', 'camera_info', WHOLE)
    (tmp_path / 'robot.yaml').write_text(json.dumps({
        'robot': 'two', 'control_dt_s': 0.05, 'cameras': BOTH, 'joint_state_topic': 'j',
        'command_topic': 'c', 'command_type': 'std_msgs/msg/Float64MultiArray',
        'executed_topic': 'e', 'interface': 'joint_velocity', 'joint_names': ['a'],
        'min_command': [-1], 'max_command': [1], 'max_rate': [1], 'stop_rate': [1]}))
    assert [camera.topic for camera in RobotDescription.from_yaml(
        tmp_path / 'robot.yaml').all_cameras] == ['image', 'wrist']


def test_frames_smaller_than_the_model_are_said_at_training(tmp_path, monkeypatch, caplog):
    """By both sizes and the fix; the bundle will know, so the live picture is made alike."""
    from lewm_model.base import resources
    from lewm_model.training import run

    Cameras().arm(40).write(tmp_path / 'a')
    ingest([tmp_path / 'a'], robot(), tmp_path / 'set.h5', CONFIG)
    recipe = run.Recipe.from_yaml(resources.find_named('config/train', 'nano', '.yaml'))

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, 'divide_episodes', stop)   # training itself is not asked about
    with pytest.raises(KeyboardInterrupt):
        run.train_on(EpisodeFile.open(tmp_path / 'set.h5'), recipe, run_folder=tmp_path,
                     report=lambda progress: None)
    assert 'stored at 8 px and enlarged to the 64 px of the model' in caplog.text
    assert '--image-size 64' in caplog.text
