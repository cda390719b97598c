"""A planner node whose engine fails as a file says; run by tests of the planner node.

The file named by LEWM_TEST_FAULT holds a word that is read before every call of the engine:
`raise`, `hang` or `nan`, and `all` beside it lets the fall-back engine fail, too. An empty file is
a healthy engine.
"""

import os
from pathlib import Path
import sys
import time

from lewm_model import assemble
from lewm_ros.planner import planner_node

_FILE = Path(os.environ['LEWM_TEST_FAULT'])
_make_engine = assemble.make_engine
planner_node._JOIN_S = 0.5


class Faulty:
    """An engine and what goes wrong with it."""

    def __init__(self, engine, backend: str) -> None:
        self._engine, self._backend = engine, backend
        self.device, self.name, self.precision = engine.device, engine.name, engine.precision

    def describe(self) -> str:
        return self._engine.describe()

    def encode(self, rgb):
        return self._spoil(self._engine.encode(rgb))

    def rollout(self, context, blocks):
        return self._spoil(self._engine.rollout(context, blocks))

    def _spoil(self, answer):
        while 'hang' in self._faults():
            time.sleep(0.01)
        if 'raise' in self._faults():
            raise RuntimeError('CUDA error: an illegal memory access was encountered')
        return answer * float('nan') if 'nan' in self._faults() else answer

    def _faults(self) -> list[str]:
        words = _FILE.read_text().split()
        return words if self._backend != 'torch' or 'all' in words else []


def _make(backend, bundle, config=None):
    return Faulty(_make_engine(backend, bundle, config), backend)


if __name__ == '__main__':
    assemble.make_engine = _make
    sys.exit(planner_node.main())
