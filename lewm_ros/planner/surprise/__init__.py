"""Whether what the camera shows is what was expected, and what is ordinary on this robot."""
