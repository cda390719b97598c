"""What `recorder_node` is made of: reception, a bounded queue, and a crash-safe bag writer.

`topics` finds what to record, `reception` receives it as bytes, `queue` hands it to the thread of
`bag_writer`, which writes `mcap_writer`'s file; `episode` names and closes recordings.
"""
