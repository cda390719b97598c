"""What is said: messages to types and back. Nobody else touches message fields."""
