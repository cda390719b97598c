"""Simulated tasks, recording, evaluation and the `lewm` command line; no ROS in here."""
