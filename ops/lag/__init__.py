"""Consumer lag in readable records and in seconds, for every group, topic and partition.

Tools that subtract offsets count transaction markers, aborted records and compacted holes as work to do, and miss
partitions without a commit. Here the log is read (`read_committed`), and the records counted are those that a consumer
would receive.
"""
