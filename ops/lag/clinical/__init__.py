"""Lag in cases instead of records: which cases wait before which step, and which escalations nobody has answered.

All of it is read from the topics, by a consumer that belongs to no group; synthetic cases (canaries) are left out.
"""
