"""Messages to bags. Why not with rosbag2_py: the ROS that pip installs has none.

And a recording must survive what happens to it: `mcap_writer` writes a chunk at 4 MB or 0.5 s, so
a kill costs no more, and cuts a write that the disk refuses back to the last whole chunk. Files
of it are read by rosbag2, `rosbags` and `lewm_model.bags`.

`recorder_node` is the process. `topics` finds what to record, `reception` receives it as bytes,
`session` starts, stops and concludes an `episode`, `bag_thread` takes its messages to the
`bag_writer`, which writes `mcap_writer`'s file.
"""
