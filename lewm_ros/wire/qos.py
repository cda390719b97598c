"""The quality-of-service profiles of this system, one name per way of using a topic.

Deadline, lifespan and liveliness differ between middlewares, so nothing here depends on them:
staleness is judged by stamps, and stopping by a timer on the steady clock.
"""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo


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
# One reader for each way a publisher may offer its messages: none of them is missed.
EVERY_OFFER = (_profile(10, reliable=False), _profile(10, reliable=True),
               _profile(10, reliable=True, latched=True))


def offered_qos(publishers: Sequence[TopicEndpointInfo], depth: int) -> QoSProfile:
    """Return the profile that matches every publisher and asks for as much as all of them offer.

    Reliable only if all are: a reliable reader gets nothing from a best-effort writer. The same
    for transient local, which brings what was said before we came. Without publishers: what
    matches any.
    """
    offered = [info.qos_profile for info in publishers]
    return _profile(
        depth,
        reliable=bool(offered) and all(
            qos.reliability == ReliabilityPolicy.RELIABLE for qos in offered),
        latched=bool(offered) and all(
            qos.durability == DurabilityPolicy.TRANSIENT_LOCAL for qos in offered))
