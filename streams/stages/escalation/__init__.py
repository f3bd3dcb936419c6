"""Escalation: demands on people, with a clock that answers stop and ticks drive."""
