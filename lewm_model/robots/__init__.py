"""What a robot file says: topics, commands, limits, states, cameras, clicks."""
