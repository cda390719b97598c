"""The last word to the robot when the command node is gone. Light: it must outlive everything."""
