"""How often the nodes speak where somebody else waits for it [s]."""

# `controller_state`, on the steady clock, in every state of an active command node. The guard
# takes the robot over after a few of these periods without any sign of the command node.
STATE_PERIOD_S = 0.05
# `guard_state`; also at once on every change.
GUARD_PERIOD_S = 0.5
