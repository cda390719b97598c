"""A holonomic base in two rooms with one door, whose goal is a picture of where it should be."""
