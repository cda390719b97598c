"""A goal that was asked for becomes the policy's, and how near is near enough. No rclpy."""

from __future__ import annotations

from lewm_model.planning.policy import Policy
from lewm_ros.wire.reports import GoalKind, GoalRequest
import numpy as np


def give(policy: Policy, goal: GoalRequest) -> None:
    """Make a picture, a picture of which some quantities count, or quantities the policy's goal.

    Raises:
        ConfigError: If the bundle does not read these quantities; the message lists what it does.
        EngineFailure: If a picture cannot be encoded.
    """
    facts = {'goal_id': goal.goal_id, 'source': goal.source.name.lower()}
    if goal.kind is GoalKind.PROBE:
        policy.set_goal_quantities(goal.names, goal.values, goal.weights, goal.tolerances, **facts)
    elif goal.names:
        policy.set_goal_image(goal.rgb, **facts, names=goal.names, weights=goal.weights,
                              tolerances=goal.tolerances)
    else:
        policy.set_goal_image(goal.rgb, **facts)


def limits_of(policy: Policy, goal: GoalRequest, usual: float) -> np.ndarray | None:
    """Return below what every error of a goal must be, (N,); None: its distance alone counts.

    Args:
        policy: Has the goal.
        goal: As it was asked for; what has no weight has no limit.
        usual: So many times the readout's held-out error are near enough, where the goal says
            neither a tolerance nor tolerances: better than it reads nobody can tell.
    """
    if not goal.names or (goal.tolerances is None and goal.tolerance):
        return None
    limits = (usual * policy.bundle.readout.usual_errors(goal.names)
              if goal.tolerances is None else goal.tolerances)
    return np.where(policy.goal.target.weights > 0, limits, np.inf)
