"""Which decoder a node uses: ours, or cv_bridge where it is installed."""

import sys
import types

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from bag_factory import robot  # noqa: E402
from lewm_model.errors import ConfigError, ImageError  # noqa: E402
from lewm_ros.wire.decoders import decode, decoder_named  # noqa: E402
from lewm_ros.wire.pictures import rgb_to_image  # noqa: E402
from lewm_ros.wire.sight import Sight  # noqa: E402
import numpy as np  # noqa: E402
from sensor_msgs.msg import CompressedImage  # noqa: E402

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


def fake_bridge(monkeypatch, raw):
    """Put a module called cv_bridge in place that answers with `raw`."""
    asked = []

    class CvBridge:
        def imgmsg_to_cv2(self, message, encoding):
            asked.append((message.encoding, encoding))
            return raw()

        def compressed_imgmsg_to_cv2(self, message, encoding):
            asked.append(('compressed', encoding))
            return raw()

    module = types.ModuleType('cv_bridge')
    module.CvBridge = CvBridge
    monkeypatch.setitem(sys.modules, 'cv_bridge', module)
    return asked


def test_ours_is_ours():
    """The default, and nothing else is imported for it."""
    assert decoder_named('ours') is decode
    np.testing.assert_array_equal(decode(rgb_to_image(RGB, 0)), RGB)


def test_cv_bridge_is_used_where_it_is_asked_for(monkeypatch):
    """Raw and compressed pictures go through it, and on into the square."""
    asked = fake_bridge(monkeypatch, lambda: np.full((6, 8, 3), 77, np.uint8))
    sight = Sight(robot(), 4, None, decoder_named('cv_bridge'))
    assert (sight.observation((rgb_to_image(RGB, 0),)).rgb == 77).all()
    decoder_named('cv_bridge')(CompressedImage(), None, '')
    message = rgb_to_image(RGB, 0)
    message.encoding = '8UC3'
    decoder_named('cv_bridge')(message, None, 'bgr8')
    assert asked == [('rgb8', 'rgb8'), ('compressed', 'rgb8'), ('bgr8', 'rgb8')]


def test_what_cv_bridge_raises_is_an_unreadable_picture(monkeypatch):
    """Its errors are of several kinds; none ends a node."""
    def fail():
        raise RuntimeError('encoding?')
    fake_bridge(monkeypatch, fail)
    with pytest.raises(ImageError, match=r'cv_bridge cannot decode the picture: encoding\?'):
        decoder_named('cv_bridge')(rgb_to_image(RGB, 0), None, '')


def test_a_missing_cv_bridge_is_said_with_the_fix(monkeypatch):
    """At configuration, not with the first picture."""
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)   # as if it were not there
    with pytest.raises(ConfigError, match=r'cv_bridge, which is not installed .* or set '
                                          r'image_decoder: ours'):
        decoder_named('cv_bridge')
    with pytest.raises(ConfigError, match="one of ours, cv_bridge, got 'magic'"):
        decoder_named('magic')
