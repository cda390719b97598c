"""The steps of a walk, and what they need: processes, and ears that hear the robot."""
