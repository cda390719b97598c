"""A disk pushes a T over a table; the goal is a picture of both."""
