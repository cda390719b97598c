import os
from pathlib import Path
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.ros

ROOT = Path(__file__).parents[1]
# A second signal at every line that runs because of the first one, the library's lines included.
STORM = """
import signal, sys
from lewm_ros.node.interrupt import Interrupt
end = Interrupt()
assert not end.is_set()
sent = 0
def again(frame, event, _):
    global sent
    if sent < 50:
        sent += 1
        signal.raise_signal(signal.SIGTERM)
    return again
sys.settrace(again)
signal.raise_signal(signal.Signals({number}))
sys.settrace(None)
assert end.is_set() and sent > 2
print('ended')
"""


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signals_during_the_handling_of_a_signal_are_one_clean_end(number):
    """The kernel sends two when a parent with threads dies; neither may block the other."""
    environment = {**os.environ, 'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}'}
    child = subprocess.run([sys.executable, '-c', STORM.format(number=int(number))], timeout=200,
                           capture_output=True, text=True, env=environment, check=False)
    assert (child.returncode, child.stdout) == (0, 'ended\n'), child.stderr
