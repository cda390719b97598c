"""Measure how much the recorder can take: a raw camera and fast joints, every message counted.

    python tools/record_load.py --seconds 300

Publishes 640x480 rgb8 at 30 Hz (27.6 MB/s) and joint states at 500 Hz from a process of its own,
lets `recorder_node` record them, and reads the bag back: each message carries its number, so a
lost one cannot hide. Prints one JSON object. Needs the built package (`source
install/setup.bash`) and a free ROS domain, which it chooses itself.
"""

import argparse
import json
import os
from pathlib import Path
import struct
import subprocess
import sys
import tempfile
import time

from lewm_model.bags.bag import Bag
from lewm_ros.srv import StartEpisode, StopEpisode
from lewm_ros.startup.bringup import isolate
import rclpy
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image, JointState

ROOT = Path(__file__).resolve().parents[1]
TRANSPORT = ROOT / 'config' / 'dds' / 'fastdds_large_messages.xml'
_STAMP_AT = 4   # of a message that begins with a header, behind CDR's own four bytes


def numbered(template: bytearray, number: int) -> bytes:
    """Return the serialised message with its number as the header's stamp."""
    struct.pack_into('<iI', template, _STAMP_AT, number, 0)
    return bytes(template)


def publish(arguments: argparse.Namespace) -> int:
    """Publish until standard input is closed; the numbers start at zero."""
    rclpy.init()
    node = rclpy.create_node('load')
    profile = QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=1000, durability=DurabilityPolicy.VOLATILE,
        reliability=(ReliabilityPolicy.BEST_EFFORT if arguments.best_effort
                     else ReliabilityPolicy.RELIABLE))
    image = Image(height=480, width=640, encoding='rgb8', step=1920)
    image.data.frombytes(os.urandom(480 * 1920))
    joints = JointState(name=['shoulder', 'wrist'], position=[0.0, 0.0], velocity=[0.0, 0.0])
    # (publisher, message, period, number of the next one)
    streams = [
        [node.create_publisher(Image, 'image', QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=10, durability=DurabilityPolicy.VOLATILE,
            reliability=profile.reliability)),
         bytearray(serialize_message(image)), 1 / arguments.image_hz, 0],
        [node.create_publisher(JointState, 'joint_states', profile),
         bytearray(serialize_message(joints)), 1 / arguments.joint_hz, 0]]
    os.set_blocking(sys.stdin.fileno(), False)
    start_s = time.monotonic()
    while sys.stdin.buffer.raw.read(1) is None:  # b'' is the end, None is nothing yet
        for stream in streams:
            publisher, template, period_s, number = stream
            if time.monotonic() >= start_s + number * period_s:
                publisher.publish(numbered(template, number))
                stream[3] += 1
        due_s = min(start_s + number * period_s for _, _, period_s, number in streams)
        time.sleep(max(due_s - time.monotonic(), 0))
    time.sleep(1.0)  # what is under way arrives
    return 0


def cpu_s(pid: int) -> float:
    """Return the processor time a process has used [s]."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def missing(path: str) -> dict[str, dict[str, int]]:
    """Count recorded and missing numbers per topic, between its first and its last one."""
    numbers: dict[str, list[int]] = {}
    with Bag(path) as bag:
        for topic, _, raw in bag.raw_messages('/image', '/joint_states'):
            numbers.setdefault(topic, []).append(struct.unpack_from('<i', raw, _STAMP_AT)[0])
    return {topic: {'recorded': len(found), 'repeated': len(found) - len(set(found)),
                    'missing': max(found) - min(found) + 1 - len(set(found))}
            for topic, found in numbers.items()}


def call(node, kind, name, request, timeout_s=60.0):
    """Call a service and return the answer."""
    client = node.create_client(kind, name)
    if not client.wait_for_service(timeout_s):
        raise TimeoutError(f'{name} is not there')
    future = client.call_async(request)
    rclpy.spin_until_future_complete(node, future, timeout_sec=timeout_s)
    return future.result()


def measure(arguments: argparse.Namespace, folder: Path) -> dict:
    """Record under load and return what happened."""
    isolate()
    if not arguments.default_transport:
        os.environ['FASTDDS_DEFAULT_PROFILES_FILE'] = str(TRANSPORT)   # from Kilted on
        os.environ['FASTRTPS_DEFAULT_PROFILES_FILE'] = str(TRANSPORT)  # before
    environment = {**os.environ, 'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}'}
    recorder = subprocess.Popen(
        [sys.executable, '-m', 'lewm_ros.recording.recorder_node', '--ros-args',
         '-p', f'root:={folder}', '-p', 'require_topics:=false',
         '-p', f'compression:={arguments.compression}'],
        env=environment)
    source = subprocess.Popen(
        [sys.executable, __file__, '--publish', *sys.argv[1:]], stdin=subprocess.PIPE,
        env=environment)
    rclpy.init()
    node = rclpy.create_node('measure')
    try:
        while node.count_subscribers('image') + node.count_subscribers('joint_states') < 2:
            rclpy.spin_once(node, timeout_sec=0.1)
        time.sleep(2.0)  # both ends have found each other
        answer = call(node, StartEpisode, 'recorder_node/start_episode', StartEpisode.Request())
        if not answer.success:
            raise RuntimeError(answer.message)
        start_s = time.monotonic()
        before_s = [cpu_s(process.pid) for process in (recorder, source)]
        time.sleep(arguments.seconds)
        wall_s = time.monotonic() - start_s
        shares = [(cpu_s(process.pid) - used_s) / wall_s
                  for process, used_s in zip((recorder, source), before_s, strict=True)]
        answer = call(node, StopEpisode, 'recorder_node/stop_episode',
                      StopEpisode.Request(outcome=StopEpisode.Request.SUCCESS), 120.0)
        counts = missing(answer.bag_uri)
        for topic, rate_hz in (('/image', arguments.image_hz),
                               ('/joint_states', arguments.joint_hz)):
            counts.setdefault(topic, {'recorded': 0, 'missing': 0})['expected'] = round(
                rate_hz * wall_s)
        return {'seconds': round(wall_s, 1), 'success': answer.success, 'message': answer.message,
                'messages': answer.messages, 'messages_lost': answer.messages_lost,
                'queue_high_mb': round(answer.queue_high_bytes / 1e6, 2),
                'bag_mb': round(sum(file.stat().st_size
                                    for file in Path(answer.bag_uri).iterdir()) / 1e6),
                'recorder_cpu_share': round(shares[0], 3),
                'publisher_cpu_share': round(shares[1], 3), 'cores': os.cpu_count(),
                **counts}
    finally:
        source.stdin.close()
        source.wait()
        recorder.terminate()
        recorder.wait()
        rclpy.shutdown()


def main() -> int:
    """Run; return 1 if a message is missing."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument('--seconds', type=float, default=30.0)
    parser.add_argument('--image-hz', type=float, default=30.0)
    parser.add_argument('--joint-hz', type=float, default=500.0)
    parser.add_argument('--best-effort', action='store_true', help='as camera drivers often do')
    parser.add_argument('--default-transport', action='store_true',
                        help=f'without {TRANSPORT.relative_to(ROOT)}')
    parser.add_argument('--compression', default='none')
    parser.add_argument('--root', type=Path, help='where to record; a temporary folder if omitted')
    parser.add_argument('--publish', action='store_true', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.publish:
        return publish(arguments)
    with tempfile.TemporaryDirectory(dir=arguments.root, prefix='record_load_') as folder:
        result = measure(arguments, Path(folder))
    print(json.dumps(result, indent=1))
    topics = [result['/image'], result['/joint_states']]
    # All may be lost at the ends, where no number has a gap; half a second is the start's and
    # stop's inaccuracy.
    short = any(topic['recorded'] < topic['expected'] * (1 - 0.5 / result['seconds'])
                for topic in topics)
    return int(short or any(topic['missing'] for topic in topics) or result['messages_lost'] > 0)


if __name__ == '__main__':
    sys.exit(main())
