"""What every process has: parameters, a way to run and to end."""
