"""The model in PyTorch, as it is and tuned."""
