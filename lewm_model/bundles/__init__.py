"""What ships: weights with all that belongs to them, their card, and published checkpoints."""
