"""The system under trial: its processes, how it is set up, and what is measured from outside."""
