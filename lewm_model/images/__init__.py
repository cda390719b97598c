"""Pictures of every encoding to rgb uint8, and what part of them the model sees."""
