"""The way to goals that were given: the action ReachGoal, watched until it ends."""
