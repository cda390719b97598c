"""Messages to bags, with our own MCAP writer: rosbag2_py hides what a crash or full disk costs.

rosbag2 buffers inside the library: what a kill would lose cannot be known, and a write that the
disk refuses is an exception out of the receiving thread. `mcap_writer` writes whole chunks, cuts
the file back to the last one when the disk refuses, and runs where only pip's ROS is installed,
which has no rosbag2. Its files are read by rosbag2, `rosbags` and `lewm_model.bags`.

`recorder_node` is the process. `topics` finds what to record, `reception` receives it as bytes,
`session` starts, stops and concludes an `episode`, `bag_thread` takes its messages to the
`bag_writer`, which writes `mcap_writer`'s file.
"""
