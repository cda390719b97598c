"""What other terminals and other machines find of a running system; real processes, real DDS."""

import os
from pathlib import Path
import subprocess
import sys
import time

import pytest

pytest.importorskip('rclpy')
pytestmark = [pytest.mark.ros, pytest.mark.sim]

from lewm_ros.startup.bringup import Bringup  # noqa: E402
from lewm_ros.startup.discovery import VARIABLE  # noqa: E402
from lewm_ros.startup.options import SystemOptions  # noqa: E402
from lewm_ros.startup.system import system  # noqa: E402
from rclpy.utilities import get_rmw_implementation_identifier  # noqa: E402
from ros_helpers import free_domain, ROOT  # noqa: E402

# Enables motion as `ros2 service call` does, in a process of its own; prints what it saw.
PERSON = """
import rclpy, sys, time
from rclpy.node import Node
from std_srvs.srv import SetBool
rclpy.init()
node = Node('person')
client = node.create_client(SetBool, '/command_node/enable')
assert client.wait_for_service(60), node.get_node_names()
until = time.monotonic() + 60
while len(names := set(node.get_node_names())) < int(sys.argv[1]) and time.monotonic() < until:
    time.sleep(0.1)
for _ in range(3):    # an answer is lost where the server does not know us yet
    answer = client.call_async(SetBool.Request(data=True))
    rclpy.spin_until_future_complete(node, answer, timeout_sec=10)
    if answer.done():
        break
print(*sorted(names), answer.result().message or answer.result().success, sep='|')
"""


@pytest.fixture
def plain(monkeypatch):
    """An environment in which nobody said anything about discovery."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv('ROS_DOMAIN_ID', str(free_domain()))


def sockets(pid: int) -> set[tuple[str, int]]:
    """Return local address and port of every UDP socket of a process."""
    inodes = set()
    for entry in Path(f'/proc/{pid}/fd').iterdir():
        try:
            target = os.readlink(entry)
        except OSError:
            continue        # closed meanwhile
        if target.startswith('socket:['):
            inodes.add(target[8:-1])
    found = set()
    for line in Path('/proc/net/udp').read_text().splitlines()[1:]:
        local, inode = line.split()[1], line.split()[9]
        if inode in inodes:
            address, port = (bytes.fromhex(part) for part in local.split(':'))
            found.add(('.'.join(map(str, reversed(address))), int.from_bytes(port, 'big')))
    return found


@pytest.mark.skipif(get_rmw_implementation_identifier() != 'rmw_fastrtps_cpp',
                    reason='how a middleware listens is its own')
@pytest.mark.parametrize('choice', ['auto', 'subnet'])
def test_by_default_nobody_listens_to_the_announcements_of_other_machines(plain, tmp_path, choice):
    """And the nodes that stop the robot have no socket that another machine can reach."""
    announcements = 7400 + 250 * int(os.environ['ROS_DOMAIN_ID'])    # DDSI-RTPS 9.6.1, multicast
    nodes = system(SystemOptions(sim=True, source='teleop'))
    with Bringup(nodes, tmp_path / 'log', discovery=choice) as running:
        until_s = time.monotonic() + 90
        found, before = {}, None
        while not found or not all(found.values()) or found != before:   # all of a participant
            assert time.monotonic() < until_s, found
            time.sleep(1.0)
            before = found
            found = {name: sockets(child.pid) for name, child in running.children.items()}
    here = {name: {address for address, _ in several} for name, several in found.items()}
    deaf = {name: ('0.0.0.0', announcements) not in several for name, several in found.items()}
    if choice == 'subnet':
        assert not any(deaf.values())
        return
    assert all(deaf.values())
    for name in ('command_node', 'guard_node'):
        assert here[name] <= {'127.0.0.1', '239.255.0.1'}


def test_a_person_in_another_terminal_finds_everything(plain, tmp_path):
    """Tools without any setting hear and call nodes that only this machine can find."""
    nodes = system(SystemOptions(sim=True, source='teleop'))
    with Bringup(nodes, tmp_path / 'log') as running:
        environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
        count = len(nodes) + 1      # and itself
        done = subprocess.run([sys.executable, '-c', PERSON, str(count)], env=environment,
                              cwd=ROOT, capture_output=True, text=True, timeout=250)
        running.check()
    assert done.returncode == 0, done.stderr
    *names, said = done.stdout.strip().split('|')
    assert {spec.executable for spec in nodes} <= set(names)
    assert said == 'the node is not active'      # nobody has activated it here
