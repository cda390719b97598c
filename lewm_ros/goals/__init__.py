"""People say where to go; light."""
