"""Mutated inputs of every kind through everything that reads them: `python -m tests.fuzz --help`.

Every input follows from seed, target and number alone, so one that failed can be run again. A target's `run` says what
became of an input, and raises for what no documentation allows.
"""
