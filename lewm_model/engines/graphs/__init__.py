"""The two functions that every engine runs, as graphs of plain operations."""
