"""Recordings as files: every rosbag2 storage, healthy or damaged, to messages one by one.

`bag.Bag` is what others use; what the messages mean to a robot is `lewm_model.recordings`.
"""
