"""Frames and a goal in, action chunks out. The only room on the robot that needs torch."""
