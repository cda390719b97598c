"""Data sets of LeRobot, read only: `convert` writes them as a data set file."""
