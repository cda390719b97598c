"""Backends that run the two graphs of a LeWM: encode, and rollout."""
