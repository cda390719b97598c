"""From recordings to training clips.

`bag` reads a recording, `synchronize` puts it on the control grid, `ingest` does that for many
bags and writes the file that `episodes` defines, and `clips` serves training from it.
"""
