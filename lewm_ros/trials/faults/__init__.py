"""Faults injected into the running system, and how fast the robot rests; see `__main__`."""
