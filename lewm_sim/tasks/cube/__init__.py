"""A robot arm with a gripper brings a cube to where a picture shows it."""
