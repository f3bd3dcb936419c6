"""Exactly-once stages on Faust: everything that knows the insides of Faust lives here, and nowhere else."""
