"""Drive the system from a Python prompt; light. `from lewm_ros import Commander`."""
