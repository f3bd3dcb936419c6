"""Lag as a reading consumer would find it: readable records and seconds, for every group, topic and partition.

Tools that subtract offsets count transaction markers, aborted records and compacted holes as work to do, and miss
partitions without a commit. Here the log is read (`read_committed`), and what is counted is what a consumer would be
given.
"""
