"""The quality-of-service profiles of this system, one name per way of using a topic.

Deadline, lifespan and liveliness differ between middlewares, so nothing here depends on them:
staleness is judged by stamps, and stopping by a timer on the steady clock.
"""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _profile(depth: int, *, reliable: bool, latched: bool = False) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=(ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT),
        durability=(DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE))


IMAGE = _profile(1, reliable=False)           # newest frame wins; also matches reliable writers
SENSOR = _profile(50, reliable=False)         # joint states: joined by stamp, so keep a few
LATEST = _profile(1, reliable=True)           # chunks, commands, e-stop: only the newest counts
RECORD = _profile(10, reliable=True)          # executed commands, status, diagnostics
LATCHED = _profile(1, reliable=True, latched=True)  # goal, episode info: late joiners get it
