"""A two-link arm whose goal is a picture of its own pose."""
