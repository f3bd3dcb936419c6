"""Attacks on a whole system of their own, one by one, and what each has cost the emergency right behind it.

    python -m ops.attacks                                       # every attack, about ten minutes
    python -m ops.attacks --only "3 MB that compress to 13 kB"
    python -m ops.attacks --vigia OLD/.venv/bin/vigia --json before.json    # another version, driven from outside
    python -m ops.attacks table before.json after.json          # both as one table

An attacker has what a stranger on the network has: the broker, the registry, the folder of pictures, open ports.
"""
