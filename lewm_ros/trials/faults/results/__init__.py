"""What the trials showed: kept after each one, and the table."""
