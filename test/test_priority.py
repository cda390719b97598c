"""Who goes first."""

import os
import subprocess
import sys

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

PROGRAM = """
import os
os.setpriority = lambda *what: (_ for _ in ()).throw(PermissionError()) if {refused} else None
from lewm_ros.node.priority import hurry
print(hurry())
"""


@pytest.mark.parametrize('refused', [True, False])
def test_who_may_not_go_first_is_told_and_goes_on(refused):
    """The node says so in its log; that is all."""
    run = subprocess.run([sys.executable, '-c', PROGRAM.format(refused=refused)],
                         capture_output=True, text=True, check=True)
    assert run.stdout == f'{not refused}\n'


def test_a_process_that_leads_its_session_takes_it_along():
    """A nice value alone compares with its own session only, where the kernel groups them."""
    probe = ('from lewm_ros.node.priority import hurry; import os, pathlib; '
             'print(hurry(), os.getpriority(os.PRIO_PROCESS, 0), '
             'pathlib.Path("/proc/self/autogroup").read_text().split()[-1])')
    if not os.path.exists('/proc/self/autogroup'):
        pytest.skip('this kernel groups no sessions')
    words = subprocess.run([sys.executable, '-c', probe], capture_output=True, text=True,
                           check=True, start_new_session=True).stdout.split()
    if words[0] == 'False':
        pytest.skip('this user may not raise priorities')
    assert max(map(int, words[1:])) <= -10
