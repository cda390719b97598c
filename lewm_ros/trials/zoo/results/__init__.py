"""What a walk finds out: how motion is judged, the rows, and the table."""
