"""Lag of patients instead of records: who waits at which step, and which escalation nobody has answered.

Read from the topics alone, by a consumer that belongs to no group; synthetic cases (canaries) are left out.
"""
