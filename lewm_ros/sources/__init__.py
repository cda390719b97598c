"""Who drives instead of the planner."""
