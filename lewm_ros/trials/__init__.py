"""The whole system, watched: demo, soak, and what they measure."""
