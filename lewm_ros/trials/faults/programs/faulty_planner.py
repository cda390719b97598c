"""The planner node with an engine that fails when told to; for trials only.

    LEWM_FAULT_ORDERS=folder python -m lewm_ros.trials.faults.programs.faulty_planner

The node is the one that ships. What is replaced is the function that makes engines, before the
node is imported: every engine gets an `encode` and a `rollout` that look for an order first.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from lewm_model import assemble
from lewm_ros.trials.faults.programs.orders import Orders

ORDERS = ('raise', 'hang', 'nan')
_LOOK_S = 0.01      # how often a hanging engine looks whether it may go on


def plant(orders: Orders) -> None:
    """Let every engine that is made from now on obey `orders`."""
    make = assemble.make_engine

    def make_engine(*arguments: Any, **options: Any) -> Any:
        engine = make(*arguments, **options)
        for name in ('encode', 'rollout'):
            setattr(engine, name, _faulty(getattr(engine, name), orders))
        return engine

    assemble.make_engine = make_engine


def _faulty(method, orders: Orders):
    def call(*arguments: Any, **options: Any) -> Any:
        order = orders.of('engine')
        if order == 'raise':
            raise RuntimeError('CUDA error: an illegal memory access was encountered (planted)')
        while orders.of('engine') == 'hang':
            time.sleep(_LOOK_S)
        result = method(*arguments, **options)
        return result * float('nan') if order == 'nan' else result
    return call


def main() -> int:
    """Run the node until it is interrupted; return the exit status."""
    plant(Orders.from_environment())
    from lewm_ros.planner.planner_node import main as run  # only now: it takes make_engine along
    return run()


if __name__ == '__main__':
    sys.exit(main())
