"""Ways to give a goal, and the goal message of each: one resolver, and sources that know more."""
