"""Training: one readable loop, its checkpoints and its health checks."""
