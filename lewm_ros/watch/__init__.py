"""One terminal screen about a running system; light, and it only listens."""
