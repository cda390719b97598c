"""Data sets: one HDF5 file, or many as one, to training clips.

`episodes` opens a file of any public layout, `shards` many, `clips` serves training from them,
`repack` changes how frames are stored, `describe_data` says what is in a set and what looks wrong.
Where sets come from: `lewm_model.ingest` (bags), `lewm_model.lerobot`.
"""
