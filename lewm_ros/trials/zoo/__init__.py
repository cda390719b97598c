"""Robots of strangers: fake drivers with real habits, and the walk that every one is taken on."""
