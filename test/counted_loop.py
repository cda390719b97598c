"""A loop for `OwnProcess` that others can import: spawned processes know no test modules."""

import time


def work(turns, limit):
    """Stand in for a loop: a step is 0.1 s of work; it fails after `limit` of them."""
    done = 0
    while True:
        steps = turns.next()
        done += steps
        if done > limit:
            raise ValueError(f'{done} steps are too many')
        until = time.process_time() + 0.1 * steps
        while time.process_time() < until:
            pass
