"""A whole system on one machine: its programs, the supervisor that keeps them running, and how commands find it."""
